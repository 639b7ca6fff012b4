//! Who calls a function, and what it calls.

use std::collections::HashMap;

use ahash::RandomState;

use super::functions::{FunctionId, Functions};
use super::selection::Selection;

/// A caller or a callee, and what of the function's total value is its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// Which function; `None` for a function without a caller, or for what it took itself.
    pub function: Option<FunctionId>,
    /// How much.
    pub value: i64,
}

/// Why there are no calls to show.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallsError {
    /// No function fits.
    #[error("no function is called {name}")]
    NoSuchFunction {
        /// What was asked for.
        name: String,
        /// Names that contain it, at most five.
        similar: Vec<String>,
    },
}

/// Names that are offered.
const MOST_SIMILAR: usize = 5;

/// The callers of the functions called `name` (the name as a whole, or what follows its last dot), largest first. Where a
/// function calls itself, the call from outside counts. The values add up to what these functions took with all they called.
///
/// # Errors
/// See [`CallsError`].
pub fn callers(
    selection: &Selection<'_>,
    functions: &Functions<'_>,
    name: &str,
) -> Result<Vec<CallRow>, CallsError> {
    let meant = meant(functions, name)?;
    Ok(rows(selection, functions, |stack| {
        let at = stack.iter().position(|id| meant[id.0 as usize])?;
        Some(at.checked_sub(1).map(|before| stack[before]))
    }))
}

/// What the functions called `name` call, largest first. Where a function calls itself, the innermost call counts; the
/// row without a function is what they took themselves.
///
/// # Errors
/// See [`CallsError`].
pub fn callees(
    selection: &Selection<'_>,
    functions: &Functions<'_>,
    name: &str,
) -> Result<Vec<CallRow>, CallsError> {
    let meant = meant(functions, name)?;
    Ok(rows(selection, functions, |stack| {
        let at = stack.iter().rposition(|id| meant[id.0 as usize])?;
        Some(stack.get(at + 1).copied())
    }))
}

/// For each function whether it is called `name`.
fn meant(functions: &Functions<'_>, name: &str) -> Result<Vec<bool>, CallsError> {
    let all = |fits: &dyn Fn(&str) -> bool| -> Vec<bool> {
        functions
            .iter()
            .map(|(_, function)| fits(function.name))
            .collect()
    };
    let whole = all(&|of| of == name);
    if whole.contains(&true) {
        return Ok(whole);
    }
    let last = all(&|of| of.rsplit('.').next() == Some(name));
    if last.contains(&true) {
        return Ok(last);
    }
    let mut similar: Vec<String> = functions
        .iter()
        .filter(|(_, function)| function.name.contains(name))
        .map(|(_, function)| function.name.to_owned())
        .collect();
    similar.sort_unstable();
    similar.dedup();
    similar.truncate(MOST_SIMILAR);
    Err(CallsError::NoSuchFunction {
        name: name.to_owned(),
        similar,
    })
}

fn rows(
    selection: &Selection<'_>,
    functions: &Functions<'_>,
    other: impl Fn(&[FunctionId]) -> Option<Option<FunctionId>>,
) -> Vec<CallRow> {
    let mut values: HashMap<Option<FunctionId>, i64, RandomState> = HashMap::default();
    let mut ids = Vec::new();
    for (stack, _, value) in selection.samples() {
        ids.clear();
        ids.extend(stack.iter().map(|frame| functions.id(*frame)));
        if let Some(other) = other(&ids) {
            let sum = values.entry(other).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    let values = values.into_iter();
    let mut rows: Vec<CallRow> = values
        .map(|(function, value)| CallRow { function, value })
        .collect();
    rows.sort_by_cached_key(|row| {
        (
            std::cmp::Reverse(row.value),
            row.function.map(|function| functions.get(function)),
        )
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::{CallRow, CallsError, callees, callers};
    use crate::views::test_loaded::loaded;
    use crate::views::{Functions, Selection};

    #[test]
    fn callers_and_callees_add_up_to_what_the_function_took() {
        let loaded = loaded();
        let selection = Selection::new(&loaded, 0, &[]);
        let functions = Functions::of(&loaded.frames);
        let named = |rows: Vec<CallRow>| -> Vec<(&str, i64)> {
            let name = |row: &CallRow| row.function.map_or("-", |function| functions.get(function).name);
            rows.iter().map(|row| (name(row), row.value)).collect()
        };
        let of = |name: &str| {
            (
                named(callers(&selection, &functions, name).expect("it is there")),
                named(callees(&selection, &functions, name).expect("it is there")),
            )
        };
        assert_eq!(of("fib"), (vec![("main", 60)], vec![("-", 60)]));
        assert_eq!(
            of("main"),
            (
                vec![("<module>", 100)],
                vec![("fib", 60), ("decode", 30), ("-", 10)]
            )
        );
        assert_eq!(of("<module>").0, [("-", 100)]);
        assert_eq!(
            callers(&selection, &functions, "oa"),
            Err(CallsError::NoSuchFunction {
                name: "oa".to_owned(),
                similar: vec!["loads".to_owned()]
            })
        );
    }
}
