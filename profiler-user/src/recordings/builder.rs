//! Folds what files say into one [`Loaded`]: equal stacks with equal labels become one row, whichever file they come from.

use std::collections::HashSet;
use std::sync::Arc;

use ahash::RandomState;
use indexmap::IndexSet;
use profiler_common::contract::sources::Source;

use super::error::ReadError;
use super::loaded::{About, LabelSet, LabelSetId, Loaded, Row, ValueType};
use super::pairs::Pairs;
use super::room::{MOST_FRAMES, MOST_TYPES, Room};
use crate::profile::timeline::{Tick, Timeline};
use crate::profile::{Frame, FrameId, FrameTable, StackId, ThreadId};

/// About what an entry of a hash table costs besides what is in it, bytes.
const ENTRY_BYTES: usize = 64;

/// Takes the samples of one file after the other.
#[derive(Debug)]
pub(super) struct Builder {
    room: Room,
    types: Option<Vec<ValueType>>,
    default_type: Option<usize>,
    pairs: Pairs,
    texts: HashSet<Arc<str>, RandomState>,
    frames: FrameTable,
    stacks: IndexSet<Box<[FrameId]>, RandomState>,
    labels: IndexSet<LabelSet, RandomState>,
    rows: IndexSet<(StackId, LabelSetId), RandomState>,
    values: Vec<i64>,
    about: About,
    times: Option<Timeline>,
}

impl Builder {
    /// With the time of each sample, if there is somewhere to keep it.
    pub(super) fn new(times: Option<Timeline>) -> Self {
        Self {
            room: Room::default(),
            types: None,
            default_type: None,
            pairs: Pairs::default(),
            texts: HashSet::default(),
            frames: FrameTable::default(),
            stacks: IndexSet::default(),
            labels: IndexSet::default(),
            rows: IndexSet::default(),
            values: Vec::new(),
            about: About::default(),
            times,
        }
    }

    /// Says what the values of the next file are. All files must have the same.
    pub(super) fn set_types(
        &mut self,
        types: Vec<ValueType>,
        default_type: Option<usize>,
    ) -> Result<(), ReadError> {
        if types.is_empty() || types.len() > MOST_TYPES {
            return Err(ReadError::Types {
                types: types.len(),
                most: MOST_TYPES,
            });
        }
        match &self.types {
            Some(known) if *known != types => Err(ReadError::OtherTypes {
                found: list(&types),
                expected: list(known),
            }),
            Some(_) => Ok(()),
            None => {
                self.pairs = Pairs::of(&types);
                self.default_type = default_type;
                self.types = Some(types);
                Ok(())
            }
        }
    }

    /// Adds what a file says about itself.
    pub(super) fn describe(&mut self, file: About) {
        let about = &mut self.about;
        about.files += file.files;
        about.duration_ns = about.duration_ns.saturating_add(file.duration_ns.max(0));
        if about.started_ns == 0 || (file.started_ns != 0 && file.started_ns < about.started_ns) {
            about.started_ns = file.started_ns;
        }
        if about.period == 0 {
            about.period = file.period;
            about.period_type = file.period_type;
        }
        if about.comments.is_empty() {
            about.comments = file.comments;
        }
    }

    /// The one copy of a text that labels share.
    pub(super) fn text(&mut self, text: &str) -> Result<Arc<str>, ReadError> {
        if let Some(known) = self.texts.get(text) {
            return Ok(Arc::clone(known));
        }
        self.room.take(1, text.len() + ENTRY_BYTES)?;
        let text: Arc<str> = Arc::from(text);
        self.texts.insert(Arc::clone(&text));
        Ok(text)
    }

    /// The number of a frame. What finds no room in the table of frames gets a name that says so.
    pub(super) fn frame(&mut self, frame: Frame) -> Result<FrameId, ReadError> {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let bytes = frame.name.len() + text(&frame.file) + text(&frame.short_file) + text(&frame.module);
        let before = self.frames.len();
        let id = self.frames.intern(frame);
        if self.frames.len() > before {
            self.room.take(1, bytes + size_of::<Frame>() + ENTRY_BYTES)?;
        }
        Ok(id)
    }

    /// The number of a stack, outermost frame first.
    pub(super) fn stack(&mut self, stack: &[FrameId]) -> Result<StackId, ReadError> {
        if let Some(known) = self.stacks.get_index_of(stack) {
            return Ok(StackId(index(known)));
        }
        if stack.len() > MOST_FRAMES {
            return Err(ReadError::TooDeep { most: MOST_FRAMES });
        }
        self.room.take(1, size_of_val(stack) + ENTRY_BYTES)?;
        Ok(StackId(index(self.stacks.insert_full(stack.into()).0)))
    }

    /// The number of a set of labels.
    pub(super) fn labels(&mut self, labels: LabelSet) -> Result<LabelSetId, ReadError> {
        if let Some(known) = self.labels.get_index_of(&labels) {
            return Ok(LabelSetId(index(known)));
        }
        self.room.take(labels.0.len() + 1, ENTRY_BYTES)?;
        Ok(LabelSetId(index(self.labels.insert_full(labels).0)))
    }

    /// Adds a sample, taken at `time_ns` (nanoseconds since 1970) if that is known.
    pub(super) fn add(
        &mut self,
        stack: StackId,
        labels: LabelSetId,
        values: &[i64],
        time_ns: Option<i64>,
    ) -> Result<(), ReadError> {
        let types = self.types.as_ref().map_or(0, Vec::len);
        if values.len() != types {
            return Err(ReadError::Values {
                values: values.len(),
                types,
            });
        }
        let row = (stack, labels);
        let at = match self.rows.get_index_of(&row) {
            Some(at) => at,
            None => {
                self.room.take(1, ENTRY_BYTES + size_of_val(values))?;
                self.values.resize(self.values.len() + types, 0);
                self.rows.insert_full(row).0
            }
        };
        for (sum, value) in self.values.iter_mut().skip(at * types).zip(values) {
            *sum = sum.saturating_add(*value);
        }
        self.note_time(row, values, time_ns);
        Ok(())
    }

    /// Keeps the time, as long as every sample has one and is one of a known source.
    fn note_time(&mut self, (stack, labels): (StackId, LabelSetId), values: &[i64], time_ns: Option<i64>) {
        let Some(times) = &mut self.times else {
            return;
        };
        let one: Option<(Source, u64)> = self.pairs.only_sample(values);
        let time_ns = time_ns.and_then(|time| u64::try_from(time).ok());
        match (one, time_ns) {
            (Some((source, weight)), Some(time_ns)) => times.push(Tick {
                time_ns,
                thread: ThreadId(labels.0),
                stack,
                source,
                weight,
            }),
            _ => self.times = None,
        }
    }

    /// All files together; `None` if there was none.
    pub(super) fn finish(self) -> Option<Loaded> {
        let types = self.types?;
        let default_type = self.default_type.unwrap_or(types.len() - 1);
        Some(Loaded {
            default_type,
            types,
            frames: self.frames.into_frames(),
            stacks: self.stacks.into_iter().collect(),
            labels: self.labels.into_iter().collect(),
            rows: self
                .rows
                .into_iter()
                .map(|(stack, labels)| Row { stack, labels })
                .collect(),
            values: self.values,
            about: self.about,
            times: self
                .times
                .filter(|times| !times.is_empty() && !times.has_failed()),
        })
    }
}

/// `samples/count, cpu/nanoseconds`.
fn list(types: &[ValueType]) -> String {
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    types.join(", ")
}

/// The tables stay far below 2^32 entries: each takes room.
fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
