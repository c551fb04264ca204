//! Runs `divvy_tests::store_records` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::store_records(bytes));
