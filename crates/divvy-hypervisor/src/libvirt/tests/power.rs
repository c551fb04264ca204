//! The list, the connection, starting and shutting down.

use super::*;

/// Longer than any clock can say.
const SOON: Duration = Duration::MAX;

#[test]
fn the_list_is_in_the_order_of_the_ids() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    {
        let mut room = driver.room();
        let mut other = room.vms[&vm()].clone();
        other.id = VmId::new("00000000-f6a4-8304-79aa-97f2502e1193").expect("a UUID");
        room.vms.insert(other.id.clone(), other);
    }
    let ids: Vec<VmId> = hypervisor.list().expect("the list").into_iter().map(|vm| vm.id).collect();
    assert!(ids.is_sorted() && ids.len() == 2, "{ids:?}");
}

#[test]
fn one_vm_that_cannot_be_read_does_not_hide_the_others() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    {
        let mut room = driver.room();
        let mut broken = room.vms[&vm()].clone();
        broken.id = VmId::new("00000000-f6a4-8304-79aa-97f2502e1193").expect("a UUID");
        broken.defined_xml = Some("<domain".into());
        room.vms.insert(broken.id.clone(), broken);
    }
    let powers: Vec<Power> = hypervisor.list().expect("the list").into_iter().map(|vm| vm.power).collect();
    assert_eq!(powers, [Power::Unknown, Power::Off]);
    assert_eq!(hypervisor.findings().len(), 1);
}

#[test]
fn a_finding_lasts_until_the_next_list() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    let whole = driver.room().vms[&vm()].defined_xml.clone();
    driver.room().vms.get_mut(&vm()).expect("the VM").defined_xml = Some("<domain".into());
    hypervisor.list().expect("the list");
    driver.room().vms.get_mut(&vm()).expect("the VM").defined_xml = whole;
    hypervisor.list().expect("the list");
    assert_eq!(hypervisor.findings(), []);
}

#[test]
fn a_list_that_is_refused_is_a_failed_list() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    driver.room().answers.push_back(refusal(1, "authentication failed"));
    assert!(matches!(hypervisor.list(), Err(HypervisorError::List { .. })));
}

#[test]
fn a_libvirt_that_is_not_there_is_a_failed_connection() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    let source =
        LibvirtError { function: "virConnectOpen", code: 38, domain: 7, message: "no socket".into() };
    driver.room().answers.push_back(CallError::Open { uri: "qemu:///system".into(), source });
    assert!(matches!(hypervisor.list(), Err(HypervisorError::Connect { .. })));
}

#[test]
fn health_tells_the_version_or_the_whole_reason() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    assert_eq!(hypervisor.health(), HypervisorHealth::Connected { version: "libvirt 9.0.0".into() });
    let source =
        LibvirtError { function: "virConnectOpen", code: 38, domain: 7, message: "no socket".into() };
    driver.room().answers.push_back(CallError::Open { uri: "qemu:///system".into(), source });
    let HypervisorHealth::Unavailable { reason } = hypervisor.health() else { panic!("it is not there") };
    assert!(reason.contains("qemu:///system") && reason.contains("no socket"), "{reason}");
}

#[test]
fn a_start_is_done_once() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    assert_eq!(hypervisor.start(&vm()).expect("done"), Outcome::Changed);
    assert_eq!(hypervisor.start(&vm()).expect("done"), Outcome::Already);
    assert_eq!(changes(&driver), ["start"]);
}

