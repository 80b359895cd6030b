#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(sremp_fuzz::run("rendezvous_message", data));
});
