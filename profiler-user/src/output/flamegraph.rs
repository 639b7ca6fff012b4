//! The flame graph (`flamegraph`): one interactive SVG by inferno, roots on top, as py-spy draws it.
//!
//! Stacks are cut where inferno would stop drawing them, before they become text: the picture is the same, and its
//! cost is that of what can be seen. What is cut away still counts for the frames that are drawn.

use std::io::{self, Write};

use inferno::flamegraph::color::PaletteMap;
use inferno::flamegraph::{Direction, Options, TextTruncateDirection, from_lines};

use crate::escape;
use crate::output::amounts::AmountUnit;
use crate::output::folded::{Folded, Rank};
use crate::output::legend::{self, WithLegend};
use crate::output::subtitle::subtitle;
use crate::output::{Output, OutputError, RenderOptions, palette};
use crate::profile::Recording;

/// Narrower frames are not drawn, percent of the width; py-spy's choice.
const MIN_WIDTH_PERCENT: f64 = 0.1;

/// The format.
pub(super) struct Flamegraph;

impl Output for Flamegraph {
    fn about(&self) -> &'static str {
        "Flame graph, an interactive SVG picture"
    }

    fn write(
        &self,
        recording: &mut Recording,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let folded = Folded::new(recording, options)?;
        if folded.groups().is_empty() {
            return Err(OutputError::NoSamples);
        }
        let lines = visible_lines(&folded);
        let total = total(&folded);
        let subtitle = subtitle(recording, total, folded.unit());
        let mut out = WithLegend::new(out, legend::header(recording, &subtitle));
        draw(
            &lines,
            folded.unit(),
            &mut colors(&folded),
            &recording.title,
            &mut out,
        )?;
        Ok(out.finish()?)
    }
}

/// What the whole picture stands for.
fn total(folded: &Folded<'_>) -> u64 {
    let groups = folded.groups().iter();
    groups.fold(0, |sum, group| sum.saturating_add(group.value))
}

/// Hands the lines to inferno.
fn draw(
    lines: &[String],
    unit: AmountUnit,
    colors: &mut PaletteMap,
    title: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut options = Options::default();
    options.direction = Direction::Inverted;
    options.min_width = MIN_WIDTH_PERCENT;
    options.title = escape::printable(title);
    options.subtitle = Some(legend::PLACEHOLDER.to_owned());
    unit.text().clone_into(&mut options.count_name);
    if unit == AmountUnit::Nanoseconds {
        // Nine digits say less than their first three.
        (options.count_name, options.factor) = ("ms".to_owned(), 1e-6);
    }
    // A name starts with what matters most.
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.palette_map = Some(colors);
    from_lines(&mut options, lines.iter().map(String::as_str), out)
}

/// The colour of every text that can occur.
fn colors(folded: &Folded<'_>) -> PaletteMap {
    let mut colors = PaletteMap::default();
    for root in folded.root_texts() {
        colors.insert(root, palette::ROOT);
    }
    for (text, frame) in folded.frame_texts() {
        colors.insert(text, palette::color(frame, text));
    }
    // inferno's frame around all of them has no name.
    colors.insert("", palette::ROOT);
    colors
}

/// Folded lines, cut to the frames that are wide enough. Neighbours that became the same are one line.
fn visible_lines(folded: &Folded<'_>) -> Vec<String> {
    let mut lines: Vec<(String, u64)> = Vec::new();
    for (group, depth) in folded.groups().iter().zip(visible_depths(folded)) {
        let frames: Vec<&str> = folded
            .ranks(group)
            .take(depth)
            .map(|rank| folded.text(rank))
            .collect();
        let stack = frames.join(";");
        match lines.last_mut() {
            Some((last, samples)) if *last == stack => *samples = samples.saturating_add(group.value),
            _ => lines.push((stack, group.value)),
        }
    }
    lines
        .into_iter()
        .map(|(stack, samples)| format!("{stack} {samples}"))
        .collect()
}

/// A frame that the walk over the sorted stacks is inside of.
struct Open {
    rank: Rank,
    first_group: usize,
    samples_before: u64,
}

/// For every group, how many of its frames are drawn; at least the outermost, so that its samples are counted.
fn visible_depths(folded: &Folded<'_>) -> Vec<usize> {
    let total = total(folded);
    // Spelled as inferno does, so that both agree on every frame.
    let min_samples = MIN_WIDTH_PERCENT / (100.0 / total as f64);
    let mut depths = Vec::with_capacity(folded.groups().len());
    let mut open: Vec<Open> = Vec::new();
    let mut seen = 0u64;
    for group in folded.groups() {
        let ranks: Vec<Rank> = folded.ranks(group).collect();
        let common = open
            .iter()
            .zip(&ranks)
            .take_while(|(open, rank)| open.rank == **rank)
            .count();
        close(&mut open, common, &mut depths, seen, min_samples);
        let first_group = depths.len();
        open.extend(ranks[common..].iter().map(|&rank| Open {
            rank,
            first_group,
            samples_before: seen,
        }));
        depths.push(ranks.len());
        seen = seen.saturating_add(group.value);
    }
    close(&mut open, 0, &mut depths, seen, min_samples);
    depths
}

