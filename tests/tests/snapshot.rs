//! The real walker over recorded memory of every supported interpreter, intact and damaged. Needs no Python, no root, no
//! BPF.

use profiler_common::contract::layout::{Layout, frame_shape};
use profiler_common::contract::process::thread_lookup;
use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::records::{MAX_FRAMES, RawFrame};
use profiler_common::memory::{Memory as _, RemoteAddr};
use tests::matrix::{CASES, Case};
use tests::python::supported_versions;
use tests::snapshot::image::Image;
use tests::snapshot::walk::{Walked, by_key_only, compare, name, walk};
use tests::snapshot::{SINCE, Snapshot, WORKLOADS};

/// Damaged images of one snapshot that are walked.
const DAMAGES: usize = 100;

fn each(check: impl Fn(&Snapshot, &Layout) -> anyhow::Result<()>) {
    let snapshots = Snapshot::all().expect("readable snapshots");
    let mut failures = Vec::new();
    for snapshot in &snapshots {
        let layout = snapshot.layout().expect("a supported version");
        if let Err(error) = check(snapshot, &layout) {
            failures.push(format!("{}: {error:#}", snapshot.name()));
        }
    }
    assert!(!snapshots.is_empty(), "no snapshots");
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        snapshots.len(),
        failures.join("\n")
    );
}

fn rewalk(snapshot: &Snapshot, memory: &Image, layout: &Layout) -> Walked {
    walk(memory, &snapshot.lookup, layout, snapshot.thread_pointer)
}

/// Addresses of all frames, newest first, found without the walker.
fn frame_addresses(snapshot: &Snapshot, layout: &Layout, newest: RemoteAddr) -> Vec<RemoteAddr> {
    let mut addresses = Vec::new();
    let mut at = newest;
    while !at.is_null() && addresses.len() < MAX_FRAMES {
        addresses.push(at);
        let mut previous = [0u64; 1];
        let field = at.offset(layout.frame.previous.into());
        snapshot
            .memory
            .read_words(field, &mut previous)
            .expect("every frame was recorded");
        at = RemoteAddr(previous[0]);
    }
    addresses
}

/// xorshift64: the same damage in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn there_is_a_snapshot_of_every_supported_version_and_every_workload() {
    let snapshots = Snapshot::all().expect("readable snapshots");
    for version in supported_versions() {
        let of_matrix = CASES
            .iter()
            .filter(|case| case.snapshot.is_some() && case.is_for(version))
            .map(Case::snapshot_name);
        let own = WORKLOADS.iter().filter(|_| (version.0, version.1, 0) >= SINCE);
        for workload in own.map(|(name, ..)| *name).chain(of_matrix) {
            let found = snapshots
                .iter()
                .any(|s| s.version == version && s.workload == workload);
            assert!(
                found,
                "no snapshot of {workload} on {version:?}: cargo xtask snapshot"
            );
        }
    }
}

#[test]
fn every_frame_has_the_name_file_and_line_that_the_program_reported() {
    each(|snapshot, layout| {
        let walked = rewalk(snapshot, &snapshot.memory, layout);
        compare(&walked, &name(&snapshot.memory, layout, &walked), &snapshot.stack)
    });
}

#[test]
fn the_lock_is_held_in_python_code_and_released_in_the_call_that_released_it() {
    each(|snapshot, layout| {
        let expected = if snapshot.workload == "gil_released" {
            GilState::Released
        } else if snapshot.free_threaded {
            GilState::Absent
        } else {
            GilState::Held
        };
        let gil = rewalk(snapshot, &snapshot.memory, layout).gil;
        anyhow::ensure!(gil == expected, "{gil:?}");
        Ok(())
    });
}

#[test]
fn the_thread_key_leads_to_the_same_stack_as_the_holder_of_the_lock() {
    each(|snapshot, layout| {
        if snapshot.lookup.holder != 0 && snapshot.workload == "subinterpreters" {
            // Up to 3.11 the key leads to the thread's first state, which is that of the main interpreter.
            return Ok(());
        }
        let lookup = by_key_only(&snapshot.lookup);
        let by_key = walk(&snapshot.memory, &lookup, layout, snapshot.thread_pointer);
        let frames = rewalk(snapshot, &snapshot.memory, layout).frames;
        anyhow::ensure!(by_key.status == StackStatus::Complete, "{:?}", by_key.status);
        anyhow::ensure!(
            by_key.frames == frames,
            "{} frames, {} by key",
            frames.len(),
            by_key.frames.len()
        );
        Ok(())
    });
}

