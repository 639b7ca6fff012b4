//! The differential flame graph: as wide as the second recording, red where functions took significantly more themselves than
//! in the first one, blue where they took less.

use std::io::{self, Write};

use inferno::flamegraph::{Direction, Options, TextTruncateDirection, from_lines};

use super::lines::Lines;
use crate::escape;
use crate::output::amounts::AmountUnit;
use crate::output::error::OutputError;

/// Narrower frames are not drawn, percent of the width, as in every flame graph of ours.
const MIN_WIDTH_PERCENT: f64 = 0.1;
/// Characters of a file's name in the line below the title.
const MOST_CHARACTERS: usize = 40;

/// Draws it.
pub(super) fn write(
    lines: &Lines,
    names: &[String; 2],
    title: &str,
    out: &mut dyn Write,
) -> Result<(), OutputError> {
    if lines.total(|line| line.after) == 0 {
        return Err(OutputError::NoSamples);
    }
    let [before, after] = names.each_ref().map(|name| shortened(name));
    let subtitle = format!(
        "width: {after}; colour: change from {before}: red took more itself, blue less, white: chance explains it"
    );
    Ok(draw(lines, title, &subtitle, out)?)
}

fn draw(lines: &Lines, title: &str, subtitle: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut options = Options::default();
    options.direction = Direction::Inverted;
    options.min_width = MIN_WIDTH_PERCENT;
    options.title = escape::printable(title);
    options.subtitle = Some(escape::printable(subtitle));
    lines.unit.text().clone_into(&mut options.count_name);
    let mut divisor = 1;
    if lines.unit == AmountUnit::Nanoseconds {
        // Not inferno's own factor: it would be applied to shares of changes as well.
        options.count_name = "us".to_owned();
        divisor = 1000;
    }
    options.text_truncate_direction = TextTruncateDirection::Right;
    // A change that chance explains has no colour.
    let texts: Vec<String> = lines
        .lines
        .iter()
        .map(|line| {
            let before = if line.is_changed { line.before } else { line.after };
            format!("{} {} {}", line.stack, before / divisor, line.after / divisor)
        })
        .collect();
    from_lines(&mut options, texts.iter().map(String::as_str), out)
}

/// The end of a path says most.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    match length.checked_sub(MOST_CHARACTERS) {
        Some(more) if more > 0 => format!("…{}", name.chars().skip(more).collect::<String>()),
        _ => name.to_owned(),
    }
}
