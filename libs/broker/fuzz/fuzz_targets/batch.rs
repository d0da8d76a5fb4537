//! Drives `broker::fuzzing::batch`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::batch(data));
