//! Stacks as they are, taken apart into what a sample holds, and merged again.

use profiler_common::contract::layout::Layout;
use proptest::prelude::*;

use super::*;
use crate::language::python::layout::LAYOUTS;

/// The code of native frames: their `pc`.
mod code {
    pub(super) const PLAIN: u64 = 0x1000;
    pub(super) const LOOP: u64 = 0x2000;
    pub(super) const GREENLET: u64 = 0x3000;
}

/// A frame of the true stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum True {
    Native {
        pc: u64,
        bytes: u64,
    },
    /// `entry`: where in the memory of its native frame the entry frame is, if this is the outermost one of its invocation.
    Python {
        entry: Option<u64>,
        is_bookkeeping: bool,
    },
}

/// A C function with so many bytes of stack.
fn plain() -> impl Strategy<Value = True> {
    (2..60u64).prop_map(|words| True::Native {
        pc: code::PLAIN,
        bytes: words * 8,
    })
}

/// Python frames and the loop that runs them, newest first.
fn invocation(scheme: Scheme) -> BoxedStrategy<Vec<True>> {
    let count = if scheme == Scheme::ByFrame { 1 } else { 6 };
    (1..=count, 2..60u64, any::<prop::sample::Index>(), any::<u8>())
        .prop_map(move |(count, words, entry, bookkeeping)| {
            let entry = entry.index(words as usize) as u64 * 8;
            let mut frames: Vec<True> = (0..count)
                .map(|index| True::Python {
                    entry: (index + 1 == count).then_some(entry),
                    is_bookkeeping: scheme == Scheme::ByAddress && index > 0 && bookkeeping >> index & 3 == 3,
                })
                .collect();
            frames.push(True::Native {
                pc: code::LOOP,
                bytes: words * 8,
            });
            frames
        })
        .boxed()
}

/// A whole stack, newest first; the thread begins with C functions.
fn stack(scheme: Scheme) -> BoxedStrategy<Vec<True>> {
    let step = prop_oneof![
        plain().prop_map(|frame| vec![frame]),
        invocation(scheme),
        invocation(scheme)
    ];
    (
        prop::collection::vec(step, 0..30),
        prop::collection::vec(plain(), 1..4),
    )
        .prop_map(|(steps, start)| steps.into_iter().flatten().chain(start).collect())
        .boxed()
}

fn scheme() -> impl Strategy<Value = Scheme> {
    prop_oneof![
        Just(Scheme::ByAddress),
        Just(Scheme::ByInvocation),
        Just(Scheme::ByFrame)
    ]
}

/// What a sample holds.
#[derive(Clone, Debug)]
struct Sample {
    scheme: Scheme,
    python: Vec<RawFrame>,
    entries: Vec<bool>,
    native: Vec<NativeFrame>,
    status: StackStatus,
    native_complete: bool,
    collecting: bool,
    kernel: usize,
    knows_loop: bool,
}

/// What a sample of this stack holds, and what it is to be merged to.
fn take_apart(scheme: Scheme, stack: &[True]) -> (Sample, Vec<Part>) {
    let mut sample = Sample {
        scheme,
        python: Vec::new(),
        entries: Vec::new(),
        native: Vec::new(),
        status: StackStatus::Complete,
        native_complete: true,
        collecting: false,
        kernel: 0,
        knows_loop: scheme != Scheme::ByAddress,
    };
    let mut parts = Vec::new();
    let mut sp = 0x7000_0000_0000;
    for frame in stack {
        match *frame {
            True::Native { pc, bytes } => {
                parts.push(Part::Native(sample.native.len()));
                sample.native.push(NativeFrame { pc, sp });
                sp += bytes;
            }
            True::Python {
                entry,
                is_bookkeeping,
            } => {
                let code = 0x5000 + sample.python.len() as u64;
                let (code, check) = if is_bookkeeping {
                    (0, BOOKKEEPING_FRAME)
                } else {
                    parts.push(Part::Python(sample.python.len()));
                    (code, 7)
                };
                sample.python.push(RawFrame {
                    code,
                    instr_offset: 0,
                    check,
                });
                sample.entries.push(entry.is_some());
                if let (Scheme::ByAddress, Some(entry)) = (scheme, entry) {
                    // The loop's own frame comes next and begins at `sp`.
                    sample.python.push(RawFrame::entry(sp + entry));
                    sample.entries.push(false);
                }
            }
        }
    }
    if sample.python.is_empty() {
        sample.status = StackStatus::NoFrames;
        parts.push(Part::PythonMissing);
    }
    (sample, parts)
}

