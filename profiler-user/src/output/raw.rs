//! Folded stacks (`raw`): one line per different stack, frames outermost first and joined by `;`, a space, the number
//! of samples, nanoseconds or events. What `flamegraph.pl`, inferno and speedscope read.
//!
//! Lines are sorted frame by frame. Frames are escaped as in a Python string literal ([`escape::folded`]), so a line is
//! always one stack and its last word always the number.
//!
//! [`escape::folded`]: super::escape::folded

use std::io::Write;

use crate::output::folded::Folded;
use crate::output::{Output, OutputError, RenderOptions};
use crate::profile::Recording;

/// The format.
pub(super) struct Raw;

impl Output for Raw {
    fn about(&self) -> &'static str {
        "Folded stacks, one per line with its number of samples"
    }

    fn noun(&self) -> Option<&'static str> {
        Some("raw flamegraph data")
    }

    fn opens_with(&self) -> Option<&'static str> {
        Some(
            "flamegraph.pl of https://github.com/brendangregg/FlameGraph draws it, and `pyebpf report FILE` shows it",
        )
    }

    fn write(
        &self,
        recording: &mut Recording,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let folded = Folded::new(recording, options)?;
        for group in folded.groups() {
            for (index, rank) in folded.ranks(group).enumerate() {
                if index != 0 {
                    out.write_all(b";")?;
                }
                out.write_all(folded.text(rank).as_bytes())?;
            }
            writeln!(out, " {}", group.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, proptest};

    use super::Raw;
    use crate::output::identity_text::{process_text, thread_text};
    use crate::output::test_recording::{assert_golden, hand_made, python, recording};
    use crate::output::{Group, LineStyle, Output as _, RenderOptions, ShortNames, escape};
    use crate::profile::{Process, ProcessId, Recording, Thread};

    fn raw(recording: &mut Recording, options: &RenderOptions) -> String {
        let mut out = Vec::new();
        Raw.write(recording, options, &mut out)
            .expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    /// Reads folded stacks as their users do: lines, the last word a number, the rest frames between semicolons.
    fn parse(folded: &str) -> BTreeMap<Vec<String>, u64> {
        let mut stacks = BTreeMap::new();
        for line in folded.split_terminator('\n') {
            let (stack, samples) = line.rsplit_once(' ').expect("a space");
            let frames = stack.split(';').map(escape::unfolded).collect();
            let earlier = stacks.insert(frames, samples.parse().expect("a number"));
            assert_eq!(earlier, None, "twice: {line}");
        }
        stacks
    }

    #[test]
    fn stacks_are_folded_sorted_and_escaped() {
        assert_golden("plain.txt", &raw(&mut hand_made(), &RenderOptions::default()));
    }

    #[test]
    fn processes_and_threads_are_root_frames() {
        let options = RenderOptions {
            roots: vec![Group::Process, Group::Thread],
            ..RenderOptions::default()
        };
        assert_golden("processes-threads.txt", &raw(&mut hand_made(), &options));
    }

    #[test]
    fn stacks_that_became_the_same_by_their_style_are_one_line() {
        let functions = RenderOptions {
            lines: LineStyle::Function,
            ..RenderOptions::default()
        };
        assert_golden("function.txt", &raw(&mut hand_made(), &functions));
        let no_lines = RenderOptions {
            lines: LineStyle::None,
            full_filenames: true,
            ..functions
        };
        assert_golden("nolineno-full-filenames.txt", &raw(&mut hand_made(), &no_lines));
    }

    #[test]
    fn a_stack_without_frames_and_a_frame_without_a_name_are_lines_too() {
        let process = Process {
            pid: 1,
            command_line: String::new(),
            ..Process::default()
        };
        let thread = Thread {
            process: ProcessId(0),
            tid: 1,
            name: String::new(),
        };
        let mut nameless = python("", "", 1, 1);
        nameless.file = None;
        nameless.short_file = None;
        let mut odd = recording(
            vec![process],
            vec![thread],
            vec![nameless],
            &[&[], &[0]],
            &[(1, 0, 0), (2, 0, 1)],
        );
        assert_eq!(
            raw(&mut odd, &RenderOptions::default()),
            "<no frames> 1\n<no name> 1\n"
        );
        odd.profiles.clear();
        assert_eq!(raw(&mut odd, &RenderOptions::default()), "");
    }

    /// Any names, also such that break careless folded output.
    fn names(count: usize) -> impl Strategy<Value = Vec<String>> {
        vec(
            proptest::prop_oneof![any::<String>(), "[a-c; 0-9\n\\\\#.]{0,6}"],
            count,
        )
    }

    proptest! {
        #[test]
        fn what_is_read_back_has_the_same_stacks_and_counts(
            names in names(6),
            command_lines in names(2),
            stacks in vec(vec(0u32..6, 1..8), 5),
            samples in vec((0u32..3, 0u32..5), 1..60),
            threads in any::<bool>(),
            processes in any::<bool>(),
        ) {
            let process = |index: usize| Process { pid: 7, command_line: command_lines[index].clone(), ..Process::default() };
            let thread = |process, name: &String| Thread { process: ProcessId(process), tid: 1, name: name.clone() };
            let mut recording = recording(
                vec![process(0), process(1)],
                vec![thread(0, &names[0]), thread(1, &names[1]), thread(1, &names[2])],
                names.iter().map(|name| python(name, name, 1, 1)).collect(),
                &stacks.iter().map(Vec::as_slice).collect::<Vec<_>>(),
                &samples.iter().map(|(thread, stack)| (1, *thread, *stack)).collect::<Vec<_>>(),
            );
            let roots = [processes.then_some(Group::Process), threads.then_some(Group::Thread)];
            let options = RenderOptions { roots: roots.into_iter().flatten().collect(), ..RenderOptions::default() };
            let short = ShortNames::of(&recording.frames);
            let mut expected: BTreeMap<Vec<String>, u64> = BTreeMap::new();
            for (thread, stack) in samples {
                let thread = &recording.threads[thread as usize];
                let mut frames = Vec::new();
                frames.extend(processes.then(|| process_text(recording.process(thread.process))));
                frames.extend(threads.then(|| thread_text(thread)));
                frames.extend(stacks[stack as usize].iter().map(|id| options.frame_text(&recording.frames[*id as usize], &short)));
                *expected.entry(frames).or_default() += 1;
            }
            let written = raw(&mut recording, &options);
            assert_eq!(parse(&written), expected);
        }
    }
}