#[test]
fn another_thread_pointer_finds_no_stack() {
    each(|snapshot, layout| {
        for pointer in [0, 8, snapshot.thread_pointer + 64, u64::MAX] {
            let walked = walk(&snapshot.memory, &snapshot.lookup, layout, pointer);
            anyhow::ensure!(
                walked.frames.is_empty(),
                "{} frames for {pointer:#x}",
                walked.frames.len()
            );
            // A thread-local variable at such an address is not readable; nor are, in the recorded memory, the thread
            // states that a longer search comes to.
            let may_fault = matches!(
                snapshot.lookup.how,
                thread_lookup::THREAD_LOCAL | thread_lookup::LIST
            );
            anyhow::ensure!(
                matches!(
                    walked.status,
                    StackStatus::NoThreadState | StackStatus::ForeignThreadState
                ) || may_fault && walked.status == StackStatus::StateFault,
                "{:?} for {pointer:#x}",
                walked.status
            );
        }
        Ok(())
    });
}

/// Where the newest invocation of the evaluation loop publishes itself before it says where its frames begin (3.11, 3.12),
/// the walker trusts its frames only once it has seen that they lead to the invocation before. Then it drops them.
fn keeps_older_invocations(cut: &Walked, whole: &Walked, layout: &Layout, index: usize) -> bool {
    let dropped = whole.frames.len().saturating_sub(cut.frames.len());
    layout.frame_shape == frame_shape::VIA_CFRAME
        && cut.status == StackStatus::Complete
        && !cut.frames.is_empty()
        && index < dropped
        && whole.frames.ends_with(&cut.frames)
}

#[test]
fn an_unreadable_frame_ends_the_walk_there_and_keeps_what_was_found() {
    each(|snapshot, layout| {
        let whole = rewalk(snapshot, &snapshot.memory, layout);
        for (index, address) in frame_addresses(snapshot, layout, whole.newest)
            .into_iter()
            .enumerate()
        {
            let mut memory = snapshot.memory.clone();
            memory.remove(address.offset(layout.frame.previous.into()), 1);
            let cut = rewalk(snapshot, &memory, layout);
            let ends_there = cut.status == StackStatus::FrameFault && cut.frames == whole.frames[..index];
            anyhow::ensure!(
                ends_there || keeps_older_invocations(&cut, &whole, layout, index),
                "frame {index}: {:?} after {} of {} frames",
                cut.status,
                cut.frames.len(),
                whole.frames.len()
            );
        }
        Ok(())
    });
}

#[test]
fn a_cyclic_frame_list_is_cut_off_at_the_limit() {
    each(|snapshot, layout| {
        let newest = rewalk(snapshot, &snapshot.memory, layout).newest;
        let oldest = *frame_addresses(snapshot, layout, newest).last().expect("a frame");
        for target in [newest, oldest] {
            let mut memory = snapshot.memory.clone();
            memory.write(
                oldest.offset(layout.frame.previous.into()),
                &target.0.to_le_bytes(),
            );
            let walked = rewalk(snapshot, &memory, layout);
            anyhow::ensure!(walked.status == StackStatus::Truncated, "{:?}", walked.status);
            anyhow::ensure!(
                walked.frames.len() == MAX_FRAMES,
                "{} frames",
                walked.frames.len()
            );
        }
        Ok(())
    });
}

