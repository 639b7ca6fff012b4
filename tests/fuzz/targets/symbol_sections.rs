//! The symbols of a file of any bytes are taken in or refused, in bounded time and memory.
#![no_main]

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::{Mutex, OnceLock};

use libfuzzer_sys::fuzz_target;
use pyebpf::native::symbol::take_in;

/// One file for all inputs: making one takes longer than reading it.
static FILE: OnceLock<Mutex<File>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let file = FILE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("pyebpf-fuzz-{}", std::process::id()));
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        std::fs::remove_file(&path).expect("it was just made");
        Mutex::new(opened.expect("a writable temporary directory"))
    });
    let mut file = file.lock().expect("no other thread");
    file.set_len(0).expect("writable");
    file.rewind().expect("a file");
    file.write_all(bytes).expect("writable");
    let taken = take_in(&file);
    assert!(!taken || bytes.starts_with(b"\x7fELF\x02\x01"));
});