#[test]
fn a_start_that_somebody_else_did_first_is_no_failure() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    struct Faster(TextDriver);
    impl Driver for Faster {
        fn version(&mut self, timeout: Duration) -> Result<String, CallError> {
            self.0.version(timeout)
        }
        fn list(&mut self) -> Result<Vec<Listed>, CallError> {
            self.0.list()
        }
        fn read(&mut self, vm: &VmId) -> Result<Option<VmFacts>, CallError> {
            self.0.read(vm)
        }
        fn attach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError> {
            self.0.attach(vm, fragment, scope)
        }
        fn detach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError> {
            self.0.detach(vm, fragment, scope)
        }
        fn start(&mut self, vm: &VmId) -> Result<(), CallError> {
            self.0.start(vm)?;
            Err(refusal(55, "domain is already running"))
        }
        fn shut_down(&mut self, vm: &VmId) -> Result<(), CallError> {
            self.0.shut_down(vm)
        }
    }
    hypervisor.driver = Box::new(Faster(driver));
    assert_eq!(hypervisor.start(&vm()).expect("it runs"), Outcome::Already);
}

#[test]
fn a_start_that_is_refused_says_why() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    let message = "PCI device 0000:41:00.4 is in use by driver QEMU, domain g1";
    driver.room().answers.push_back(refusal(55, message));
    let error = hypervisor.start(&vm()).expect_err("refused");
    assert!(error.hint().contains("another VM"), "{}", error.hint());
}

#[test]
fn a_vm_that_is_off_right_after_its_start_did_not_start() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    driver.room().lies = true;
    let error = hypervisor.start(&vm()).expect_err("it is off");
    assert!(matches!(error, HypervisorError::NotAsWritten { .. }), "{error:?}");
}

#[test]
fn a_start_without_an_answer_is_a_failed_start() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    driver.room().answers.push_back(CallError::NoAnswer { timeout_ms: 300_000 });
    let error = hypervisor.start(&vm()).expect_err("nobody knows");
    assert!(cause(&error).contains("may still be carried out"), "{error:?}");
}

#[test]
fn a_paused_vm_has_started() {
    let (mut hypervisor, _) = hypervisor(Power::Paused, "");
    assert_eq!(hypervisor.start(&vm()).expect("it is on"), Outcome::Already);
}

#[test]
fn shutting_down_waits_until_the_vm_is_off() {
    let (mut hypervisor, driver) = hypervisor(Power::Running, "");
    driver.room().manners = Manners::AfterLooks(3);
    assert_eq!(hypervisor.shut_down(&vm(), SOON).expect("done"), Outcome::Changed);
    assert!(hypervisor.list().expect("the list")[0].is_off());
}

#[test]
fn a_vm_without_a_definition_is_gone_when_it_is_off() {
    let (mut hypervisor, driver) = hypervisor(Power::Running, "");
    {
        let mut room = driver.room();
        let facts = room.vms.get_mut(&vm()).expect("the VM");
        (facts.persistent, facts.defined_xml) = (false, None);
    }
    assert_eq!(hypervisor.shut_down(&vm(), SOON).expect("done"), Outcome::Changed);
    assert_eq!(hypervisor.list().expect("the list"), []);
}

#[test]
fn a_vm_that_is_off_is_not_asked() {
    let (mut hypervisor, driver) = hypervisor(Power::Off, "");
    assert_eq!(hypervisor.shut_down(&vm(), SOON).expect("done"), Outcome::Already);
    assert_eq!(changes(&driver), [""; 0]);
}

#[test]
fn a_vm_that_does_not_power_off_is_reported_at_the_deadline() {
    let (mut hypervisor, driver) = hypervisor(Power::Running, "");
    driver.room().manners = Manners::Never;
    let error = hypervisor.shut_down(&vm(), Duration::from_millis(5)).expect_err("it runs");
    assert!(matches!(error, HypervisorError::StillRunning { .. }), "{error:?}");
}

#[test]
fn a_vm_that_went_off_before_it_was_asked_is_no_failure() {
    let (mut hypervisor, driver) = hypervisor(Power::Running, "");
    {
        let mut room = driver.room();
        room.pending = Some((vm(), Pending::PowerOff));
        room.manners = Manners::AfterLooks(1);
        room.answers.push_back(refusal(55, "domain is not running"));
    }
    assert_eq!(hypervisor.shut_down(&vm(), SOON).expect("it is off"), Outcome::Changed);
}
