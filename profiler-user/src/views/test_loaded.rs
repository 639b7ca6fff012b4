//! A hand-made recording that every view is tested with.

use crate::recordings::{Loaded, Reader};

/// A program that calls itself (`fib`), a library (`json`) that calls the program back (`hook`), and two processes.
///
/// Lines are `LIBRARY` paths of an installed Python.
const FOLDED: &str = "\
process 1:\"python app.py\";thread (1): Main;<module> (/srv/app.py:1);main (/srv/app.py:5);fib (/srv/app.py:10);fib (/srv/app.py:10) 40
process 1:\"python app.py\";thread (1): Main;<module> (/srv/app.py:1);main (/srv/app.py:5);fib (/srv/app.py:11) 20
process 1:\"python app.py\";thread (2): Other;<module> (/srv/app.py:1);main (/srv/app.py:6);decode (/usr/lib/python3.11/json/decoder.py:1);scan (/usr/lib/python3.11/json/scanner.py:2);loads (/usr/lib/python3.11/json/__init__.py:3) 20
process 2:\"python web.py\";<module> (/srv/app.py:1);main (/srv/app.py:6);decode (/usr/lib/python3.11/json/decoder.py:1);scan (/usr/lib/python3.11/json/scanner.py:2);loads (/usr/lib/python3.11/json/__init__.py:3);hook (/srv/app.py:20) 10
process 2:\"python web.py\";<module> (/srv/app.py:1);main (/srv/app.py:7) 10
";

/// It, read.
pub(in crate::views) fn loaded() -> Loaded {
    let mut reader = Reader::new();
    reader.add(FOLDED.as_bytes()).expect("folded stacks");
    reader.finish().expect("one file")
}
