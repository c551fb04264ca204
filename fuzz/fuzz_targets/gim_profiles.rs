//! Runs `divvy_tests::gim_profiles` on whatever the fuzzer makes up.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| divvy_tests::gim_profiles(bytes));
