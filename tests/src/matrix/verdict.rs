//! Samples against what a program says it burned where.

use anyhow::ensure;

use super::Burn;
use crate::folded::{Folded, Frame, Stack};
use crate::profiler::Recorded;
use crate::workload::TrueFrame;

/// Share of a program's samples that may be elsewhere: what it does between its burns, which takes longer on a busy machine.
const ELSEWHERE: f64 = 0.3;

/// What of a stack is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Names of functions.
    Function,
    /// Names of files.
    File,
    /// Numbers of lines.
    Line,
    /// All of them.
    Everything,
}

impl Aspect {
    const ALL: [Self; 4] = [Self::Function, Self::File, Self::Line, Self::Everything];

    fn agrees(self, frame: &Frame, truth: &TrueFrame) -> bool {
        let TrueFrame(name, file, line) = truth;
        // A marker such as `<gc>` has neither file nor line.
        let same_name = frame.name == *name;
        let same_file = frame.file.as_deref().unwrap_or_default() == file;
        let same_line = frame.line.unwrap_or_default() == *line;
        match self {
            Self::Function => same_name,
            Self::File => same_file,
            Self::Line => same_line,
            Self::Everything => same_name && same_file && same_line,
        }
    }

    fn is_stack_of(self, stack: &Stack, burn: &Burn) -> bool {
        stack.frames.len() == burn.stack.len()
            && stack
                .frames
                .iter()
                .zip(burn.stack.iter().rev())
                .all(|(frame, truth)| self.agrees(frame, truth))
    }
}

/// The verdict on each aspect of what was recorded of a program.
pub(super) fn all(
    burns: &[Burn],
    recorded: &Recorded,
    starting: f64,
) -> Vec<(Aspect, anyhow::Result<String>)> {
    let samples = of_program(burns, &recorded.stacks);
    Aspect::ALL
        .into_iter()
        .map(|aspect| {
            (
                aspect,
                compare(aspect, burns, &samples, recorded.report.rate_hz, starting),
            )
        })
        .collect()
}

/// The verdict on whole stacks of programs that do more than burning.
pub(super) fn on_everything(burns: &[Burn], recorded: &Recorded) -> anyhow::Result<String> {
    let samples = of_program(burns, &recorded.stacks);
    compare(
        Aspect::Everything,
        burns,
        &samples,
        recorded.report.rate_hz,
        f64::INFINITY,
    )
}

/// The samples of all processes that burned, by thread where a thread is known.
fn of_program(burns: &[Burn], stacks: &Folded) -> Folded {
    stacks.filter(|stack| {
        burns
            .iter()
            .any(|burn| stack.pid.is_none_or(|pid| pid == burn.pid))
    })
}

fn is_thread_of(stack: &Stack, burn: &Burn) -> bool {
    stack.pid.is_none_or(|pid| pid == burn.pid)
        && stack.thread.as_ref().is_some_and(|(tid, _)| *tid == burn.tid)
}

/// Fails unless no sample that is inside a burn has another stack, there are as many as the program's clock says, and hardly
/// any others.
fn compare(
    aspect: Aspect,
    burns: &[Burn],
    samples: &Folded,
    rate_hz: f64,
    starting: f64,
) -> anyhow::Result<String> {
    let of_thread = |stack: &Stack| {
        burns
            .iter()
            .filter(|burn| is_thread_of(stack, burn))
            .collect::<Vec<_>>()
    };
    let right = samples.filter(|stack| {
        of_thread(stack)
            .iter()
            .any(|burn| aspect.is_stack_of(stack, burn))
    });
    let wrong = samples.filter(|stack| {
        let burns = of_thread(stack);
        let inside = burns.iter().any(|burn| is_at_leaf_of(stack, burn));
        inside && !burns.iter().any(|burn| aspect.is_stack_of(stack, burn))
    });
    let total = samples.total();
    ensure!(
        wrong.total() == 0,
        "{} of {total} samples are inside a burn and have another stack:\n{}\n  true (innermost first):\n{}",
        wrong.total(),
        wrong.most_frequent(3),
        truths(&wrong, burns)
    );
    let due = rate_hz * burns.iter().map(|burn| burn.seconds).sum::<f64>();
    let tolerance = 5.0 * due.sqrt() + 0.03 * due;
    let count = right.total() as f64;
    let not_right = || {
        samples
            .filter(|stack| !right.stacks.contains(stack))
            .most_frequent(4)
    };
    ensure!(
        count >= due - tolerance && (count <= due + tolerance || aspect != Aspect::Everything),
        "{count} of {total} samples have a true stack, {due:.0} are due; others:\n{}\n  true:\n{}",
        not_right(),
        truths(samples, burns)
    );
    ensure!(
        total as f64 - count <= ELSEWHERE * total as f64 + starting,
        "{count} of {total} samples have a true stack; others:\n{}",
        not_right()
    );
    for burn in burns.iter().filter(|_| aspect == Aspect::Everything) {
        check_burn(burn, &right, rate_hz)?;
    }
    Ok(format!(
        "{count} of {total} samples at {} places, {due:.0} due",
        burns.len()
    ))
}

