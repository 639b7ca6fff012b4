//! Reads pprof files, ours or another tool's: `third-party/pprof/profile.proto`.
//!
//! The tables come after the samples in most files, and samples may be many. So a file is read twice: for its tables, and then
//! for its samples, which are folded as they come.

use std::collections::HashMap;
use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;

use ahash::RandomState;
use prost::Message;

use super::builder::Builder;
use super::content::Content;
use super::error::ReadError;
use super::fields::{Fields, Value};
use super::frame_of::frame_of;
use super::loaded::{About, LabelSet, LabelSetId, LabelValue, ValueType};
use super::room::{MOST_FRAMES, Room};
use crate::pprof_messages::{
    Function, Label, Line, Location, Mapping, Sample, ValueType as RawType, profile,
};
use crate::profile::FrameId;

/// The label that says when a sample was taken.
const TIME_LABEL: &str = "end_timestamp_ns";
/// Sets of labels whose numbers are remembered while a file is read.
const MOST_REMEMBERED: usize = 1 << 16;

/// Adds the samples of a file.
pub(super) fn read(content: &Content, to: &mut Builder) -> Result<(), ReadError> {
    let tables = Tables::read(content.stream()?)?;
    let types: Vec<ValueType> = tables
        .types
        .iter()
        .map(|of| tables.value_type(of))
        .collect::<Result<_, _>>()?;
    let default = tables.text(tables.default_type, "the default sample type")?;
    let shown = types.iter().position(|of| of.name == default);
    to.set_types(types, shown)?;
    to.describe(tables.about()?);
    let frames = Frames::of(&tables, to)?;
    read_samples(content.stream()?, &tables, &frames, to)
}

/// Everything but the samples.
#[derive(Debug, Default)]
struct Tables {
    types: Vec<RawType>,
    mappings: HashMap<u64, Mapping, RandomState>,
    locations: Vec<Location>,
    functions: HashMap<u64, Function, RandomState>,
    strings: Vec<Box<str>>,
    started_ns: i64,
    duration_ns: i64,
    period_type: Option<RawType>,
    period: i64,
    comments: Vec<i64>,
    default_type: i64,
}

/// What a byte of a message in the file takes in memory, at most: a line takes two bytes, or sixteen.
const BYTES_PER_BYTE: usize = 8;
/// About what an entry of a table takes.
const ENTRY_BYTES: usize = 64;

impl Tables {
    fn read(input: impl BufRead) -> Result<Self, ReadError> {
        // Gone after this file, so not from the room for what is kept.
        let mut room = Room::default();
        let mut fields = Fields::new(input);
        let mut tables = Self::default();
        while let Some((tag, value)) = fields.next(|tag| tag != profile::SAMPLE)? {
            if let Value::Bytes(bytes) = value {
                let each = if tag == profile::STRING_TABLE {
                    1
                } else {
                    BYTES_PER_BYTE
                };
                room.take(bytes.len(), each)?;
            }
            room.take(1, ENTRY_BYTES)?;
            tables.take(tag, value)?;
        }
        Ok(tables)
    }