fn run(sample: &Sample) -> (Quality, Vec<Part>) {
    let pc = |index: usize| sample.native[index].pc;
    let input = Input {
        python: &sample.python,
        entries: &sample.entries,
        status: sample.status,
        collecting: sample.collecting,
        native: &sample.native,
        native_complete: sample.native_complete,
        kernel: sample.kernel,
    };
    let evaluation = Evaluation {
        scheme: sample.scheme,
        is_loop: &|index| sample.knows_loop && pc(index) == code::LOOP,
        begins_stack: &|index| pc(index) == code::GREENLET,
    };
    // What was there before does not matter.
    let mut parts = vec![Part::Kernel(77)];
    (merge(&input, &evaluation, &mut parts), parts)
}

fn indexes(parts: &[Part], of: impl Fn(&Part) -> Option<usize>) -> Vec<usize> {
    parts.iter().filter_map(of).collect()
}

fn python(parts: &[Part]) -> Vec<usize> {
    indexes(parts, |part| match part {
        Part::Python(index) => Some(*index),
        _ => None,
    })
}

fn native(parts: &[Part]) -> Vec<usize> {
    indexes(parts, |part| match part {
        Part::Native(index) => Some(*index),
        _ => None,
    })
}

/// The native frame that runs a Python frame.
fn runner(parts: &[Part], python: usize) -> Option<usize> {
    let at = parts.iter().position(|part| *part == Part::Python(python))?;
    native(&parts[at..]).first().copied()
}

