//! Runs `divvy_tests::settings_file` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::settings_file(bytes));
