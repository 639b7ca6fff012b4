//! A view for programs: one JSON document, described in `docs/report.md`.

use anyhow::Context as _;
use serde::{Serialize, Serializer};

use super::super::failure::Failure;
use super::rows::{Column, Sheet, Table, Value};
use crate::escape;

#[derive(Serialize)]
struct Document<'s> {
    /// Of this description; changes when a program that reads it must change.
    version: u32,
    view: &'s str,
    files: &'s [String],
    value: ValueType<'s>,
    total: i64,
    rows: &'s Table,
    left_out: usize,
    notes: &'s [String],
}

#[derive(Serialize)]
struct ValueType<'s> {
    name: &'s str,
    unit: &'s str,
}

struct Row<'s> {
    columns: &'s [Column],
    values: &'s [Value],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.columns.iter().zip(self.values);
        serializer.collect_map(pairs.filter_map(|(column, value)| Some((column.key?, value))))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) | Self::Amount(number) => serializer.serialize_i64(*number),
            Self::Change { amount, .. } => serializer.serialize_i64(*amount),
            Self::Percent(percent) => serializer.serialize_f64(*percent),
            Self::Points { points, .. } => serializer.serialize_f64(*points),
            Self::Chance(chance) => serializer.serialize_f64(*chance),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Texts(texts) => serializer.collect_seq(texts),
            Self::Nothing => serializer.serialize_none(),
        }
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = |values| Row {
            columns: self.columns,
            values,
        };
        serializer.collect_seq(self.rows.iter().map(Vec::as_slice).map(row))
    }
}

/// The document.
pub(super) fn of(sheet: &Sheet) -> Result<String, Failure> {
    let document = Document {
        version: 1,
        view: sheet.view,
        files: &sheet.files,
        value: ValueType {
            name: &sheet.value.0,
            unit: &sheet.value.1,
        },
        total: sheet.total,
        rows: &sheet.table,
        left_out: sheet.left_out,
        notes: &sheet.notes,
    };
    printed(&document)
}

/// A document as people and programs read it.
pub(in crate::cli) fn printed(document: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).context("writing JSON")?;
    Ok(escape::printable_json(&text) + "\n")
}