proptest! {
    #[test]
    fn a_stack_taken_apart_is_merged_to_itself(
        (scheme, stack) in scheme().prop_flat_map(|scheme| (Just(scheme), stack(scheme))),
    ) {
        let (sample, expected) = take_apart(scheme, &stack);
        prop_assert_eq!(run(&sample), (Quality::Exact, expected));
    }

    #[test]
    fn an_invocation_that_is_not_linked_to_its_frame_stands_above_python(
        (scheme, stack, above) in scheme()
            .prop_flat_map(|scheme| (Just(scheme), stack(scheme), 0..=MAX_ABOVE_UNLINKED)),
    ) {
        // In the first or last steps of the loop.
        let mut unlinked = vec![True::Native { pc: code::PLAIN, bytes: 32 }; above];
        unlinked.push(True::Native { pc: code::LOOP, bytes: 96 });
        unlinked.extend(stack);
        let (sample, expected) = take_apart(scheme, &unlinked);
        prop_assert_eq!(run(&sample), (Quality::Exact, expected));
    }

    #[test]
    fn an_entry_frame_without_python_frames_changes_nothing(
        stack in stack(Scheme::ByAddress),
        offset in 0..12u64,
        sentinel in any::<u64>(),
    ) {
        // The newest invocation has just begun or is about to end; the oldest frame is that in the thread state.
        let mut begun = vec![True::Native { pc: code::LOOP, bytes: 96 }];
        begun.extend(stack);
        let (mut sample, expected) = take_apart(Scheme::ByAddress, &begun);
        let is_running = sample.status == StackStatus::Complete;
        sample.python.insert(0, RawFrame::entry(sample.native[0].sp + offset * 8));
        sample.python.push(RawFrame::entry(sentinel % 0x6000_0000_0000));
        sample.entries.clear();
        sample.status = StackStatus::Complete;
        let (quality, parts) = run(&sample);
        let shifted: Vec<Part> = expected
            .into_iter()
            .filter(|part| *part != Part::PythonMissing)
            .map(|part| if let Part::Python(index) = part { Part::Python(index + 1) } else { part })
            .collect();
        prop_assert_eq!(is_running, !python(&parts).is_empty());
        prop_assert_eq!((quality, parts), (Quality::Exact, shifted));
    }

    #[test]
    fn a_native_stack_that_ends_early_is_merged_as_far_as_it_goes(
        (scheme, stack) in scheme().prop_flat_map(|scheme| (Just(scheme), stack(scheme))),
        keep in any::<prop::sample::Index>(),
    ) {
        let (mut sample, whole) = take_apart(scheme, &stack);
        let keep = keep.index(sample.native.len());
        sample.native.truncate(keep);
        sample.native_complete = false;
        let (quality, parts) = run(&sample);
        let has_native = !sample.native.is_empty();
        prop_assert_eq!(quality, if has_native { Quality::NativeTruncated } else { Quality::PythonOnly });
        prop_assert_eq!(python(&parts), python(&whole));
        prop_assert_eq!(native(&parts), (0..keep).collect::<Vec<_>>());
        // As far as nothing is missing it is the same; the oldest frame's memory may have been the next loop's.
        let marker = parts.iter().position(|part| *part == Part::NativeMissing).expect("something is missing");
        let is_last = |part: &Part| matches!(part, Part::Native(index) if index + 1 == keep);
        let certain = parts[..marker].iter().position(is_last).unwrap_or(0);
        prop_assert_eq!(&parts[..certain.min(marker)], &whole[..certain.min(marker)]);
        prop_assert!(native(&parts[marker..]).is_empty());
    }

    #[test]
    fn a_python_stack_that_ends_early_keeps_its_place(
        (scheme, stack) in scheme().prop_flat_map(|scheme| (Just(scheme), stack(scheme))),
        keep in any::<prop::sample::Index>(),
    ) {
        let (mut sample, whole) = take_apart(scheme, &stack);
        prop_assume!(!sample.python.is_empty());
        let keep = 1 + keep.index(sample.python.len());
        sample.python.truncate(keep);
        sample.entries.truncate(keep);
        sample.status = StackStatus::Truncated;
        sample.knows_loop = true;
        let (quality, parts) = run(&sample);
        prop_assert!(matches!(quality, Quality::Exact | Quality::FromNewest));
        prop_assert_eq!(native(&parts), (0..sample.native.len()).collect::<Vec<_>>());
        for index in python(&parts) {
            prop_assert_eq!(runner(&parts, index), runner(&whole, index));
        }
        let missing = parts.iter().position(|part| *part == Part::PythonMissing).expect("something is missing");
        if python(&parts).is_empty() {
            prop_assert_eq!(missing, parts.len() - 1);
        } else {
            prop_assert!(matches!(parts[missing - 1], Part::Python(_)));
            prop_assert!(python(&parts[missing..]).is_empty());
        }
    }

    #[test]
    fn a_greenlet_is_merged_whatever_it_was_started_from(
        (scheme, own, other) in scheme().prop_flat_map(|scheme| (Just(scheme), stack(scheme), stack(scheme))),
        is_known in any::<bool>(),
        is_cut in any::<bool>(),
    ) {
        let switch = True::Native { pc: if is_known { code::GREENLET } else { code::PLAIN }, bytes: 64 };
        let both: Vec<True> = own.iter().copied().chain([switch]).chain(other.iter().copied()).collect();
        let (mut sample, whole) = take_apart(scheme, &both);
        let (alone, _) = take_apart(scheme, &own);
        prop_assume!(!alone.python.is_empty());
        let outer = other.iter().filter(|frame| matches!(frame, True::Native { pc: code::LOOP, .. })).count();
        let above = alone.native.iter().position(|frame| frame.pc == code::LOOP).unwrap_or(0);
        // Without knowing greenlet, one loop more is taken for one that is not linked.
        prop_assume!(is_known || scheme == Scheme::ByAddress || outer != 1 || above > MAX_ABOVE_UNLINKED);
        sample.native_complete = !is_cut || (!is_known && scheme != Scheme::ByAddress);
        sample.python.truncate(alone.python.len());
        sample.entries.truncate(alone.entries.len());
        let (quality, mut parts) = run(&sample);
        let is_counted = !is_known && scheme != Scheme::ByAddress && outer > 0;
        prop_assert_eq!(quality, match (sample.native_complete, is_counted) {
            (false, _) => Quality::NativeTruncated,
            (true, true) => Quality::FromNewest,
            (true, false) => Quality::Exact,
        });
        if !sample.native_complete {
            prop_assert_eq!(parts.pop(), Some(Part::NativeMissing));
        }
        let expected: Vec<Part> = whole
            .into_iter()
            .filter(|part| !matches!(part, Part::Python(index) if *index >= alone.python.len()))
            .collect();
        prop_assert_eq!(parts, expected);
    }

    #[test]
    fn a_signal_handler_on_a_stack_of_its_own_changes_nothing(
        (scheme, stack) in scheme().prop_flat_map(|scheme| (Just(scheme), stack(scheme))),
        handler in prop::collection::vec(plain(), 1..4),
        is_higher in any::<bool>(),
    ) {
        let with_handler: Vec<True> = handler.iter().copied().chain(stack).collect();
        let (mut sample, expected) = take_apart(scheme, &with_handler);
        for frame in &mut sample.native[..handler.len()] {
            frame.sp = if is_higher { frame.sp + 0x1000_0000 } else { frame.sp - 0x1000_0000 };
        }
        prop_assert_eq!(run(&sample), (Quality::Exact, expected));
    }

    #[test]
    fn what_does_not_fit_loses_no_python_frame_and_no_order(
        scheme in scheme(),
        frames in prop::collection::vec((0..4u8, any::<u64>(), any::<bool>()), 0..80),
        native_frames in prop::collection::vec((0..4u8, any::<u64>()), 0..80),
        status in prop::sample::select(StackStatus::ALL),
        (native_complete, collecting, knows_loop) in any::<(bool, bool, bool)>(),
        kernel in 0..5usize,
        unmarked in 0..3usize,
    ) {
        // Few addresses, so that some fit by chance.
        let near = |value: u64, kind: u8| if kind.is_multiple_of(2) { value % 64 } else { value };
        let sample = Sample {
            scheme,
            python: frames.iter().map(|&(kind, value, _)| match kind {
                0 | 1 => RawFrame::entry(near(value, kind)),
                2 => RawFrame { code: value, instr_offset: 0, check: value as u32 },
                _ => RawFrame { code: 1, instr_offset: 0, check: 1 },
            }).collect(),
            entries: frames.iter().map(|&(_, _, is_entry)| is_entry).skip(unmarked).collect(),
            native: native_frames.iter().map(|&(kind, value)| NativeFrame {
                pc: [code::PLAIN, code::LOOP, code::LOOP, code::GREENLET][usize::from(kind)],
                sp: near(value, kind),
            }).collect(),
            status, native_complete, collecting, kernel, knows_loop,
        };
        let (quality, parts) = run(&sample);
        let shown: Vec<usize> = (0..sample.python.len()).filter(|&index| is_shown(&sample.python[index])).collect();
        prop_assert_eq!(python(&parts), shown);
        let native = native(&parts);
        prop_assert_eq!(&native, &(0..native.len()).collect::<Vec<_>>());
        prop_assert!(native.len() == sample.native.len() || quality == Quality::Unmatched);
        prop_assert_eq!(sample.native.is_empty(), quality == Quality::PythonOnly);
        let expected: Vec<Part> = (0..kernel).map(Part::Kernel).collect();
        prop_assert_eq!(&parts[..kernel], expected);
        let count = |wanted: Part| parts.iter().filter(|part| **part == wanted).count();
        prop_assert_eq!(count(Part::Collecting), usize::from(collecting));
        prop_assert_eq!(count(Part::PythonMissing), usize::from(status != StackStatus::Complete));
        prop_assert_eq!(count(Part::NativeMissing), usize::from(!native_complete || quality == Quality::Unmatched));
    }
}

