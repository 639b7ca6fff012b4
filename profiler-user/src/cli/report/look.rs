//! The view that was asked for, as rows and as text.

use super::super::failure::Failure;
use super::args::{Args, View, ViewForm};
use super::sheet::Sheet;
use super::{csv, functions, input, json, lines, text, tree};
use crate::recordings::Loaded;
use crate::views::Selection;

/// The rows of the view.
pub(super) fn at(args: &Args, loaded: &Loaded) -> Result<Sheet, Failure> {
    let value_type = input::value_type(loaded, args.sample_type.as_deref())?;
    input::check_labels(loaded, &args.label)?;
    let selection = Selection::new(loaded, value_type, &args.label);
    input::check_not_empty(&selection, !args.label.is_empty())?;
    let mut sheet = match args.view() {
        View::Functions => functions::hot(args, &selection),
        View::Lines => lines::hot(args, &selection),
        View::Callers(name) => functions::callers(args, &selection, name)?,
        View::Callees(name) => functions::callees(args, &selection, name)?,
        View::By(what) => functions::groups(args, &selection, what)?,
        View::Tree => tree::of(args, &selection),
    };
    sheet.files = args.file_names();
    Ok(sheet)
}

/// The view as text.
pub(super) fn written(sheet: &Sheet, form: ViewForm, colours: bool) -> Result<String, Failure> {
    match form {
        ViewForm::Text => Ok(text::of(sheet, colours)),
        ViewForm::Json => json::of(sheet),
        ViewForm::Csv => Ok(csv::of(sheet)),
    }
}