/// Leaves all frames deeper than `keep`; the too narrow ones are cut from the groups they were in.
fn close(open: &mut Vec<Open>, keep: usize, depths: &mut [usize], seen: u64, min_samples: f64) {
    for (depth, frame) in open
        .drain(keep..)
        .enumerate()
        .map(|(index, frame)| (keep + index, frame))
        .rev()
    {
        if ((seen - frame.samples_before) as f64) < min_samples {
            for group in &mut depths[frame.first_group..] {
                *group = (*group).min(depth.max(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use quick_xml::events::Event;

    use super::{Flamegraph, Folded, draw, visible_lines};
    use crate::output::test_recording::{assert_golden, hand_made, python, recording};
    use crate::output::{Group, Output as _, OutputError, RenderOptions};
    use crate::profile::{Process, ProcessId, Recording, Thread};

    fn svg(recording: &mut Recording, options: &RenderOptions) -> String {
        let mut out = Vec::new();
        Flamegraph
            .write(recording, options, &mut out)
            .expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    /// What is drawn: the title, then a line per frame with its place, colour and tool tip. Fails on what is not XML.
    fn drawn(svg: &str) -> String {
        let mut reader = quick_xml::Reader::from_str(svg);
        let mut drawn = String::new();
        let mut element = String::new();
        let mut tool_tip = String::new();
        loop {
            match reader.read_event().expect("well-formed XML") {
                Event::Start(start) => {
                    element = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                    if start
                        .attributes()
                        .flatten()
                        .any(|attribute| attribute.value.as_ref() == b"title")
                    {
                        "heading".clone_into(&mut element);
                    }
                }
                Event::Text(text) if element == "title" => {
                    tool_tip.push_str(&text.decode().expect("UTF-8"));
                }
                Event::Text(text) if element == "heading" => {
                    drawn.push_str(&text.decode().expect("UTF-8"));
                }
                Event::GeneralRef(reference) if element == "title" => {
                    write!(tool_tip, "&{};", reference.decode().expect("UTF-8")).expect("a string");
                }
                Event::GeneralRef(reference) if element == "heading" => {
                    write!(drawn, "&{};", reference.decode().expect("UTF-8")).expect("a string");
                }
                Event::Empty(rect) if !tool_tip.is_empty() => {
                    let attributes = rect.attributes().flatten().filter(|attribute| {
                        matches!(attribute.key.as_ref(), b"fg:x" | b"fg:w" | b"y" | b"fill")
                    });
                    drawn.push('\n');
                    for attribute in attributes {
                        write!(drawn, "{} ", String::from_utf8_lossy(&attribute.value)).expect("a string");
                    }
                    drawn.push_str(&std::mem::take(&mut tool_tip));
                }
                Event::End(_) => element.clear(),
                Event::Eof => break,
                _ => {}
            }
        }
        drawn.push('\n');
        drawn
    }

    #[test]
    fn the_picture_has_a_box_per_frame_with_its_samples() {
        assert_golden(
            "plain.svg.frames",
            &drawn(&svg(&mut hand_made(), &RenderOptions::default())),
        );
        let options = RenderOptions {
            roots: vec![Group::Process, Group::Thread],
            ..RenderOptions::default()
        };
        assert_golden(
            "processes-threads.svg.frames",
            &drawn(&svg(&mut hand_made(), &options)),
        );
    }

    #[test]
    fn the_subtitle_says_how_much_was_recorded_where_and_when() {
        let svg = svg(&mut hand_made(), &RenderOptions::default());
        let subtitle = "15 samples in 2.0 s on 2 CPUs of web-7, 1970-01-01 00:00:00 UTC</text>";
        assert!(svg.contains(subtitle), "{svg}");
    }

    #[test]
    fn a_legend_says_which_colour_is_whose_code_as_far_as_they_occur() {
        let labels = |recording: &mut Recording| -> Vec<String> {
            let svg = svg(recording, &RenderOptions::default());
            let legend = svg.split_once("<g id=\"legend\">").expect("it is there").1;
            let legend = legend.split_once("</g>").expect("it ends").0;
            let texts = legend.split("<text ").skip(1);
            texts
                .map(|text| text.split(['>', '<']).nth(1).expect("a text").to_owned())
                .collect()
        };
        let mut all = hand_made();
        assert_eq!(
            labels(&mut all),
            [
                "Python: program",
                "Python: packages",
                "Python: standard library",
                "native",
                "interpreter",
                "kernel",
                "no code"
            ]
        );
        assert_eq!(labels(&mut mostly_narrow()), ["Python: program"]);
    }

    #[test]
    fn nothing_that_a_target_names_makes_the_picture_invalid() {
        let svg = svg(
            &mut hand_made(),
            &RenderOptions {
                roots: vec![Group::Process, Group::Thread],
                ..Default::default()
            },
        );
        // XML 1.0, section 2.2.
        let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        assert_eq!(svg.chars().find(|c| !allowed(*c)), None);
        assert!(svg.contains("inverted = true"));
    }

    #[test]
    fn no_samples_are_an_error_and_not_a_picture() {
        let mut empty = hand_made();
        empty.profiles.clear();
        let mut out = Vec::new();
        let error = Flamegraph
            .write(&mut empty, &RenderOptions::default(), &mut out)
            .expect_err("nothing");
        assert!(matches!(error, OutputError::NoSamples));
        assert!(out.is_empty());
    }

    /// One wide function, and many that are too narrow to be seen, alone and below others.
    fn mostly_narrow() -> Recording {
        let process = Process {
            pid: 1,
            command_line: "python".to_owned(),
            ..Process::default()
        };
        let thread = Thread {
            process: ProcessId(0),
            tid: 1,
            name: "python".to_owned(),
        };
        let frames = (0..800)
            .map(|n| python(&format!("f{n:03}"), "a.py", n + 1, n + 1))
            .collect();
        let mut stacks: Vec<Vec<u32>> = vec![vec![0, 400, 2]];
        for n in 0..700 {
            stacks.push(if n % 3 == 0 {
                vec![0, n, 5, n, n]
            } else {
                vec![0, 1 + n % 2, n, 7]
            });
        }
        let stacks: Vec<&[u32]> = stacks.iter().map(Vec::as_slice).collect();
        let mut samples: Vec<(u64, u32, u32)> = (0..700).map(|n| (1, 0, n + 1)).collect();
        samples.extend([(1, 0, 0); 1500]);
        recording(vec![process], vec![thread], frames, &stacks, &samples)
    }

    #[test]
    fn cutting_what_is_too_narrow_does_not_change_what_is_drawn() {
        let recording = mostly_narrow();
        let options = RenderOptions::default();
        let folded = Folded::new(&recording, &options).expect("one source");
        let cut = visible_lines(&folded);
        let uncut: Vec<String> = folded
            .groups()
            .iter()
            .map(|group| {
                let frames: Vec<&str> = folded.ranks(group).map(|rank| folded.text(rank)).collect();
                format!("{} {}", frames.join(";"), group.value)
            })
            .collect();
        assert!(cut.len() * 10 < uncut.len(), "{} of {}", cut.len(), uncut.len());

        // Boxes move when narrow neighbours are gone, but none appears, disappears or changes its width.
        let boxes = |lines: &[String]| {
            let mut out = Vec::new();
            draw(lines, folded.unit(), &mut super::colors(&folded), "", &mut out)
                .expect("a vector takes everything");
            let drawn = drawn(&String::from_utf8(out).expect("UTF-8"));
            let mut boxes: Vec<String> = drawn
                .lines()
                .filter_map(|line| line.split_once("a.py"))
                .map(|(_, tip)| tip.to_owned())
                .collect();
            boxes.sort_unstable();
            boxes
        };
        assert!(boxes(&cut).len() > 3);
        assert_eq!(boxes(&cut), boxes(&uncut));
    }

    #[test]
    fn processes_too_narrow_to_be_seen_still_count() {
        let processes = (0..3000)
            .map(|pid| Process {
                pid,
                command_line: "python".to_owned(),
                ..Process::default()
            })
            .collect();
        let thread = |tid| Thread {
            process: ProcessId(tid),
            tid,
            name: String::new(),
        };
        let samples: Vec<(u64, u32, u32)> = (0..3000).map(|thread| (1, thread, 0)).collect();
        let frames = vec![python("main", "a.py", 2, 1)];
        let mut recording = recording(
            processes,
            (0..3000).map(thread).collect(),
            frames,
            &[&[0]],
            &samples,
        );
        let options = RenderOptions {
            roots: vec![Group::Process],
            ..RenderOptions::default()
        };
        assert!(svg(&mut recording, &options).contains("<title>all (3,000 samples, 100%)"));
    }

    #[test]
    fn stacks_as_deep_as_python_allows_are_drawn_to_their_end() {
        let process = Process {
            pid: 1,
            command_line: "python".to_owned(),
            ..Process::default()
        };
        let thread = Thread {
            process: ProcessId(0),
            tid: 1,
            name: "python".to_owned(),
        };
        let mut deep = vec![0; 5000];
        deep.push(1);
        let frames = vec![python("down", "a.py", 2, 1), python("bottom", "a.py", 9, 8)];
        let mut recording = recording(vec![process], vec![thread], frames, &[&deep], &[(1, 0, 0)]);
        let svg = svg(&mut recording, &RenderOptions::default());
        assert_eq!(
            svg.matches("<title>down (a.py:2) (1 samples, 100.00%)").count(),
            5000
        );
        assert_eq!(
            svg.matches("<title>bottom (a.py:9) (1 samples, 100.00%)").count(),
            1
        );
    }
}
