//! JSON that is written piece by piece. Used by the formats that are JSON.

use std::io::{self, Write};

use serde::Serialize;

use crate::output::error::OutputError;

/// The comma before the element `index` of an array.
pub(super) fn separate(out: &mut dyn Write, index: usize) -> io::Result<()> {
    if index == 0 { Ok(()) } else { out.write_all(b",") }
}

/// Values of bounded size only: a small text is put together first, which is faster than many small writes.
pub(super) fn json(out: &mut dyn Write, value: &(impl Serialize + ?Sized)) -> Result<(), OutputError> {
    let text = serde_json::to_vec(value).map_err(|error| OutputError::Write(error.into()))?;
    Ok(out.write_all(&text)?)
}
