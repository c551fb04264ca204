//! Runs `divvy_tests::sys_tree` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::sys_tree(bytes));
