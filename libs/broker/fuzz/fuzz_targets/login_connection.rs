//! Drives `broker::fuzzing::login_connection`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::login_connection(data));
