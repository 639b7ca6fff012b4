//! Merged stacks against what a program says it burned where (`tests/workloads/native/expected.py`).
//!
//! Compared are the Python frames and those native frames whose names the program knows: all of them, in order. Other native
//! frames (plumbing that an interpreter does not name, libffi, the C library) may stand between; they are looked at only where
//! a burn says what must be on top.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde::Deserialize;

use crate::folded::{Folded, Frame, Stack};
use crate::python::Python;

/// Samples inside a burn whose native frames are incomplete, with a marker that says why: at most this share, and a few.
const CUT: f64 = 0.005;
const CUT_ANYWAY: f64 = 3.0;
/// Share of the samples due for a burn that are found with its stack, at least; some are taken in the clock.
const FOUND: f64 = 0.9;

/// The function in which a program does everything for the first time, while unwind tables are being loaded.
const WARM_UP: &str = "warm_up";

/// One frame of a true stack.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<serde_json::Value>")]
pub enum Part {
    /// Name, file and line of a Python frame.
    Python(String, String, u64),
    /// Name of a C function, and whether it is one of the interpreter's.
    Native(String, bool),
}

impl From<Vec<serde_json::Value>> for Part {
    fn from(part: Vec<serde_json::Value>) -> Self {
        let text = |index: usize| {
            let value = part.get(index).and_then(serde_json::Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        if text(0) == "native" {
            let name = text(1);
            let own = name.strip_prefix('?').map(str::to_owned);
            let is_interpreters = own.is_some();
            return Self::Native(own.unwrap_or(name), is_interpreters);
        }
        let line = part.get(3).and_then(serde_json::Value::as_u64);
        Self::Python(text(1), text(2), line.unwrap_or_default())
    }
}

/// CPU time that a program burned at one place.
#[derive(Clone, Debug, Deserialize)]
pub struct Burn {
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Outermost frame first.
    pub stack: Vec<Part>,
    /// What a native frame above the newest Python frame must have in its name or file.
    pub on_top: Option<String>,
    /// Text of a marker for missing native frames that is no fault here.
    #[serde(default)]
    pub may_lack: Option<String>,
    /// CPU seconds, by the program's own clock.
    pub seconds: f64,
}

/// Whether functions of the interpreter that it does not export have names.
#[must_use]
pub fn names_its_own_functions(python: &Python) -> bool {
    python.is_of_pyenv()
}

/// What a program burned, made ready for comparison.
#[derive(Debug)]
pub struct Verdict<'a> {
    burns: &'a [Burn],
    /// Names of native frames that are compared.
    known: BTreeSet<&'a str>,
}

impl<'a> Verdict<'a> {
    /// `has_names`: see [`names_its_own_functions`].
    #[must_use]
    pub fn new(burns: &'a [Burn], has_names: bool) -> Self {
        let known = burns
            .iter()
            .flat_map(|burn| &burn.stack)
            .filter_map(|part| match part {
                Part::Native(name, is_interpreters) if has_names || !is_interpreters => Some(name.as_str()),
                _ => None,
            })
            .collect();
        Self { burns, known }
    }

    /// Fails unless the samples that are inside a burn have exactly its stack, or nearly none a marker, and there are as many as its time says.
    ///
    /// # Errors
    /// What was found instead.
    pub fn compare(&self, stacks: &Folded, rate_hz: f64) -> anyhow::Result<String> {
        ensure!(!self.burns.is_empty(), "the program burned nothing");
        let mut texts = Vec::new();
        for tid in self.burns.iter().map(|burn| burn.tid).collect::<BTreeSet<_>>() {
            texts.push(self.compare_thread(tid, stacks, rate_hz)?);
        }
        Ok(texts.join("; "))
    }