fn frame(code: u64) -> RawFrame {
    RawFrame {
        code,
        instr_offset: 0,
        check: 1,
    }
}

fn at(pc: u64, sp: u64) -> NativeFrame {
    NativeFrame { pc, sp }
}

/// A sample in a C function that one Python frame called.
fn simple(scheme: Scheme) -> Sample {
    Sample {
        scheme,
        python: vec![frame(1)],
        entries: vec![true],
        native: vec![
            at(code::PLAIN, 0x100),
            at(code::LOOP, 0x200),
            at(code::PLAIN, 0x300),
        ],
        status: StackStatus::Complete,
        native_complete: true,
        collecting: false,
        kernel: 0,
        knows_loop: true,
    }
}

#[test]
fn every_version_has_its_scheme() {
    for entry in LAYOUTS {
        let expected = match (entry.major, entry.minor) {
            (2, _) | (3, ..=10) => Scheme::ByFrame,
            (3, 11) => Scheme::ByInvocation,
            _ => Scheme::ByAddress,
        };
        assert_eq!(Scheme::of(&entry.layout), expected, "{}", entry.tag);
    }
    assert_eq!(Scheme::of(&Layout::default()), Scheme::ByFrame);
}

#[test]
fn a_collection_stands_between_its_caller_and_the_collector() {
    let mut sample = simple(Scheme::ByFrame);
    sample.collecting = true;
    sample.kernel = 1;
    let expected = [
        Part::Kernel(0),
        Part::Native(0),
        Part::Collecting,
        Part::Python(0),
        Part::Native(1),
        Part::Native(2),
    ];
    assert_eq!(run(&sample), (Quality::Exact, expected.to_vec()));
}