/// A place may have few samples, but not none where many are due; and its thread has its name.
fn check_burn(burn: &Burn, right: &Folded, rate_hz: f64) -> anyhow::Result<()> {
    let own = right.filter(|stack| is_thread_of(stack, burn) && Aspect::Everything.is_stack_of(stack, burn));
    let due = rate_hz * burn.seconds;
    ensure!(
        own.total() > 0 || due < 30.0,
        "no sample of {due:.0} at {}",
        text(burn)
    );
    let Some(name) = &burn.thread_name else {
        return Ok(());
    };
    for stack in &own.stacks {
        let found = stack.thread.as_ref().map(|(_, name)| name);
        ensure!(found == Some(name), "the thread {name:?} is called {found:?}");
    }
    Ok(())
}

/// Fails unless burns that hold the GIL have all their samples, and others nearly none.
pub(super) fn by_gil_state(burns: &[Burn], recorded: &Recorded) -> anyhow::Result<String> {
    let mut texts = Vec::new();
    for burn in burns {
        let own = recorded
            .stacks
            .filter(|stack| is_thread_of(stack, burn) && Aspect::Everything.is_stack_of(stack, burn));
        let (count, due) = (own.total() as f64, recorded.report.rate_hz * burn.seconds);
        if burn.releases_gil {
            ensure!(
                count < 0.2 * due + 5.0,
                "{count} of {due:.0} samples hold the GIL at {}",
                text(burn)
            );
        } else {
            // Less what it waits for others: it does not burn then.
            let missing = 5.0 * due.sqrt() + 0.05 * due;
            ensure!(
                count > due - missing,
                "only {count} of {due:.0} hold the GIL at {}",
                text(burn)
            );
        }
        texts.push(format!("{count} of {due:.0}"));
    }
    Ok(format!("samples that hold the GIL: {}", texts.join(", ")))
}

fn is_at_leaf_of(stack: &Stack, burn: &Burn) -> bool {
    let ends = stack.frames.last().zip(burn.stack.first());
    ends.is_some_and(|(frame, truth)| Aspect::Everything.agrees(frame, truth))
}

/// For people: the true stacks of the threads of these samples.
fn truths(samples: &Folded, burns: &[Burn]) -> String {
    let lines: Vec<String> = burns
        .iter()
        .filter(|burn| samples.stacks.iter().any(|stack| is_thread_of(stack, burn)))
        .take(4)
        .map(|burn| format!("    {}", text(burn)))
        .collect();
    lines.join("\n")
}

fn text(burn: &Burn) -> String {
    let frames: Vec<String> = burn
        .stack
        .iter()
        .take(8)
        .map(|TrueFrame(name, file, line)| format!("{name} ({file}:{line})"))
        .collect();
    format!("{:.2} s in {}", burn.seconds, frames.join(" < "))
}

#[cfg(test)]
mod tests {
    use super::{Aspect, Burn, compare};
    use crate::folded::Folded;
    use crate::workload::TrueFrame;

    fn burn() -> Burn {
        let frame = |name: &str, line| TrueFrame(name.to_owned(), "x.py".to_owned(), line);
        Burn {
            pid: 7,
            tid: 9,
            thread_name: None,
            releases_gil: false,
            stack: vec![frame("leaf", 3), frame("<module>", 9)],
            seconds: 1.0,
        }
    }

    fn verdict(text: &str, aspect: Aspect) -> anyhow::Result<String> {
        let text = text.replace("ROOT", "process 7:\"python\";thread (9): python");
        compare(
            aspect,
            &[burn()],
            &Folded::parse(&text).expect("valid"),
            100.0,
            20.0,
        )
    }

    #[test]
    fn the_true_stack_as_often_as_due_is_right() {
        verdict("ROOT;<module> (x.py:9);leaf (x.py:3) 100\n", Aspect::Everything).expect("right");
    }

    #[test]
    fn one_sample_inside_with_a_frame_too_few_is_wrong() {
        let text = "ROOT;<module> (x.py:9);leaf (x.py:3) 100\nROOT;leaf (x.py:3) 1\n";
        verdict(text, Aspect::Everything).expect_err("a frame is missing");
    }

    #[test]
    fn too_few_samples_and_too_many_elsewhere_are_wrong() {
        verdict("ROOT;<module> (x.py:9);leaf (x.py:3) 20\n", Aspect::Everything).expect_err("few");
        let text = "ROOT;<module> (x.py:9);leaf (x.py:3) 100\nROOT;<module> (x.py:9);other (x.py:5) 80\n";
        verdict(text, Aspect::Everything).expect_err("elsewhere");
    }

    #[test]
    fn a_wrong_line_is_wrong_in_lines_and_right_in_names_and_files() {
        let text = "ROOT;<module> (x.py:8);leaf (x.py:3) 100\n";
        verdict(text, Aspect::Everything).expect_err("line 8");
        verdict(text, Aspect::Line).expect_err("line 8");
        verdict(text, Aspect::Function).expect("names are right");
        verdict(text, Aspect::File).expect("files are right");
    }
}
