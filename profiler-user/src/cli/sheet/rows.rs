//! A view as rows of values, which `text`, `json` and `csv` write each in its way.

use std::borrow::Cow;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Value {
    /// A text that somebody else chose. Whoever writes it for people escapes it.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number in the unit of the sheet.
    Amount(i64),
    /// Per cent.
    Percent(f64),
    /// By how much a share changed.
    Points {
        /// Percentage points.
        points: f64,
        /// Whether it is to be seen at a glance.
        is_marked: bool,
    },
    /// By how much an amount changed, in the unit of the sheet.
    Change {
        /// After minus before.
        amount: i64,
        /// Whether it is to be seen at a glance.
        is_marked: bool,
    },
    /// A probability.
    Chance(f64),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    Texts(Vec<String>),
    /// Not known.
    Nothing,
}

impl Value {
    /// A text, or nothing.
    pub(in crate::cli) fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_owned()))
    }

    /// A number, or nothing.
    pub(in crate::cli) fn number(number: Option<u32>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Column {
    /// What programs call it; `None` for what only people see.
    pub(in crate::cli) key: Option<&'static str>,
    /// What people call it; `None` for what only programs see.
    pub(in crate::cli) title: Option<&'static str>,
}

impl Column {
    /// For both.
    pub(in crate::cli) const fn both(key: &'static str, title: &'static str) -> Self {
        Self {
            key: Some(key),
            title: Some(title),
        }
    }

    /// For programs.
    pub(in crate::cli) const fn data(key: &'static str) -> Self {
        Self {
            key: Some(key),
            title: None,
        }
    }

    /// For people.
    pub(in crate::cli) const fn people(title: &'static str) -> Self {
        Self {
            key: None,
            title: Some(title),
        }
    }
}

/// Rows and what they have.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Table {
    /// What the rows have.
    pub(in crate::cli) columns: &'static [Column],
    /// As many values as there are columns, each.
    pub(in crate::cli) rows: Vec<Vec<Value>>,
}

/// A view of a recording.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Sheet {
    /// Its name, as the option is called.
    pub(in crate::cli) view: &'static str,
    /// The files it was made of.
    pub(in crate::cli) files: Vec<String>,
    /// What its values are: name and unit.
    pub(in crate::cli) value: (String, String),
    /// What all shares are shares of.
    pub(in crate::cli) total: i64,
    /// What is shown.
    pub(in crate::cli) table: Table,
    /// Rows for people, where they are more than a table: a tree.
    pub(in crate::cli) drawn: Option<Vec<Drawn>>,
    /// Rows that are not shown.
    pub(in crate::cli) left_out: usize,
    /// Sentences for people and programs.
    pub(in crate::cli) notes: Vec<String>,
}

/// A row that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Drawn {
    /// Lines that lead to it. Ours, so nothing to escape.
    pub(in crate::cli) lines: String,
    /// What it is.
    pub(in crate::cli) text: String,
    /// Its share, per cent.
    pub(in crate::cli) percent: f64,
    /// What stands at its end.
    pub(in crate::cli) end: String,
}

/// At most `most` characters; of a name the beginning says most.
pub(in crate::cli) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or(text))),
        None => Cow::Borrowed(text),
    }
}
