//! Live: the program that `cargo xtask run` shows (`xtask/demo/shop.py`) is worth looking at.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tests::live::alone;
use tests::profiler::Recording;
use tests::python;

/// What a newcomer is to find in the picture: Python, C libraries below it, and both sides of a connection.
const PARTS: &[&str] = &[
    "check_password",
    "compare_baskets",
    "compress_page",
    "go_shopping",
    "render_list",
    "Shop.search_catalogue",
    "write_invoice",
];

#[test]
fn every_part_of_the_shop_is_in_the_picture_and_it_closes_with_its_input() {
    let _alone = alone();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/demo/shop.py");
    let mut shop = python::newest()
        .command()
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("an interpreter starts");
    let mut line = String::new();
    BufReader::new(shop.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("text");
    assert_eq!(line, "open\n");

    let pid = shop.id().to_string();
    let recording = Recording::start(["--function", "-d", "5", "-p", &pid]).expect("a recording");
    let stacks = recording.wait().expect("a recording").stacks;
    for part in PARTS {
        assert!(
            stacks.count(|stack| stack.contains(part)) > 0,
            "no sample of {part}:\n{}",
            stacks.most_frequent(8)
        );
    }

    drop(shop.stdin.take());
    let deadline = Instant::now() + Duration::from_secs(10);
    while shop.try_wait().expect("a child").is_none() {
        assert!(Instant::now() < deadline, "the shop is still open");
        std::thread::sleep(Duration::from_millis(10));
    }
}
