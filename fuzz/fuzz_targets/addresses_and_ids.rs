//! Runs `divvy_tests::addresses_and_ids` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::addresses_and_ids(bytes));
