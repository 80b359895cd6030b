#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(sremp_fuzz::run("relay_message", data));
});
