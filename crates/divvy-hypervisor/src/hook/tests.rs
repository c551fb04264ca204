use super::*;

const XML: &str = "<domain type='kvm' id='3'><name>web 1</name>\
     <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid><memory>1048576</memory><devices>\
     <hostdev mode='subsystem' type='pci' managed='no'><source>\
     <address domain='0x0000' bus='0x41' slot='0x00' function='0x4'/></source></hostdev></devices></domain>";

#[test]
fn a_start_is_understood() {
    let call = HookCall::parse(&["web 1", "start", "begin", "-"], XML).expect("understood");
    assert_eq!(call.operation, Operation::Start);
    assert_eq!(call.sub_operation, SubOperation::Begin);
    assert_eq!(call.extra, None);
    assert_eq!(call.vm.as_str(), "4dea22b3-1d52-d8f3-2516-782e98ab3fa0");
    assert_eq!(call.name, "web 1");
    assert_eq!(call.devices, ["0000:41:00.4".parse().expect("parses")]);
}

#[test]
fn every_operation_of_libvirt_is_known_and_told_apart() {
    let parsed: Vec<Operation> = OPERATIONS
        .iter()
        .map(|(text, _)| HookCall::parse(&["web 1", text, "begin", "-"], XML).expect("known").operation)
        .collect();
    let expected: Vec<Operation> = OPERATIONS.iter().map(|(_, operation)| *operation).collect();
    assert_eq!(parsed, expected);
}

#[test]
fn what_libvirt_adds_is_kept() {
    let call = HookCall::parse(&["web 1", "stopped", "end", "destroyed"], XML).expect("understood");
    assert_eq!(call.extra.as_deref(), Some("destroyed"));
}

#[test]
fn an_argument_more_than_today_does_no_harm() {
    assert!(HookCall::parse(&["web 1", "release", "end", "-", "new"], XML).is_ok());
}

#[test]
fn too_few_arguments_are_refused() {
    assert_eq!(HookCall::parse(&["web 1", "start"], XML), Err(HookError::Arguments { count: 2 }));
    assert_eq!(HookCall::parse::<&str>(&[], XML), Err(HookError::Arguments { count: 0 }));
}

#[test]
fn an_unknown_operation_is_refused() {
    let error = HookCall::parse(&["web 1", "explode", "begin", "-"], XML);
    assert_eq!(error, Err(HookError::Operation { text: "explode".into() }));
    let error = HookCall::parse(&["web 1", "start", "middle", "-"], XML);
    assert_eq!(error, Err(HookError::SubOperation { text: "middle".into() }));
}

#[test]
fn the_definition_of_another_vm_is_refused() {
    let error = HookCall::parse(&["web 2", "start", "begin", "-"], XML);
    assert_eq!(error, Err(HookError::OtherVm { argument: "web 2".into(), definition: "web 1".into() }));
}

#[test]
fn a_definition_that_cannot_be_read_is_refused() {
    for xml in ["", "<domain", "<network/>", "<domain><name>web 1</name></domain>"] {
        let error = HookCall::parse(&["web 1", "start", "begin", "-"], xml);
        assert!(matches!(error, Err(HookError::Definition { .. })), "{xml:?}: {error:?}");
    }
}

#[test]
fn an_id_that_is_no_vms_is_refused() {
    let xml = XML.replace("4dea22b3-1d52-d8f3-2516-782e98ab3fa0", "not an id");
    let error = HookCall::parse(&["web 1", "start", "begin", "-"], &xml);
    assert!(matches!(error, Err(HookError::VmId { .. })), "{error:?}");
}
