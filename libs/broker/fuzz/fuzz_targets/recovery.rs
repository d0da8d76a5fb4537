//! Drives `broker::fuzzing::recovery`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::recovery(data));
