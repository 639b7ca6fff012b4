//! The samples that are looked at, with the one value of each that is shown.

use super::filter::LabelFilter;
use crate::profile::FrameId;
use crate::recordings::{LabelSet, LabelSetId, Loaded, ValueType};

/// Some samples of a recording.
#[derive(Debug)]
pub struct Selection<'l> {
    loaded: &'l Loaded,
    value_type: usize,
    wanted: Vec<bool>,
    /// A number for each row in place of the one that the file has.
    instead: Option<Vec<i64>>,
}

impl<'l> Selection<'l> {
    /// The samples that all filters admit (of filters with the same label one is enough), with the value at `value_type`.
    #[must_use]
    pub fn new(loaded: &'l Loaded, value_type: usize, filters: &[LabelFilter]) -> Self {
        let admits = |labels: &LabelSet| {
            filters.iter().all(|filter| {
                let mut same = filters.iter().filter(|other| other.key == filter.key);
                same.any(|filter| filter.admits(labels))
            })
        };
        Self {
            loaded,
            value_type,
            wanted: loaded.labels.iter().map(admits).collect(),
            instead: None,
        }
    }

    /// The same samples, with another number for each row, made of all its values.
    #[must_use]
    pub fn with(&self, number: impl Fn(&[i64]) -> i64) -> Self {
        let rows = 0..self.loaded.rows.len();
        Self {
            loaded: self.loaded,
            value_type: self.value_type,
            wanted: self.wanted.clone(),
            instead: Some(rows.map(|row| number(self.loaded.values(row))).collect()),
        }
    }

    /// What they are selected from.
    #[must_use]
    pub fn loaded(&self) -> &'l Loaded {
        self.loaded
    }

    /// What the values are.
    #[must_use]
    pub fn value_type(&self) -> &'l ValueType {
        // Whoever made the selection has looked it up in this list, which is never empty.
        &self.loaded.types[self.value_type]
    }

    /// For each set of labels whether its samples are selected.
    #[must_use]
    pub fn wanted(&self) -> &[bool] {
        &self.wanted
    }

    /// The samples: stack (outermost frame first), labels, value. None is 0.
    pub fn samples(&self) -> impl Iterator<Item = (&'l [FrameId], LabelSetId, i64)> + '_ {
        let rows = self.loaded.rows.iter().enumerate();
        rows.filter_map(|(index, row)| {
            let value = match &self.instead {
                Some(numbers) => *numbers.get(index)?,
                None => *self.loaded.values(index).get(self.value_type)?,
            };
            let is_wanted = self.wanted.get(row.labels.0 as usize).copied().unwrap_or(false);
            (is_wanted && value != 0).then(|| (self.loaded.stack(row.stack), row.labels, value))
        })
    }

    /// The sum of all values.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.samples()
            .fold(0, |sum, (.., value)| sum.saturating_add(value))
    }
}
