//! What was read from recording files: stacks with labels and values of any kinds, ours or another tool's.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::profile::timeline::Timeline;
use crate::profile::{Frame, FrameId, StackId};

/// What one of the values of a sample is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueType {
    /// `cpu`, `samples`, `alloc_space`.
    pub name: String,
    /// `nanoseconds`, `count`, `bytes`.
    pub unit: String,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.unit)
    }
}

/// The value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LabelValue {
    /// A text.
    Text(Arc<str>),
    /// A number and its unit, which is empty in most files.
    Number(i64, Arc<str>),
}

impl LabelValue {
    /// As people read it.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number, unit) if unit.is_empty() => Cow::Owned(number.to_string()),
            Self::Number(number, unit) => Cow::Owned(format!("{number} {unit}")),
        }
    }
}

/// What a file says about whose a sample is, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(pub Vec<(Arc<str>, LabelValue)>);

impl LabelSet {
    /// The first value of this label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&LabelValue> {
        self.0.iter().find(|(of, _)| &**of == key).map(|(_, value)| value)
    }

    /// The text of this label.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key).map(LabelValue::text)
    }

    /// The number of this label, if it is one that ids have.
    #[must_use]
    pub fn id(&self, key: &str) -> Option<u32> {
        match self.get(key)? {
            LabelValue::Number(number, _) => u32::try_from(*number).ok(),
            LabelValue::Text(text) => text.parse().ok(),
        }
    }
}

/// Index into [`Loaded::labels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSetId(pub u32);

/// What was seen with a stack and a set of labels: [`Loaded::values`] has the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// With which stack.
    pub stack: StackId,
    /// Whose.
    pub labels: LabelSetId,
}

/// What the files say about themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// How many files there were.
    pub files: u32,
    /// Since 1970, nanoseconds: the earliest; 0 if it is not known.
    pub started_ns: i64,
    /// Of all files together, nanoseconds; 0 if it is not known.
    pub duration_ns: i64,
    /// What lies between two samples, in units of `period_type`; 0 if it is not known.
    pub period: i64,
    /// What the period counts.
    pub period_type: Option<ValueType>,
    /// Lines without a place of their own; in our files the command line, the host and the accounts. Those of the first file
    /// that has any.
    pub comments: Vec<String>,
}

/// One or several recordings.
#[derive(Debug)]
pub struct Loaded {
    /// The kinds of values, at least one.
    pub types: Vec<ValueType>,
    /// The kind that is shown unless another one is asked for.
    pub default_type: usize,
    /// Frames that occur in `stacks`.
    pub frames: Vec<Frame>,
    /// Different stacks, outermost frame first.
    pub stacks: Vec<Box<[FrameId]>>,
    /// Different sets of labels.
    pub labels: Vec<LabelSet>,
    /// One for each pair of stack and labels.
    pub rows: Vec<Row>,
    /// For each row as many values as there are types.
    pub values: Vec<i64>,
    /// What the files say about themselves.
    pub about: About,
    /// Every sample with its time, where that was wanted and known: threads stand for sets of labels, times are nanoseconds
    /// since 1970.
    pub times: Option<Timeline>,
}

impl Loaded {
    /// The frames of this stack, outermost first; none if the id is not one of this recording.
    #[must_use]
    pub fn stack(&self, id: StackId) -> &[FrameId] {
        self.stacks
            .get(id.0 as usize)
            .map(|stack| &**stack)
            .unwrap_or_default()
    }

    /// The values of the row at `index`.
    #[must_use]
    pub fn values(&self, index: usize) -> &[i64] {
        let start = index * self.types.len();
        self.values.get(start..start + self.types.len()).unwrap_or(&[])
    }

    /// The labels that occur, in the order of the alphabet.
    #[must_use]
    pub fn label_keys(&self) -> Vec<&str> {
        let keys = self.labels.iter().flat_map(|set| set.0.iter());
        let mut keys: Vec<&str> = keys.map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Whether some sample has this label.
    #[must_use]
    pub fn has_label(&self, key: &str) -> bool {
        self.labels.iter().any(|set| set.get(key).is_some())
    }
}
