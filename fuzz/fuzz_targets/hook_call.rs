//! Runs `divvy_tests::hook_call` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::hook_call(bytes));
