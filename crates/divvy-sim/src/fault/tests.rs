//! What is typed is understood and printed as it was typed; what is no fault is named.

use super::*;

#[test]
fn a_fault_is_printed_as_it_was_typed() {
    for text in [
        "gpu gpu-48b02db7b700001d lose",
        "gpu gpu-48b02db7b700001d hang-writes",
        "gpu a16-1/0000:43:00.0 fail ENOSPC",
        "gpu a16-1/0000:43:00.0 fail 77",
        "gpu a16-1/0000:43:00.0 partial 3",
        "gpu a16-1/0000:43:00.0 reset-fails",
        "gpu a16-1/0000:43:00.0 slow 1500",
        "gpu a16-1/0000:43:00.0 busy",
        "gpu a16-1/0000:43:00.0 sriov-manage-lies",
        "gpu a16-1/0000:43:00.0 sriov-manage-dies",
        "gpu a16-1/0000:43:00.0 wedge",
        "gpu a16-1/0000:43:00.0 lose-profiles",
        "gpu a16-1/0000:43:00.0 ecc on",
        "gpu gpu-48b02db7b700001d mig off",
        "gpu a16-1/0000:43:00.0 clear",
        "partition gpu-48b02db7b700001d.12 wedge",
        "partition a16-1/0000:43:00.0.12 linger 3",
        "vm vm-001 kill",
        "server a16-1 reboot",
        "server a16-1 renumber",
        "server a16-1 reload-driver",
        "server a16-1 nvidia-driver 570.172.08",
        "clear",
    ] {
        assert_eq!(text.parse::<Fault>().expect(text).to_string(), text);
    }
}

#[test]
fn what_is_no_fault_is_told_apart() {
    let wrong = |text: &str| text.parse::<Fault>().expect_err(text);
    assert!(matches!(wrong(""), ParseFaultError::Kind { .. }));
    assert!(matches!(wrong("disk a wedge"), ParseFaultError::Kind { .. }));
    assert!(matches!(wrong("gpu 41:00.0 lose"), ParseFaultError::Gpu { .. }));
    assert!(matches!(wrong("gpu gpu-12 lose"), ParseFaultError::Gpu { .. }));
    assert!(matches!(wrong("gpu a/0000:41:00.0 explode"), ParseFaultError::Verb { kind: "GPU", .. }));
    assert!(matches!(wrong("gpu a/0000:41:00.0 fail"), ParseFaultError::Number { .. }));
    assert!(matches!(wrong("gpu a/0000:41:00.0 fail EWHAT"), ParseFaultError::Number { .. }));
    assert!(matches!(wrong("gpu a/0000:41:00.0 partial -1"), ParseFaultError::Number { .. }));
    assert!(matches!(wrong("gpu a/0000:41:00.0 lose it"), ParseFaultError::TooLong { .. }));
    assert!(matches!(wrong("partition gpu-48b02db7b700001d wedge"), ParseFaultError::Partition { .. }));
    assert!(matches!(wrong("partition gpu-48b02db7b700001d.1 explode"), ParseFaultError::Verb { .. }));
    assert!(matches!(wrong("vm"), ParseFaultError::Name { .. }));
    assert!(matches!(wrong("server a/b reboot"), ParseFaultError::Name { .. }));
    assert!(matches!(wrong("gpu a/0000:41:00.0 ecc"), ParseFaultError::Switch { .. }));
    assert!(matches!(wrong("gpu a/0000:41:00.0 mig 1"), ParseFaultError::Switch { .. }));
    assert!(matches!(wrong("server a nvidia-driver"), ParseFaultError::Version { .. }));
    assert!(matches!(wrong("server a nvidia-driver new/est"), ParseFaultError::Version { .. }));
    assert!(matches!(wrong("server a nvidia-driver 570.1 now"), ParseFaultError::TooLong { .. }));
    assert!(matches!(wrong("clear all"), ParseFaultError::TooLong { .. }));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_takes_it_prints(text in "(gpu|partition|vm|server|clear)? ?[ -~]{0,40}") {
        if let Ok(fault) = text.parse::<Fault>() {
            let printed = fault.to_string();
            proptest::prop_assert_eq!(printed.parse::<Fault>(), Ok(fault));
        }
    }
}
