//! The parsers, on what kernels print and on what they never should.

use super::*;
use crate::testing::config_with_serial;

#[test]
fn display_controllers_and_accelerators_are_gpus() {
    for class in [0x030000, 0x030200, 0x038000, 0x120000, 0x030001] {
        assert!(Class(class).is_gpu(), "{class:06x}");
    }
    for class in [0x020000, 0x060400, 0x040300, 0x0b4000] {
        assert!(!Class(class).is_gpu(), "{class:06x}");
    }
}

#[test]
fn windows_have_their_size_and_their_kind() {
    let text = "0x00000000fb000000 0x00000000fbffffff 0x0000000000040200\n\
                0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
                0x0000383800000000 0x0000383bffffffff 0x000000000014220c\n";
    let windows = parse_windows(text).expect("parses");
    let brief: Vec<_> = windows.iter().map(|w| (w.number, w.bytes, w.is_prefetchable)).collect();
    assert_eq!(brief, [(0, 1 << 24, false), (2, 16 << 30, true)]);
}

#[test]
fn a_window_without_a_place_is_told() {
    let text = "0x0 0x3ffffff 0x2014220c";
    let windows = parse_windows(text).expect("parses");
    assert!(windows[0].is_unplaced);
}

#[test]
fn a_malformed_window_names_its_line() {
    for line in ["x", "0x0 0x1", "0x0 0x1 0x2 0x3", "0x5 0x1 0x200", "0x0 0xffffffffffffffff 0x200"] {
        assert_eq!(parse_windows(line), Err(line));
    }
}

#[test]
fn the_serial_number_is_found_behind_other_capabilities() {
    let bytes = config_with_serial(Some(0x48b0_2d0a_41c7_0001));
    assert_eq!(parse_config(&bytes), Some(Config::Answers { serial: Some(0x48b0_2d0a_41c7_0001) }));
}

#[test]
fn a_truncated_configuration_space_has_no_serial_number() {
    let bytes = config_with_serial(Some(7));
    for length in [64, 256, 0x104, 0x148] {
        assert_eq!(parse_config(&bytes[..length]), Some(Config::Answers { serial: None }), "{length} bytes");
    }
}

#[test]
fn a_serial_number_of_zeros_or_of_ones_is_none() {
    for serial in [0, u64::MAX] {
        let bytes = config_with_serial(Some(serial));
        assert_eq!(parse_config(&bytes), Some(Config::Answers { serial: None }));
    }
}

#[test]
fn a_list_of_capabilities_that_runs_in_a_circle_ends() {
    let mut bytes = vec![0; 4096];
    bytes[0x100..0x104].copy_from_slice(&0x1000_000e_u32.to_le_bytes());
    assert_eq!(parse_config(&bytes), Some(Config::Answers { serial: None }));
}

#[test]
fn nothing_but_ones_is_a_lost_device() {
    assert_eq!(parse_config(&[0xff; 4096]), Some(Config::Lost));
    assert_eq!(parse_config(&[0xff; 64]), Some(Config::Lost));
}

#[test]
fn a_virtual_function_that_hides_its_ids_is_not_lost() {
    let mut bytes = config_with_serial(None);
    bytes[..4].fill(0xff);
    assert_eq!(parse_config(&bytes), Some(Config::Answers { serial: None }));
}

#[test]
fn less_than_a_header_is_no_configuration_space() {
    assert_eq!(parse_config(&[0; 63]), None);
}

proptest::proptest! {
    #[test]
    fn no_configuration_space_makes_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4200)) {
        parse_config(&bytes);
    }

    #[test]
    fn no_extended_capability_list_makes_the_parser_panic(
        words in proptest::collection::vec(proptest::num::u32::ANY, 0..1000),
    ) {
        let mut bytes = vec![0; 256];
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        parse_config(&bytes);
    }

    #[test]
    fn no_resource_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = parse_windows(&text);
    }

    #[test]
    fn a_window_is_as_long_as_the_distance_of_its_ends(start in 0_u64..1 << 60, span in 0_u64..1 << 40) {
        let text = format!("{start:#x} {:#x} 0x200", start + span);
        let windows = parse_windows(&text).expect("parses");
        proptest::prop_assert_eq!(windows[0].bytes, span + 1);
    }
}
