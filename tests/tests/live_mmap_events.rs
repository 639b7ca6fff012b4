//! Executable mappings are heard of, whichever CPU they are made on.

use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use pyebpf::kernel::MmapEvents;
use tests::live::alone;

#[test]
fn every_process_that_maps_executable_memory_is_named() {
    let _alone = alone();
    let mut events = MmapEvents::start().expect("perf events are permitted to root");
    let mut children: Vec<Child> = (0..8)
        .map(|_| Command::new("true").spawn().expect("`true` exists"))
        .collect();
    let expected: BTreeSet<u32> = children.iter().map(Child::id).collect();
    for child in &mut children {
        child.wait().expect("the child is ours");
    }
    let mut found = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !found.is_superset(&expected) {
        assert!(Instant::now() < deadline, "{found:?} of {expected:?}");
        let is_lossy = events.drain(|process| {
            found.insert(process);
        });
        assert!(!is_lossy, "the ring has room for eight small programs");
    }
    assert!(
        !found.contains(&std::process::id()),
        "this process mapped nothing"
    );
}

#[test]
fn a_ring_that_overflows_says_so() {
    let _alone = alone();
    let mut events = MmapEvents::start().expect("perf events are permitted to root");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut is_lossy = false;
    while !is_lossy {
        assert!(Instant::now() < deadline, "400 programs at once filled no ring");
        for _ in 0..400 {
            let status = Command::new("true").status().expect("`true` exists");
            assert!(status.success());
        }
        is_lossy = events.drain(|_| {});
    }
}
