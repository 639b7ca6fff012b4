//! Folded stacks with two numbers, as `difffolded.pl` writes them: the stack, what it was before, what it is after.

use std::io::{self, Write};

use super::lines::Lines;

/// Writes a line for each stack.
pub(super) fn write(lines: &Lines, out: &mut dyn Write) -> io::Result<()> {
    for line in &lines.lines {
        writeln!(out, "{} {} {}", line.stack, line.before, line.after)?;
    }
    Ok(())
}
