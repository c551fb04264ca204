//! Runs `divvy_tests::api_bodies` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::api_bodies(bytes));
