//! Runs `divvy_tests::intel_shares` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::intel_shares(bytes));
