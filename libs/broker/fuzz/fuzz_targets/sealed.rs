//! Drives `broker::fuzzing::sealed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::sealed(data));