#[test]
fn an_unreadable_runtime_or_thread_state_is_reported_as_such() {
    each(|snapshot, layout| {
        let lookup = &snapshot.lookup;
        let mut memory = snapshot.memory.clone();
        // The thread's own variables cannot be taken away without the thread.
        if matches!(
            lookup.how,
            thread_lookup::KEY_STRUCT | thread_lookup::KEY | thread_lookup::LIST
        ) {
            for address in [lookup.holder, lookup.anchor] {
                memory.remove(RemoteAddr(address), 16);
            }
            let walked = rewalk(snapshot, &memory, layout);
            anyhow::ensure!(
                walked.status == StackStatus::StateFault,
                "runtime: {:?}",
                walked.status
            );
        }
        if lookup.how != thread_lookup::KEY_STRUCT {
            return Ok(());
        }

        let mut memory = snapshot.memory.clone();
        memory.write(RemoteAddr(lookup.anchor), &[0; 4]);
        if lookup.holder != 0 {
            memory.write(RemoteAddr(lookup.holder), &[0; 8]);
        }
        if lookup.last_holder != 0 {
            memory.write(RemoteAddr(lookup.last_holder), &[0; 8]);
        }
        let walked = rewalk(snapshot, &memory, layout);
        anyhow::ensure!(
            walked.status == StackStatus::NotInitialized,
            "no key: {:?}",
            walked.status
        );
        Ok(())
    });
}

#[test]
fn a_code_object_that_went_away_costs_its_own_name_only() {
    each(|snapshot, layout| {
        let whole = rewalk(snapshot, &snapshot.memory, layout);
        let leaf = whole
            .frames
            .iter()
            .find(|frame| frame.code != 0)
            .expect("a frame");
        let mut memory = snapshot.memory.clone();
        memory.remove(RemoteAddr(leaf.code).offset(layout.code.filename.into()), 8);
        let walked = rewalk(snapshot, &memory, layout);
        if keeps_older_invocations(&walked, &whole, layout, 0) {
            return Ok(());
        }
        anyhow::ensure!(walked.status == StackStatus::Complete, "{:?}", walked.status);
        anyhow::ensure!(
            walked.frames.len() == whole.frames.len(),
            "{} frames",
            walked.frames.len()
        );
        let names = name(&memory, layout, &walked);
        let same = |frame: &&RawFrame| frame.code == leaf.code;
        let lost = walked.frames.iter().filter(same).count();
        anyhow::ensure!(
            walked.frames.iter().filter(same).all(|frame| frame.check == 0),
            "it has an identity"
        );
        let unnamed = names.iter().filter(|name| name.is_none()).count();
        anyhow::ensure!(
            unnamed == lost,
            "{unnamed} frames without a name, {lost} of that function"
        );
        Ok(())
    });
}

#[test]
fn flipped_bytes_and_missing_pages_never_panic_or_run_away() {
    each(|snapshot, layout| {
        let known: Vec<RemoteAddr> = snapshot.memory.known().collect();
        let mut random = Random(snapshot.thread_pointer | 1);
        for round in 0..DAMAGES {
            let mut memory = snapshot.memory.clone();
            for _ in 0..=random.below(4) {
                let at = known[random.below(known.len())];
                let mut byte = [0u8; 1];
                if round % 3 == 0 {
                    memory.remove(RemoteAddr(at.0 & !0xfff), 0x1000);
                } else if memory.read_bytes(at, &mut byte, 1).is_ok() {
                    memory.write(at, &[byte[0] ^ (1 << random.below(8))]);
                }
            }
            let walked = rewalk(snapshot, &memory, layout);
            anyhow::ensure!(
                walked.frames.len() <= MAX_FRAMES,
                "{} frames",
                walked.frames.len()
            );
            let python = walked.frames.iter().filter(|frame| frame.code != 0).count();
            let asked = walked.unseen as usize;
            anyhow::ensure!(asked >= python, "{asked} of {python} asked about");
            let names = name(&memory, layout, &walked);
            let collector = usize::from(walked.collecting);
            anyhow::ensure!(
                names.len() == python + collector,
                "{} names for {python} frames",
                names.len()
            );
        }
        Ok(())
    });
}

#[test]
fn snapshots_say_nothing_about_the_machine_they_were_made_on() {
    each(|snapshot, _| {
        for frame in &snapshot.stack {
            anyhow::ensure!(
                ["/tmp/pyebpf-workloads/", "/made/"]
                    .iter()
                    .any(|start| frame.1.starts_with(start))
                    || !frame.1.contains('/'),
                "{frame:?}"
            );
        }
        Ok(())
    });
}
