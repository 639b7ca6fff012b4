//! JSON tables: objects of columns of one length, written one element at a time.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::output::error::OutputError;
use crate::output::json_text::{json, separate};

/// The columns of a table: their names, and what is in a row.
pub(super) type Columns<'c> = &'c [(&'c str, &'c dyn Fn(usize) -> Value)];

/// `"name":{...},`
pub(super) fn write_table(
    out: &mut dyn Write,
    name: &str,
    length: usize,
    columns: Columns<'_>,
) -> Result<(), OutputError> {
    write!(out, "\n\"{name}\":{{")?;
    for (column, value) in columns {
        write_column(out, column, (0..length).map(|at| Ok(value(at))))?;
        out.write_all(b",")?;
    }
    Ok(write!(out, "\"length\":{length}}},")?)
}

/// `"name":[...]`; returns how many there are.
pub(super) fn write_column<T: Serialize>(
    out: &mut dyn Write,
    name: &str,
    values: impl Iterator<Item = io::Result<T>>,
) -> Result<usize, OutputError> {
    write!(out, "\"{name}\":[")?;
    let mut length = 0;
    for value in values {
        separate(out, length)?;
        json(out, &value.map_err(OutputError::Timeline)?)?;
        length += 1;
    }
    out.write_all(b"]")?;
    Ok(length)
}

/// The fields of an object that has more of them: without its last brace.
pub(super) fn write_open(out: &mut dyn Write, fields: &impl Serialize) -> Result<(), OutputError> {
    let mut text = serde_json::to_vec(fields).map_err(|error| OutputError::Write(error.into()))?;
    text.pop();
    Ok(out.write_all(&text)?)
}
