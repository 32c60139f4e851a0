//! Feeds libFuzzer's bytes to the property of the same name.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::record(bytes));
