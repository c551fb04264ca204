//! Runs `divvy_tests::vm_definition` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::vm_definition(bytes));
