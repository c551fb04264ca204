//! Runs `divvy_tests::nvidia_programs` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::nvidia_programs(bytes));