#[test]
fn a_thread_without_python_shows_its_native_frames_and_why_there_is_nothing_else() {
    let mut sample = simple(Scheme::ByInvocation);
    sample.python.clear();
    sample.status = StackStatus::NoThreadState;
    let expected = [
        Part::Native(0),
        Part::Native(1),
        Part::Native(2),
        Part::PythonMissing,
    ];
    assert_eq!(run(&sample), (Quality::Exact, expected.to_vec()));
}

#[test]
fn more_python_than_loops_stays_whole_below_what_the_newest_loop_called() {
    for scheme in [Scheme::ByFrame, Scheme::ByInvocation, Scheme::ByAddress] {
        let mut sample = simple(scheme);
        sample.python = vec![frame(1), frame(2)];
        if scheme == Scheme::ByAddress {
            // Somewhere else altogether.
            sample.python.push(RawFrame::entry(0x9000));
        }
        sample.entries = vec![true; 2];
        let expected = [
            Part::Native(0),
            Part::NativeMissing,
            Part::Python(0),
            Part::Python(1),
        ];
        assert_eq!(run(&sample), (Quality::Unmatched, expected.to_vec()));
    }
}

#[test]
fn python_alone_is_whole() {
    for native_complete in [true, false] {
        let mut sample = simple(Scheme::ByAddress);
        sample.native.clear();
        sample.native_complete = native_complete;
        let mut expected = vec![Part::NativeMissing, Part::Python(0)];
        if native_complete {
            expected.remove(0);
        }
        assert_eq!(run(&sample), (Quality::PythonOnly, expected));
    }
}

#[test]
fn a_newest_loop_that_calls_on_is_linked_and_the_one_too_many_is_the_oldest() {
    let mut sample = simple(Scheme::ByFrame);
    sample.native = (0..4).map(|index| at(code::PLAIN, index * 16)).collect();
    sample.native.push(at(code::LOOP, 0x100));
    sample.native.push(at(code::LOOP, 0x200));
    let (quality, parts) = run(&sample);
    assert_eq!(quality, Quality::FromNewest);
    assert_eq!(parts[4..6], [Part::Python(0), Part::Native(4)]);
}
