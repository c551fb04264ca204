//! Devices into VMs and out of them.

use super::*;

#[test]
fn a_device_goes_where_it_is_wanted_and_nowhere_else() {
    for (scope, expected) in [(DEFINED, (true, false)), (LIVE, (false, true)), (BOTH, (true, true))] {
        let (mut hypervisor, _) = hypervisor(Power::Running, "");
        assert_eq!(hypervisor.attach(&ready(), scope).expect("done"), Outcome::Changed);
        assert_eq!(places(&mut hypervisor), expected, "{scope}");
    }
}

#[test]
fn the_device_bears_the_partitions_name() {
    let (mut hypervisor, _) = hypervisor(Power::Off, "");
    hypervisor.attach(&ready(), DEFINED).expect("done");
    let vms = hypervisor.list().expect("the list");
    assert_eq!(vms[0].devices[0].alias.as_deref(), Some("gpu-a.3"));
}

#[test]
fn putting_in_twice_is_quiet() {
    let (mut hypervisor, driver) = hypervisor(Power::Running, "");
    hypervisor.attach(&ready(), BOTH).expect("done");
    assert_eq!(hypervisor.attach(&ready(), BOTH).expect("done"), Outcome::Already);
    assert_eq!(changes(&driver), ["attach"]);
}

#[test]
fn only_what_is_missing_is_put_in() {
    let (mut hypervisor, driver) = hypervisor(Power::Running, "");
    hypervisor.attach(&ready(), DEFINED).expect("done");
    assert_eq!(hypervisor.attach(&ready(), BOTH).expect("done"), Outcome::Changed);
    let room = driver.room();
    let defined = room.vms[&vm()].defined_xml.as_deref().expect("persistent");
    assert_eq!(defined.matches("<hostdev").count(), 1, "{defined}");
}

#[test]
fn an_empty_scope_is_quiet() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    let nothing = DeviceScope { defined: false, live: false };
    assert_eq!(hypervisor.attach(&ready(), nothing).expect("done"), Outcome::Already);
    assert_eq!(changes(&driver), [""; 0]);
}

#[test]
fn a_yes_without_the_deed_is_found_out() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    driver.room().lies = true;
    let error = hypervisor.attach(&ready(), DEFINED).expect_err("it was not written");
    assert!(matches!(error, HypervisorError::NotAsWritten { .. }), "{error:?}");
}

#[test]
fn a_removal_without_the_deed_is_found_out() {
    let (mut hypervisor, driver) = with_partition(Power::Off);
    driver.room().lies = true;
    let error = hypervisor.detach(&vm(), address(), DEFINED).expect_err("it was not written");
    assert!(matches!(error, HypervisorError::NotAsWritten { .. }), "{error:?}");
}

#[test]
fn a_refusal_names_the_vm_the_device_and_the_mend() {
    let (mut hypervisor, driver) = hypervisor(Power::Running, "");
    driver.room().answers.push_back(refusal(1, "internal error: No more available PCI slots"));
    let error = hypervisor.attach(&ready(), LIVE).expect_err("refused");
    assert_eq!(error.to_string(), format!("putting the device at 0000:41:00.4 into VM {VM} failed"));
    assert!(error.hint().contains("pcie-root-port"), "{}", error.hint());
}

#[test]
fn a_vm_that_is_not_there_is_said_to_be_not_there() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    driver.room().vms.clear();
    let attached = hypervisor.attach(&ready(), DEFINED);
    assert!(matches!(attached, Err(HypervisorError::NoSuchVm { .. })), "{attached:?}");
    let detached = hypervisor.detach(&vm(), address(), DEFINED);
    assert!(matches!(detached, Err(HypervisorError::NoSuchVm { .. })), "{detached:?}");
}

#[test]
fn a_vm_that_goes_away_during_the_change_is_said_to_be_not_there() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    driver.room().answers.push_back(refusal(code::NO_DOMAIN, "Domain not found"));
    let attached = hypervisor.attach(&ready(), DEFINED);
    assert!(matches!(attached, Err(HypervisorError::NoSuchVm { .. })), "{attached:?}");
}

#[test]
fn a_definition_that_cannot_be_read_is_not_touched() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "<hostdev type='pci'/>");
    let error = hypervisor.attach(&ready(), DEFINED).expect_err("it is not known what is in it");
    assert!(matches!(error, HypervisorError::Definition { .. }), "{error:?}");
    assert_eq!(changes(&driver), [""; 0]);
}