    fn take(&mut self, tag: u32, value: Value<'_>) -> Result<(), ReadError> {
        match (tag, value) {
            (profile::SAMPLE_TYPE, Value::Bytes(bytes)) => self.types.push(RawType::decode(bytes)?),
            (profile::MAPPING, Value::Bytes(bytes)) => {
                let mapping = Mapping::decode(bytes)?;
                let id = mapping.id;
                insert(&mut self.mappings, id, mapping, "mapping")?;
            }
            (profile::LOCATION, Value::Bytes(bytes)) => self.locations.push(Location::decode(bytes)?),
            (profile::FUNCTION, Value::Bytes(bytes)) => {
                let function = Function::decode(bytes)?;
                let id = function.id;
                insert(&mut self.functions, id, function, "function")?;
            }
            (profile::STRING_TABLE, Value::Bytes(bytes)) => {
                self.strings.push(String::from_utf8_lossy(bytes).into());
            }
            (profile::TIME_NANOS, Value::Number(number)) => self.started_ns = number.cast_signed(),
            (profile::DURATION_NANOS, Value::Number(number)) => self.duration_ns = number.cast_signed(),
            (profile::PERIOD_TYPE, Value::Bytes(bytes)) => self.period_type = Some(RawType::decode(bytes)?),
            (profile::PERIOD, Value::Number(number)) => self.period = number.cast_signed(),
            (profile::COMMENT, Value::Bytes(bytes)) => {
                let mut packed = Fields::new(bytes);
                while let Some(number) = packed.number()? {
                    self.comments.push(number.cast_signed());
                }
            }
            (profile::COMMENT, Value::Number(number)) => self.comments.push(number.cast_signed()),
            (profile::DEFAULT_SAMPLE_TYPE, Value::Number(number)) => self.default_type = number.cast_signed(),
            (profile::SAMPLE_TYPE..=profile::DEFAULT_SAMPLE_TYPE, _) if KNOWN.contains(&tag) => {
                return Err(ReadError::Damaged {
                    what: "a field has the type of another one",
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&self, index: i64, what: &'static str) -> Result<&str, ReadError> {
        let text = usize::try_from(index).ok().and_then(|at| self.strings.get(at));
        match text {
            Some(text) => Ok(text),
            // A file without any text has no table.
            None if index == 0 => Ok(""),
            None => Err(ReadError::MissingText {
                what,
                index,
                strings: self.strings.len(),
            }),
        }
    }

    fn value_type(&self, of: &RawType) -> Result<ValueType, ReadError> {
        Ok(ValueType {
            name: self.text(of.r#type, "a sample type")?.to_owned(),
            unit: self.text(of.unit, "a unit")?.to_owned(),
        })
    }

    fn about(&self) -> Result<About, ReadError> {
        let comments = self.comments.iter();
        let comments = comments.map(|index| Ok(self.text(*index, "a comment")?.to_owned()));
        Ok(About {
            files: 1,
            started_ns: self.started_ns,
            duration_ns: self.duration_ns,
            period: self.period,
            period_type: self
                .period_type
                .as_ref()
                .map(|of| self.value_type(of))
                .transpose()?,
            comments: comments.collect::<Result<_, ReadError>>()?,
        })
    }
}

/// Fields of `Profile` that have one type only.
const KNOWN: &[u32] = &[
    profile::SAMPLE_TYPE,
    profile::MAPPING,
    profile::LOCATION,
    profile::FUNCTION,
    profile::STRING_TABLE,
    profile::TIME_NANOS,
    profile::DURATION_NANOS,
    profile::PERIOD_TYPE,
    profile::PERIOD,
    profile::DEFAULT_SAMPLE_TYPE,
];

fn insert<T>(
    map: &mut HashMap<u64, T, RandomState>,
    id: u64,
    value: T,
    what: &'static str,
) -> Result<(), ReadError> {
    match map.insert(id, value) {
        None => Ok(()),
        Some(_) => Err(ReadError::Twice { what, id }),
    }
}

/// The frames of each location, outermost first: several where functions were inlined.
#[derive(Debug)]
struct Frames {
    all: Vec<FrameId>,
    of_location: HashMap<u64, Range<usize>, RandomState>,
}

impl Frames {
    fn of(tables: &Tables, to: &mut Builder) -> Result<Self, ReadError> {
        let mut frames = Self {
            all: Vec::new(),
            of_location: HashMap::default(),
        };
        for location in &tables.locations {
            let start = frames.all.len();
            let module = match location.mapping_id {
                0 => "",
                id => {
                    let mapping = tables.mappings.get(&id);
                    let mapping = mapping.ok_or(ReadError::Missing { what: "mapping", id })?;
                    tables.text(mapping.filename, "the name of a mapping")?
                }
            };
            for line in location.line.iter().rev() {
                frames.all.push(frame(tables, line, module, to)?);
            }
            if location.line.is_empty() {
                frames
                    .all
                    .push(to.frame(super::frame_of::without_name(location.address, module))?);
            }
            let range = start..frames.all.len();
            insert(&mut frames.of_location, location.id, range, "location")?;
        }
        Ok(frames)
    }

    /// Appends the frames of a location.
    fn push(&self, location: u64, to: &mut Vec<FrameId>) -> Result<(), ReadError> {
        let range = self.of_location.get(&location).ok_or(ReadError::Missing {
            what: "location",
            id: location,
        })?;
        let frames = self.all.get(range.clone()).unwrap_or_default();
        if to.len() + frames.len() > MOST_FRAMES {
            return Err(ReadError::TooDeep { most: MOST_FRAMES });
        }
        to.extend_from_slice(frames);
        Ok(())
    }
}

fn frame(tables: &Tables, line: &Line, module: &str, to: &mut Builder) -> Result<FrameId, ReadError> {
    let function = tables
        .functions
        .get(&line.function_id)
        .ok_or(ReadError::Missing {
            what: "function",
            id: line.function_id,
        })?;
    let frame = frame_of(
        tables.text(function.name, "the name of a function")?,
        tables.text(function.system_name, "the system name of a function")?,
        tables.text(function.filename, "the file of a function")?,
        module,
        [line.line, function.start_line],
    );
    to.frame(frame)
}

fn read_samples(
    input: impl BufRead,
    tables: &Tables,
    frames: &Frames,
    to: &mut Builder,
) -> Result<(), ReadError> {
    let mut fields = Fields::new(input);
    let mut known: HashMap<Vec<Label>, LabelSetId, RandomState> = HashMap::default();
    let mut stack = Vec::new();
    while let Some((_, value)) = fields.next(|tag| tag == profile::SAMPLE)? {
        let Value::Bytes(bytes) = value else {
            return Err(ReadError::Damaged {
                what: "a sample is a number",
            });
        };
        let mut sample = Sample::decode(bytes)?;
        stack.clear();
        for location in sample.location_id.iter().rev() {
            frames.push(*location, &mut stack)?;
        }
        let time_ns = take_time(&mut sample.label, tables)?;
        let labels = match known.get(&sample.label) {
            Some(labels) => *labels,
            None => {
                let labels = labels(&sample.label, tables, to)?;
                let labels = to.labels(labels)?;
                if known.len() >= MOST_REMEMBERED {
                    known.clear();
                }
                known.insert(sample.label, labels);
                labels
            }
        };
        let stack = to.stack(&stack)?;
        to.add(stack, labels, &sample.value, time_ns)?;
    }
    Ok(())
}

/// Takes the time out of the labels, which would make every sample differ from every other.
fn take_time(labels: &mut Vec<Label>, tables: &Tables) -> Result<Option<i64>, ReadError> {
    for (at, label) in labels.iter().enumerate() {
        if tables.text(label.key, "the key of a label")? == TIME_LABEL {
            return Ok(Some(labels.remove(at).num));
        }
    }
    Ok(None)
}

fn labels(of: &[Label], tables: &Tables, to: &mut Builder) -> Result<LabelSet, ReadError> {
    let mut set = Vec::with_capacity(of.len());
    for label in of {
        let key: Arc<str> = to.text(tables.text(label.key, "the key of a label")?)?;
        let value = if label.str == 0 {
            let unit = to.text(tables.text(label.num_unit, "the unit of a label")?)?;
            LabelValue::Number(label.num, unit)
        } else {
            LabelValue::Text(to.text(tables.text(label.str, "the text of a label")?)?)
        };
        set.push((key, value));
    }
    Ok(LabelSet(set))
}
