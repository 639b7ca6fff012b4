//! Reads folded stacks (`a;b;c 12`), the `raw` format of `pyebpf record`, and asks what they show.
//!
//! Only as much of the format as the checks need.

use anyhow::Context as _;

/// One line: a stack from its root, and how many samples had it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    frames: Vec<String>,
    samples: u64,
}

/// Reads all lines.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Stack>> {
    let stack = |line: &str| {
        let (frames, samples) = line
            .rsplit_once(' ')
            .with_context(|| format!("no count in {line:?}"))?;
        let samples = samples.parse().with_context(|| format!("no count in {line:?}"))?;
        Ok(Stack {
            frames: frames.split(';').map(str::to_owned).collect(),
            samples,
        })
    };
    text.lines().filter(|line| !line.is_empty()).map(stack).collect()
}

/// How many samples there are, and how many of them end in exactly these functions.
pub(crate) fn count(stacks: &[Stack], ending: &[&str]) -> (u64, u64) {
    let total = stacks.iter().map(|stack| stack.samples).sum();
    let matching = stacks
        .iter()
        .filter(|stack| ends_in(stack, ending))
        .map(|stack| stack.samples)
        .sum();
    (total, matching)
}

/// How many samples there are, and how many of them have these functions in this order, with any others between them.
pub(crate) fn count_within(stacks: &[Stack], order: &[&str]) -> (u64, u64) {
    let total = stacks.iter().map(|stack| stack.samples).sum();
    let has_all = |stack: &&Stack| {
        let mut frames = stack.frames.iter().map(|frame| function(frame));
        order.iter().all(|wanted| frames.any(|frame| frame == *wanted))
    };
    (
        total,
        stacks.iter().filter(has_all).map(|stack| stack.samples).sum(),
    )
}

/// Samples with a frame that `is_meant`.
pub(crate) fn count_with_frame(stacks: &[Stack], is_meant: impl Fn(&str) -> bool) -> u64 {
    let has = |stack: &&Stack| stack.frames.iter().any(|frame| is_meant(frame));
    stacks.iter().filter(has).map(|stack| stack.samples).sum()
}

/// The stacks whose root frame belongs to this process: `process 12:"python3 x.py"`.
pub(crate) fn of_process(stacks: Vec<Stack>, pid: u32) -> Vec<Stack> {
    let prefix = format!("process {pid}:");
    stacks
        .into_iter()
        .filter(|stack| stack.frames.first().is_some_and(|root| root.starts_with(&prefix)))
        .collect()
}

fn ends_in(stack: &Stack, ending: &[&str]) -> bool {
    let Some(start) = stack.frames.len().checked_sub(ending.len()) else {
        return false;
    };
    stack.frames[start..]
        .iter()
        .map(|frame| function(frame))
        .eq(ending.iter().copied())
}

/// `inner` of `inner (known_stack.py:8)`.
fn function(frame: &str) -> &str {
    frame.split(" (").next().unwrap_or(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "process 7:\"python3 x.py\";<module> (x.py:20);outer (x.py:17);inner (x.py:8) 90\n\
                        process 7:\"python3 x.py\";<module> (x.py:20);outer (x.py:16) 10\n\
                        process 77:\"python3 y.py\";<module> (y.py:1);inner (y.py:2) 5\n";

    #[test]
    fn only_whole_endings_count() {
        let stacks = parse(TEXT).expect("three lines");
        assert_eq!(count(&stacks, &["outer", "inner"]), (105, 90));
        assert_eq!(count(&stacks, &["inner"]), (105, 95));
        assert_eq!(count(&stacks, &["a", "b", "c", "d", "inner"]), (105, 0));
    }

    #[test]
    fn functions_in_order_count_whatever_is_between_them() {
        let stacks = parse(TEXT).expect("three lines");
        assert_eq!(count_within(&stacks, &["<module>", "inner"]), (105, 95));
        assert_eq!(count_within(&stacks, &["inner", "<module>"]), (105, 0));
        assert_eq!(count_with_frame(&stacks, |frame| frame == "outer (x.py:16)"), 10);
    }

    #[test]
    fn a_process_is_its_whole_number() {
        let stacks = of_process(parse(TEXT).expect("three lines"), 7);
        assert_eq!(count(&stacks, &[]), (100, 100));
    }

    #[test]
    fn a_line_without_a_count_is_an_error() {
        assert!(parse("main;inner\n").is_err());
    }
}