    fn compare_thread(&self, tid: u32, stacks: &Folded, rate_hz: f64) -> anyhow::Result<String> {
        let burns: Vec<&Burn> = self.burns.iter().filter(|burn| burn.tid == tid).collect();
        let own = stacks.filter(|stack| {
            stack.thread.as_ref().is_some_and(|(found, _)| *found == tid) && !stack.contains(WARM_UP)
        });
        let inside = own.filter(|stack| burns.iter().any(|burn| self.is_inside(stack, burn)));
        let right = inside.filter(|stack| burns.iter().any(|burn| self.is_stack_of(stack, burn)));
        let wrong = inside.filter(|stack| !right.stacks.contains(stack));
        let truths = || -> String {
            let texts = burns.iter().take(6).map(|burn| format!("    {}", text(burn)));
            texts.collect::<Vec<_>>().join("\n")
        };
        let cut = wrong.count(is_cut) as f64;
        ensure!(
            wrong.count(|stack| !is_cut(stack)) == 0 && cut <= CUT * inside.total() as f64 + CUT_ANYWAY,
            "{} of {} samples inside a burn have another stack ({cut} with missing native frames):\n{}\n  true (outermost first):\n{}",
            wrong.total(),
            inside.total(),
            wrong.most_frequent(4),
            truths()
        );
        for burn in &burns {
            let found = right.count(|stack| self.is_stack_of(stack, burn)) as f64;
            // The same place may have been burned several times.
            let seconds: f64 = burns
                .iter()
                .filter(|other| other.stack == burn.stack)
                .map(|other| other.seconds)
                .sum();
            let due = FOUND * rate_hz * seconds;
            ensure!(
                found >= due - 5.0 * due.sqrt(),
                "{found} samples, at least {due:.0} are due, at {}\n  found:\n{}",
                text(burn),
                own.most_frequent(4)
            );
        }
        Ok(format!(
            "{} of {} samples at {} places",
            right.total(),
            inside.total(),
            burns.len()
        ))
    }

    /// Whether a sample was taken in the burn's last function: then its whole stack must be right.
    fn is_inside(&self, stack: &Stack, burn: &Burn) -> bool {
        let found = self.known_frames(stack);
        // A marker is none of its functions.
        let last = found.iter().rfind(|frame| !is_marker(frame));
        match (last, burn.stack.last()) {
            (Some(frame), Some(part)) => {
                // Where the last that is known is a Python frame, what it calls decides.
                let on_top = burn.on_top.as_ref();
                self.is_same(frame, part) && on_top.is_none_or(|text| has_on_top(stack, text))
            }
            _ => false,
        }
    }

    fn is_stack_of(&self, stack: &Stack, burn: &Burn) -> bool {
        let is_excused = |frame: &Frame| {
            let may_lack = burn.may_lack.as_deref();
            is_marker(frame) && may_lack.is_some_and(|reason| frame.name.contains(reason))
        };
        let mut found = self.known_frames(stack);
        found.retain(|frame| !is_excused(frame));
        let expected: Vec<&Part> = burn.stack.iter().filter(|part| self.is_compared(part)).collect();
        found.len() == expected.len()
            && found
                .iter()
                .zip(expected)
                .all(|(frame, part)| self.is_same(frame, part))
    }

    /// Python frames and known native ones; what a compiler split into several is one.
    fn known_frames<'s>(&self, stack: &'s Stack) -> Vec<&'s Frame> {
        let mut frames: Vec<&Frame> = Vec::new();
        for frame in &stack.frames {
            let name = self.known_name(frame);
            let repeats = frames
                .last()
                .is_some_and(|last| name.is_some() && self.known_name(last) == name);
            // Markers are compared: a stack that is cut is not the true one.
            if (is_python(frame) || is_marker(frame) || name.is_some()) && !repeats {
                frames.push(frame);
            }
        }
        frames
    }

    fn known_name(&self, frame: &Frame) -> Option<&str> {
        if is_python(frame) || is_marker(frame) {
            return None;
        }
        self.known
            .iter()
            .copied()
            .find(|name| is_function(&frame.name, name))
    }

    fn is_compared(&self, part: &Part) -> bool {
        match part {
            Part::Python(..) => true,
            Part::Native(name, _) => self.known.contains(name.as_str()),
        }
    }

    fn is_same(&self, frame: &Frame, part: &Part) -> bool {
        match part {
            Part::Python(name, file, line) => {
                frame.name == *name
                    && frame.file.as_ref() == Some(file)
                    && frame.line.map(u64::from) == Some(*line)
            }
            Part::Native(name, _) => self.known_name(frame) == Some(name),
        }
    }
}

/// A frame of a Python function: its file says so.
fn is_python(frame: &Frame) -> bool {
    let file = frame.file.as_deref().unwrap_or_default();
    file.ends_with(".py") || file.starts_with('<')
}

fn is_marker(frame: &Frame) -> bool {
    frame.file.is_none() && frame.name.starts_with('<') && frame.name.ends_with('>')
}

/// A stack with a marker for native frames that are missing.
fn is_cut(stack: &Stack) -> bool {
    stack
        .frames
        .iter()
        .any(|frame| is_marker(frame) && frame.name.starts_with("<native: "))
}

