//! Two recordings in one file: a flame graph or a page coloured by what changed, or folded stacks with both numbers. Used by
//! the verb that compares recordings, which also says what is significant.

mod both;
mod columns;
mod lines;
mod picture;

use std::io::{BufWriter, Write};

use self::both::Both;
use self::lines::{Line, Lines};
use crate::output::error::OutputError;
use crate::output::folded::Folded;
use crate::output::html::{Sides, write_page};
use crate::output::style::RenderOptions;
use crate::output::{Encoding, Format};
use crate::profile::Recording;

/// Two recordings, with the stacks of both.
#[derive(Debug)]
pub struct Difference {
    both: Both,
    /// What people call the first and the second one.
    names: [String; 2],
    /// Whether the first one is scaled to the size of the second.
    is_scaled: bool,
    /// By frame: whether its function took significantly more or less itself.
    is_changed: Vec<bool>,
}

impl Difference {
    /// Of two recordings whose equal functions have equal frames. `is_changed` says of a frame, counted through both, whether its
    /// function took significantly more or less itself.
    #[must_use]
    pub fn of(
        [before, after]: [Recording; 2],
        names: [String; 2],
        is_scaled: bool,
        is_changed: impl Fn(usize) -> bool,
    ) -> Self {
        let both = Both::of(before, after);
        Self {
            is_changed: (0..both.recording.frames.len()).map(is_changed).collect(),
            both,
            names,
            is_scaled,
        }
    }

    /// Whether a file of this format can show it.
    #[must_use]
    pub fn has_format(format: Format) -> bool {
        matches!(format, Format::Flamegraph | Format::Html | Format::Raw)
    }

    /// Writes it, and flushes `out`.
    ///
    /// # Errors
    /// See [`OutputError`].
    pub fn write(
        &mut self,
        encoding: Encoding,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        encoding.compression.write(out, |out| {
            let mut out = BufWriter::with_capacity(1 << 16, out);
            match encoding.format {
                Format::Flamegraph => {
                    let lines = self.lines(options)?;
                    picture::write(&lines, &self.names, &self.both.recording.title, &mut out)?;
                }
                Format::Html => self.write_page(options, &mut out)?,
                _ => columns::write(&self.lines(options)?, &mut out)?,
            }
            Ok(out.flush()?)
        })
    }

    /// The page, with the threads of both.
    fn write_page(&mut self, options: &RenderOptions, out: &mut dyn Write) -> Result<(), OutputError> {
        let second = self.both.second;
        self.both.recording.profiles = self.both.merged();
        let sides = Sides {
            names: self.names.clone(),
            second,
            scaled: self.is_scaled,
        };
        write_page(&mut self.both.recording, options, Some(sides), out)
    }

    /// Every stack of either of them, sorted.
    fn lines(&mut self, options: &RenderOptions) -> Result<Lines, OutputError> {
        let Both {
            recording, profiles, ..
        } = &mut self.both;
        let mut sides = Vec::new();
        for of in profiles.iter() {
            recording.profiles.clone_from(of);
            let folded = Folded::new(recording, options)?;
            sides.push((folded.unit(), folded.groups().to_vec()));
        }
        // Texts and their order are those of the frames of both, whichever profiles are there.
        let folded = Folded::new(recording, options)?;
        let (mut before, mut after) = match (sides.pop(), sides.pop()) {
            (Some(after), Some(before)) => (before.1.into_iter().peekable(), after.1.into_iter().peekable()),
            _ => return Err(OutputError::NoSamples),
        };
        let mut lines = Vec::new();
        loop {
            let order = match (before.peek(), after.peek()) {
                (Some(first), Some(second)) => folded.ranks(first).cmp(folded.ranks(second)),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            let first = if order.is_le() { before.next() } else { None };
            let second = if order.is_ge() { after.next() } else { None };
            let Some(of) = second.or(first) else {
                break;
            };
            let frames: Vec<&str> = folded.ranks(&of).map(|rank| folded.text(rank)).collect();
            let innermost = recording.stack(of.stack).last();
            lines.push(Line {
                stack: frames.join(";"),
                before: first.map_or(0, |amount| amount.value),
                after: second.map_or(0, |amount| amount.value),
                is_changed: innermost
                    .and_then(|frame| self.is_changed.get(frame.0 as usize).copied())
                    .unwrap_or(false),
            });
        }
        let unit = folded.unit();
        let mut lines = Lines { unit, lines };
        if self.is_scaled {
            lines.scale();
        }
        lines.lines.retain(|line| (line.before, line.after) != (0, 0));
        Ok(lines)
    }
}

#[cfg(test)]
mod tests;
