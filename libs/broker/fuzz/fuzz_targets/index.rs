//! Drives `broker::fuzzing::index`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::index(data));
