//! Runs `divvy_tests::room_text` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::room_text(bytes));
