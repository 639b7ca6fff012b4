//! A view as rows of values, which `text`, `json` and `csv` write each in its way.

use std::borrow::Cow;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A text that somebody else chose. Whoever writes it for people escapes it.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number in the unit of the sheet.
    Amount(i64),
    /// Per cent.
    Percent(f64),
    /// Several texts.
    Texts(Vec<String>),
    /// Not known.
    Nothing,
}

impl Value {
    /// A text, or nothing.
    pub(super) fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.to_owned()))
    }

    /// A number, or nothing.
    pub(super) fn number(number: Option<u32>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// What programs call it; `None` for what only people see.
    pub(super) key: Option<&'static str>,
    /// What people call it; `None` for what only programs see.
    pub(super) title: Option<&'static str>,
}

impl Column {
    /// For both.
    pub(super) const fn both(key: &'static str, title: &'static str) -> Self {
        Self {
            key: Some(key),
            title: Some(title),
        }
    }

    /// For programs.
    pub(super) const fn data(key: &'static str) -> Self {
        Self {
            key: Some(key),
            title: None,
        }
    }

    /// For people.
    pub(super) const fn people(title: &'static str) -> Self {
        Self {
            key: None,
            title: Some(title),
        }
    }
}

/// A view.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// Its name, as the option is called.
    pub(super) view: &'static str,
    /// The files it was made of.
    pub(super) files: Vec<String>,
    /// What its values are: name and unit.
    pub(super) value: (String, String),
    /// What all shares are shares of.
    pub(super) total: i64,
    /// What the rows have.
    pub(super) columns: &'static [Column],
    /// As many values as there are columns, each.
    pub(super) rows: Vec<Vec<Value>>,
    /// Rows for people, where they are more than a table: a tree.
    pub(super) drawn: Option<Vec<Drawn>>,
    /// Rows that are not shown.
    pub(super) left_out: usize,
    /// Sentences for people and programs.
    pub(super) notes: Vec<String>,
}

/// A row that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    /// Lines that lead to it. Ours, so nothing to escape.
    pub(super) lines: String,
    /// What it is.
    pub(super) text: String,
    /// Its share, per cent.
    pub(super) percent: f64,
    /// What stands at its end.
    pub(super) end: String,
}

/// At most `most` characters; of a name the beginning says most.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or(text))),
        None => Cow::Borrowed(text),
    }
}
