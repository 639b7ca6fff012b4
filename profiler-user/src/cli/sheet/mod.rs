//! Views as rows of values, and the three ways to write them: for people, for programs, for spreadsheets. Used by the verbs
//! that show recordings.

mod amounts;
mod colours;
mod csv;
mod json;
mod rows;
mod text;

use super::failure::Failure;

pub(super) use self::amounts::{amount, percent};
pub(super) use self::colours::{dim, on_stdout as stdout_takes_colours};
pub(super) use self::json::printed;
pub(super) use self::rows::{Column, Drawn, Sheet, Table, Value};
pub(super) use self::text::push_table;

/// How a view is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ViewForm {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// A view of one recording as text.
pub(super) fn written(sheet: &Sheet, form: ViewForm, colours: bool) -> Result<String, Failure> {
    match form {
        ViewForm::Text => Ok(text::of(sheet, colours)),
        ViewForm::Json => json::of(sheet),
        ViewForm::Csv => Ok(csv::of(&sheet.table)),
    }
}

/// The rows of a table for spreadsheets.
pub(super) fn csv(table: &Table) -> String {
    csv::of(table)
}
