//! `--fail-above`: the exit status that says whether something grew.

use super::super::failure::{Failure, exit_code};
use super::args::{Args, View};
use super::growth::Growth;
use super::pair::named;
use super::table::Shown;
use crate::views::Scale;

/// Rows that the message names.
const MOST_NAMED: usize = 5;

/// The exit status; a failure if something grew by more than was allowed, or if nobody can tell.
pub(super) fn of(args: &Args, shown: &Shown) -> Result<u8, Failure> {
    let Some(limit) = args.fail_above else {
        return Ok(0);
    };
    for (total, name) in shown.totals.iter().zip(args.file_names()) {
        if *total == 0 {
            return Err(Failure::new(format_args!(
                "{} has no samples, so nobody can say what grew",
                named(&name)
            ))
            .hint("pyebpf report FILE   (says what is in it)"));
        }
    }
    if shown.samples.is_none() {
        return Err(Failure::new(
            "the files do not say how many samples these values stand for, so nobody can say what grew by more than chance",
        )
        .hint("record with pyebpf, or choose a value that is counted: --sample-type samples"));
    }
    let grown: Vec<&Growth> = shown
        .growths
        .iter()
        .filter(|growth| growth.percent > limit)
        .collect();
    if grown.is_empty() {
        return Ok(0);
    }
    let named = grown.iter().take(MOST_NAMED);
    let mut names: Vec<String> = named
        .map(|growth| format!("{} by {:.1}", growth.name, growth.percent))
        .collect();
    if grown.len() > MOST_NAMED {
        names.push(format!("and {} more", grown.len() - MOST_NAMED));
    }
    let of = match args.scale() {
        Scale::Shares => "percentage points",
        Scale::Absolute => "per cent of the first recording",
    };
    let failure = Failure::new(format_args!(
        "grew by more than {limit} {of}: {}",
        names.join(", ")
    ));
    let failure = failure.with_code(exit_code::GREW);
    Err(match args.view() {
        View::Lines => failure.hint("pyebpf diff BEFORE AFTER -o diff.html   (who calls it)"),
        _ => failure.hint("pyebpf diff BEFORE AFTER --lines   (shows which lines)"),
    })
}