#[test]
fn a_device_that_divvy_did_not_write_is_left_alone() {
    let theirs = "<interface type='hostdev'><source><address type='pci' domain='0' bus='0x41' slot='0' \
                  function='4'/></source></interface>";
    let (mut hypervisor, driver) = hypervisor(Power::Off, theirs);
    let attached = hypervisor.attach(&ready(), DEFINED).expect_err("it has another form");
    assert!(cause(&attached).contains("network interface"), "{attached:?}");
    let detached = hypervisor.detach(&vm(), address(), DEFINED).expect_err("it has another form");
    assert!(cause(&detached).contains("network interface"), "{detached:?}");
    assert_eq!(changes(&driver), [""; 0]);
}

#[test]
fn a_device_is_taken_out_of_where_it_is() {
    for (scope, expected) in [(DEFINED, (false, true)), (LIVE, (true, false)), (BOTH, (false, false))] {
        let (mut hypervisor, _) = with_partition(Power::Running);
        assert_eq!(hypervisor.detach(&vm(), address(), scope).expect("done"), Outcome::Changed);
        assert_eq!(places(&mut hypervisor), expected, "{scope}");
    }
}

#[test]
fn taking_out_twice_is_quiet() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    hypervisor.detach(&vm(), address(), BOTH).expect("done");
    assert_eq!(hypervisor.detach(&vm(), address(), BOTH).expect("done"), Outcome::Already);
    assert_eq!(changes(&driver), ["detach defined", "detach live"]);
}

#[test]
fn the_definition_lets_go_before_the_running_vm_is_asked() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    driver.room().manners = Manners::Never;
    let error = hypervisor.detach(&vm(), address(), BOTH).expect_err("the VM holds on");
    assert!(matches!(error, HypervisorError::StillHeld { .. }), "{error:?}");
    assert_eq!(places(&mut hypervisor), (false, true));
}

#[test]
fn taking_out_waits_until_the_vm_has_let_go() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    driver.room().manners = Manners::AfterLooks(3);
    assert_eq!(hypervisor.detach(&vm(), address(), LIVE).expect("done"), Outcome::Changed);
    assert_eq!(places(&mut hypervisor), (true, false));
}

#[test]
fn a_vm_that_refuses_is_not_waited_for() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    hypervisor.timeouts.removal = Duration::from_secs(60);
    driver.room().manners = Manners::Refuses;
    let error = hypervisor.detach(&vm(), address(), LIVE).expect_err("refused");
    assert_eq!(cause(&error), Obstacle::Refused.to_string());
}

#[test]
fn a_vm_that_was_asked_before_is_waited_for() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    {
        let mut room = driver.room();
        room.pending = Some((vm(), Pending::Remove(address())));
        room.manners = Manners::AfterLooks(2);
        room.answers.push_back(refusal(1, "Device ua-x is already in the process of unplug"));
    }
    assert_eq!(hypervisor.detach(&vm(), address(), LIVE).expect("done"), Outcome::Changed);
}

#[test]
fn a_vm_that_lost_the_device_in_the_meantime_is_no_failure() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    {
        let mut room = driver.room();
        room.pending = Some((vm(), Pending::PowerOff));
        room.manners = Manners::AfterLooks(1);
        room.answers.push_back(refusal(55, "domain is not running"));
    }
    assert_eq!(hypervisor.detach(&vm(), address(), LIVE).expect("done"), Outcome::Changed);
}

#[test]
fn a_vm_that_powers_off_holds_nothing_any_more() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    driver.room().manners = Manners::Never;
    hypervisor.timeouts.removal = Duration::from_secs(60);
    let other = driver.clone();
    let off = std::thread::spawn(move || {
        let mut room = other.room();
        let facts = room.vms.get_mut(&vm()).expect("the VM");
        (facts.power, facts.live_xml) = (Power::Off, None);
        room.signals.note(Event::Lifecycle);
    });
    let outcome = hypervisor.detach(&vm(), address(), LIVE).expect("nothing holds it");
    off.join().expect("the other thread ends well");
    // Either order of the two is right: it was taken out, or there was nothing to take out any more.
    assert!(matches!(outcome, Outcome::Changed | Outcome::Already));
    assert_eq!(places(&mut hypervisor), (true, false));
}

#[test]
fn a_refused_removal_says_why() {
    let (mut hypervisor, driver) = with_partition(Power::Running);
    driver.room().answers.push_back(refusal(1, "internal error: hot unplug is not available"));
    let error = hypervisor.detach(&vm(), address(), LIVE).expect_err("refused");
    let HypervisorError::Detach { source, .. } = &error else { panic!("{error:?}") };
    assert!(chain(source.as_ref()).contains("hot unplug is not available"));
}