/// Whether a symbol, maybe mangled or with its parameters, is that of the function `name`.
fn is_function(symbol: &str, name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = symbol.as_bytes();
    symbol.match_indices(name).any(|(start, _)| {
        let (before, after) = (start.checked_sub(1), start + name.len());
        // Cython: `__pyx_f_6cynest_cy_inner`. C++: `shapes::area_of<shapes::Square>(...)`.
        let begins = before.is_none_or(|at| !is_word(bytes[at]) || symbol.starts_with("__pyx_f_"));
        let ends = bytes
            .get(after)
            .is_none_or(|&byte| !is_word(byte) && byte != b':');
        // The name of a parameter's type is none of the function.
        let in_parameters = symbol[..start].contains(['(', '<']);
        begins && ends && !in_parameters
    })
}

fn has_on_top(stack: &Stack, text: &str) -> bool {
    let above = stack
        .frames
        .iter()
        .rposition(is_python)
        .map_or(0, |newest| newest + 1);
    let wanted: Vec<&str> = text.split('|').collect();
    stack.frames[above..].iter().any(|frame| {
        let file = frame.file.as_deref().unwrap_or_default();
        wanted
            .iter()
            .any(|text| frame.name.contains(text) || file.contains(text))
    })
}

fn text(burn: &Burn) -> String {
    let parts: Vec<String> = burn
        .stack
        .iter()
        .map(|part| match part {
            Part::Python(name, file, line) => format!("{name} ({file}:{line})"),
            Part::Native(name, _) => name.clone(),
        })
        .collect();
    format!("{:.2} s in {}", burn.seconds, parts.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burns() -> Vec<Burn> {
        let text = r#"[{"pid": 7, "tid": 9, "on_top": null, "seconds": 1.0, "stack":
            [["python", "<module>", "/x.py", 9], ["native", "outer_2"], ["native", "outer_1"],
             ["python", "f", "/x.py", 3], ["native", "?list_sort"], ["python", "key", "/x.py", 1], ["native", "spin"]]}]"#;
        serde_json::from_str(text).expect("as expected.py writes it")
    }

    fn verdict(has_names: bool, stacks: &str) -> anyhow::Result<String> {
        let stacks = stacks.replace("ROOT", "process 7:\"python\";thread (9): python");
        Verdict::new(&burns(), has_names).compare(&Folded::parse(&stacks).expect("valid"), 100.0)
    }

    const TRUE: &str = "ROOT;<module> (/x.py:9);outer_2 (nest.so);outer_1 (nest.c:4);f (/x.py:3);\
        list_sort (libpython3.9.so);key (/x.py:1);spin (nest.so) 100\n";

    #[test]
    fn the_true_stack_is_right_with_frames_between_that_nobody_knows() {
        verdict(true, TRUE).expect("right");
        let between = TRUE.replace("key", "safe_object_compare (libpython3.9.so);key");
        verdict(true, &between).expect("right");
        let unnamed = TRUE.replace("list_sort (libpython3.9.so);", "");
        verdict(false, &unnamed).expect("right");
        verdict(true, &unnamed).expect_err("the name is missing");
    }

    #[test]
    fn any_other_order_is_wrong() {
        for wrong in [
            TRUE.replace(
                "outer_2 (nest.so);outer_1 (nest.c:4);f (/x.py:3)",
                "f (/x.py:3);outer_2 (nest.so);outer_1 (nest.c:4)",
            ),
            TRUE.replace("outer_1 (nest.c:4);", ""),
            TRUE.replace("f (/x.py:3)", "<native: the reason>;f (/x.py:3)"),
            TRUE.replace("f (/x.py:3)", "<truncated>;f (/x.py:3)"),
            TRUE.replace("f (/x.py:3)", "f (/x.py:4)"),
        ] {
            assert_ne!(wrong, TRUE);
            verdict(true, &wrong).expect_err(&wrong);
        }
    }

    #[test]
    fn too_few_samples_are_wrong() {
        verdict(true, &TRUE.replace(" 100\n", " 40\n")).expect_err("few");
        verdict(true, "ROOT;<module> (/x.py:9) 100\n").expect_err("none");
    }

    #[test]
    fn functions_are_known_mangled_and_with_parameters() {
        for symbol in [
            "area_of",
            "shapes::area_of<shapes::Square>(shapes::Square const&)",
            "unsigned long shapes::area_of<shapes::Square>",
            "__pyx_f_6cynest_area_of",
            "area_of.constprop.0",
        ] {
            assert!(is_function(symbol, "area_of"), "{symbol}");
        }
        for symbol in [
            "my_area_of",
            "area_off",
            "total(shapes::area_of)",
            "area_of::other",
        ] {
            assert!(!is_function(symbol, "area_of"), "{symbol}");
        }
    }
}
