//! The view that was asked for, as rows and as text.

use super::super::failure::Failure;
use super::amounts::amount;
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
    if args.sample_type.is_none() {
        sheet.notes.extend(others(args, loaded, value_type));
    }
    Ok(sheet)
}

/// What else is in the file: time off the CPU is no part of time on it.
fn others(args: &Args, loaded: &Loaded, shown: usize) -> Option<String> {
    let shown = &loaded.types[shown];
    let others = loaded.types.iter().enumerate().filter_map(|(at, of)| {
        // Of the same samples the count is no news.
        let is_other = of.name != shown.name && of.unit != "count";
        let total = is_other.then(|| Selection::new(loaded, at, &args.label).total())?;
        (total != 0).then(|| format!("{} of {}", amount(total, &of.unit), of.name))
    });
    let others: Vec<String> = others.collect();
    let first = loaded
        .types
        .iter()
        .find(|of| of.name != shown.name && of.unit != "count")?;
    (!others.is_empty()).then(|| {
        format!(
            "not shown: {}   (--sample-type {} shows it)",
            others.join(", "),
            first.name
        )
    })
}

/// The view as text.
pub(super) fn written(sheet: &Sheet, form: ViewForm, colours: bool) -> Result<String, Failure> {
    match form {
        ViewForm::Text => Ok(text::of(sheet, colours)),
        ViewForm::Json => json::of(sheet),
        ViewForm::Csv => Ok(csv::of(sheet)),
    }
}
