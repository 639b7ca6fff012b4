//! Which samples are looked at, by their labels.

use std::borrow::Cow;
use std::str::FromStr;

use glob::Pattern;

use crate::recordings::LabelSet;

/// A label and what it must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFilter {
    /// A label of the file, or `process`, `thread` or `container`, which stand for all labels that say which one it is.
    pub key: String,
    value: String,
    pattern: Option<Pattern>,
}

/// Why a text is no filter.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Without `=`.
    #[error("a label and what it holds: LABEL=VALUE")]
    NoValue,
    /// A shell pattern that is none.
    #[error("not a pattern: {0}")]
    Pattern(&'static str),
}

impl FromStr for LabelFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (key, value) = text.split_once('=').ok_or(FilterError::NoValue)?;
        if key.is_empty() || value.is_empty() {
            return Err(FilterError::NoValue);
        }
        let pattern = value.contains(['*', '?', '[']).then(|| Pattern::new(value));
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
            pattern: pattern
                .transpose()
                .map_err(|error| FilterError::Pattern(error.msg))?,
        })
    }
}

impl LabelFilter {
    /// The labels that it looks at.
    #[must_use]
    pub fn keys(&self) -> &[&str] {
        keys_of(&self.key)
    }

    /// Whether one of these labels fits: as a whole if the value is a pattern, else as a whole word.
    #[must_use]
    pub fn admits(&self, labels: &LabelSet) -> bool {
        let own = [self.key.as_str()];
        let keys = match self.keys() {
            [] => &own[..],
            keys => keys,
        };
        keys.iter()
            .filter_map(|key| labels.text(key))
            .any(|text: Cow<'_, str>| match &self.pattern {
                Some(pattern) => pattern.matches(&text),
                None => has_word(&text, &self.value),
            })
    }
}

/// The labels that one word stands for; none if it is a label of its own.
pub(super) fn keys_of(key: &str) -> &'static [&'static str] {
    match key {
        "process" => &["pid", "command", "script"],
        "thread" => &["tid", "thread"],
        "container" => &["container_name", "container"],
        _ => &[],
    }
}

/// Whether `word` stands in `text` with nothing around it that words are made of.
fn has_word(text: &str, word: &str) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(belongs) && !after.is_some_and(belongs)
    })
}

#[cfg(test)]
mod tests {
    use super::{FilterError, LabelFilter, has_word};

    #[test]
    fn a_value_is_a_whole_word_or_a_pattern() {
        for (text, word, fits) in [
            ("python web.py", "web", true),
            ("/srv/web/main.py", "web", true),
            ("web-2", "web", false),
            ("website", "web", false),
            ("a website, or web", "web", true),
            ("größe", "größe", true),
            ("", "web", false),
        ] {
            assert_eq!(has_word(text, word), fits, "{text}");
        }
        assert_eq!("web".parse::<LabelFilter>(), Err(FilterError::NoValue));
        assert_eq!("process=".parse::<LabelFilter>(), Err(FilterError::NoValue));
        assert!(matches!(
            "a=[".parse::<LabelFilter>(),
            Err(FilterError::Pattern(_))
        ));
    }
}
