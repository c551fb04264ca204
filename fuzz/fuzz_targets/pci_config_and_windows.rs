//! Runs `divvy_tests::pci_config_and_windows` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::pci_config_and_windows(bytes));
