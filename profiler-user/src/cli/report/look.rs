//! The view that was asked for, as rows.

use super::super::failure::Failure;
use super::super::input;
use super::super::sheet::{Sheet, amount};
use super::args::{Args, View};
use super::{functions, lines, tree};
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
        sheet.notes.extend(others(&selection, value_type));
    }
    Ok(sheet)
}

/// What else is in the file, of other samples: time off the CPU is no part of time on it.
fn others(selection: &Selection<'_>, shown: usize) -> Option<String> {
    let loaded = selection.loaded();
    let others = loaded.types.iter().enumerate();
    let others: Vec<(&str, String)> = others
        .filter(|(_, of)| of.unit != "count")
        .filter_map(|(at, of)| {
            let total = elsewhere(selection, shown, at);
            (total != 0).then(|| (&*of.name, amount(total, &of.unit)))
        })
        .collect();
    let (first, _) = others.first()?;
    let texts = others.iter().map(|(name, amount)| format!("{amount} of {name}"));
    let texts = texts.collect::<Vec<_>>().join(", ");
    Some(format!("not shown: {texts}; --sample-type {first} shows it"))
}

/// The sum of the values `at` where those that are shown are 0.
fn elsewhere(selection: &Selection<'_>, shown: usize, at: usize) -> i64 {
    let loaded = selection.loaded();
    let rows = loaded.rows.iter().enumerate();
    let wanted = rows.filter(|(_, row)| {
        let wanted = selection.wanted().get(row.labels.0 as usize);
        wanted.copied().unwrap_or(false)
    });
    wanted.fold(0, |sum: i64, (index, _)| {
        let values = loaded.values(index);
        match (values.get(shown), values.get(at)) {
            (Some(0), Some(value)) => sum.saturating_add(*value),
            _ => sum,
        }
    })
}
