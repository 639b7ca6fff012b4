//! Variables of frames, read from a live interpreter: what `dump --locals` shows. In a worker.
//!
//! | file | what it does |
//! |---|---|
//! | `variables` | names, and which slot of a frame holds what |
//! | `value`, `class` | a value as a short text |
//! | `watched` | a budget for all reads of one thread, and whether what was read has changed since |
//!
//! The interpreter runs on meanwhile, unless its threads happen to be off their CPUs. So every read of a value is made twice:
//! if both rounds give the same, all of it was there at one moment between them.
//!
//! Facts: CPython 2.7 and 3.6 to 3.15, sources in [`crate::language::python::layout::locals`].

mod class;
#[cfg(test)]
mod tests;
mod value;
mod variables;
mod watched;

use std::cell::RefCell;
use std::rc::Rc;

use ahash::HashMap;
use profiler_common::contract::layout::Layout;
use profiler_common::memory::{Memory, RemoteAddr};
use serde::{Deserialize, Serialize};

use self::value::{Classes, Writer};
use self::variables::{MAX_NAME, MAX_VARIABLES, Variables};
use self::watched::{Budget, Watched};
use super::layout::objects::ObjectFields;
use super::objects::{Objects, word};

/// Characters of one value for each time that locals were asked for, as py-spy has it.
pub const ROOM: u16 = 128;
/// Characters of one value, however often.
pub const MAX_ROOM: u16 = 1024;
/// Reads of one thread: about 50 ms.
const MAX_READS: u32 = 50_000;
/// Bytes read of one thread.
const MAX_BYTES: u32 = 32 << 20;
/// Bytes of names and values of one thread.
const MAX_TEXT: usize = 1 << 20;
/// Frames of one thread.
const MAX_FRAMES: usize = profiler_common::contract::records::MAX_FRAMES;
/// Times that a value is read which changes all the while.
const TRIES: u32 = 3;

/// How values are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalsWanted {
    /// Where the interpreter keeps its fields.
    pub objects: ObjectFields,
    /// Characters of one value: at most [`MAX_ROOM`].
    pub room: u16,
}

/// The variables of one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameLocals {
    /// Those that have a value.
    pub locals: Vec<Local>,
    /// So many more were not looked at.
    pub left_out: u32,
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// What it is called.
    pub name: String,
    /// The address of its value.
    pub address: u64,
    /// It is an argument.
    pub is_argument: bool,
    /// What it is; `None` where that was not readable.
    pub text: Option<String>,
    /// All of the value was there at one moment.
    pub is_whole: bool,
}

impl FrameLocals {
    /// Whether no more is claimed than a worker tells.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_short = |text: &str, most: usize| text.len() <= 4 * most && text.chars().count() <= most;
        self.locals.len() <= 2 * MAX_VARIABLES
            && self.locals.iter().all(|local| {
                is_short(&local.name, MAX_NAME)
                    && local
                        .text
                        .as_ref()
                        .is_none_or(|text| is_short(text, MAX_ROOM.into()))
            })
    }

    /// Bytes of text.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let bytes = |local: &Local| local.name.len() + local.text.as_ref().map_or(0, String::len);
        self.locals.iter().map(bytes).sum::<usize>() + 32 * self.locals.len()
    }
}

/// Whether all of them together are no more than a worker tells of one thread.
#[must_use]
pub fn are_sound(frames: &[Option<FrameLocals>]) -> bool {
    let bytes: usize = frames.iter().flatten().map(FrameLocals::text_bytes).sum();
    frames.len() <= MAX_FRAMES
        // The last frame may go beyond it.
        && bytes <= 2 * MAX_TEXT
        && frames.iter().flatten().all(FrameLocals::is_sound)
}

/// Reads the frames of one thread.
pub struct Reader<'a, M> {
    memory: &'a M,
    layout: &'a Layout,
    wanted: &'a LocalsWanted,
    budget: Budget,
    classes: Classes,
    variables: RefCell<HashMap<u64, Option<Rc<Variables>>>>,
    /// No thread of the process runs meanwhile.
    is_at_rest: bool,
    text_bytes: usize,
}

/// A variable and what leads to its value.
struct Place<'p> {
    name: &'p str,
    is_argument: bool,
    /// Where its address is.
    slot: RemoteAddr,
    is_cell: bool,
}

impl<'a, M: Memory> Reader<'a, M> {
    /// Of a thread of an interpreter with these layouts. With `is_at_rest` nothing is read twice.
    #[must_use]
    pub fn new(memory: &'a M, layout: &'a Layout, wanted: &'a LocalsWanted, is_at_rest: bool) -> Self {
        Self {
            memory,
            layout,
            wanted,
            budget: Budget::new(MAX_READS, MAX_BYTES),
            classes: Classes::default(),
            variables: RefCell::default(),
            is_at_rest,
            text_bytes: 0,
        }
    }

    /// The variables of the frame at `frame`, which runs the code object at `code`; `None` when they cannot be read, or too
    /// much was read before.
    pub fn frame(&mut self, frame: u64, code: u64) -> Option<FrameLocals> {
        if self.budget.is_spent() || self.text_bytes > MAX_TEXT {
            return None;
        }
        let variables = self.variables(code)?;
        let frame = RemoteAddr(frame);
        let found = if variables.are_in_frame {
            self.in_frame(frame, &variables)
        } else {
            self.in_scope(frame)
        };
        self.text_bytes = self.text_bytes.saturating_add(found.text_bytes());
        Some(found)
    }

    fn variables(&self, code: u64) -> Option<Rc<Variables>> {
        let known = self.variables.borrow().get(&code).cloned();
        known.unwrap_or_else(|| {
            let watched = Watched::new(self.memory, &self.budget);
            let variables = Variables::of(&self.objects(&watched), RemoteAddr(code)).map(Rc::new);
            self.variables.borrow_mut().insert(code, variables.clone());
            variables
        })
    }

    fn objects<'w, 'm>(&'w self, watched: &'w Watched<'m, M>) -> Objects<'w, Watched<'m, M>> {
        Objects::new(watched, self.layout, &self.wanted.objects)
    }

    /// A field of a frame, which is an object up to 3.10.
    fn frame_field(&self, frame: RemoteAddr, field: u16) -> RemoteAddr {
        let is_object = self.layout.frame_shape == profiler_common::contract::layout::frame_shape::OBJECT;
        let header = if is_object {
            self.wanted.objects.header_bytes
        } else {
            0
        };
        frame.offset(header.into()).offset(field.into())
    }

    fn in_frame(&self, frame: RemoteAddr, variables: &Variables) -> FrameLocals {
        let first = self.frame_field(frame, self.wanted.objects.locals.first);
        let places = variables.variables.iter().map(|variable| Place {
            name: &variable.name,
            is_argument: variable.is_argument,
            slot: first.offset((variable.slot as u64).wrapping_mul(8)),
            is_cell: variable.is_cell,
        });
        FrameLocals {
            locals: places.filter_map(|place| self.local(&place)).collect(),
            left_out: variables.left_out,
        }
    }

    /// The variables of a class body, or of executed text with a dictionary of its own. Those of a module are its globals, which
    /// are not shown.
    fn in_scope(&self, frame: RemoteAddr) -> FrameLocals {
        let fields = &self.wanted.objects.locals;
        let watched = Watched::new(self.memory, &self.budget);
        let objects = self.objects(&watched);
        let dictionary = |field: u16| word(&watched, self.frame_field(frame, field));
        let (Some(scope), Some(globals)) = (dictionary(fields.scope), dictionary(fields.globals)) else {
            return FrameLocals::default();
        };
        if scope == 0 || scope == globals {
            return FrameLocals::default();
        }
        let most = MAX_VARIABLES as u64;
        let entries = objects.dictionary(RemoteAddr(scope), most).unwrap_or_default();
        let named = entries.iter().filter_map(|entry| {
            let name: String = objects.text(entry.key)?.chars().take(MAX_NAME).collect();
            Some((name, entry.value))
        });
        let named: Vec<_> = named.collect();
        let is_unchanged = self.is_at_rest || watched.is_unchanged();
        let locals = named.into_iter().map(|(name, value)| {
            let (text, is_whole) = self.value(|_| Some(value));
            Local {
                name,
                address: value.0,
                is_argument: false,
                text: text.map(|(_, text)| text),
                is_whole: is_whole && is_unchanged,
            }
        });
        FrameLocals {
            locals: locals.collect(),
            left_out: 0,
        }
    }

    /// `None` of a variable without a value.
    fn local(&self, place: &Place<'_>) -> Option<Local> {
        let tag = u64::from(self.layout.code_tag_mask);
        let (found, is_whole) = self.value(|objects| {
            let object = word(objects.memory(), place.slot)? & !tag;
            let object = RemoteAddr(object);
            if !place.is_cell || object.is_null() {
                return Some(object);
            }
            // A cell that has not been made yet is the value itself (3.11+).
            let is_cell = class::is_named(objects, objects.type_of(object)?, "cell");
            if is_cell {
                Some(RemoteAddr(word(objects.memory(), objects.field(object, 0))?))
            } else {
                Some(object)
            }
        });
        let (address, text) = match found {
            Some((address, _)) if address.is_null() => return None,
            Some((address, text)) => (address.0, Some(text)),
            None => (0, None),
        };
        Some(Local {
            name: place.name.to_owned(),
            address,
            is_argument: place.is_argument,
            text: text.filter(|text| !text.is_empty()),
            is_whole,
        })
    }

    /// The address and the text of a value to which `find` leads, and whether all of it was there at one moment. An address that
    /// is null has an empty text.
    fn value(
        &self,
        find: impl Fn(&Objects<'_, Watched<'_, M>>) -> Option<RemoteAddr>,
    ) -> (Option<(RemoteAddr, String)>, bool) {
        let mut found = None;
        for _ in 0..TRIES {
            let watched = Watched::new(self.memory, &self.budget);
            let objects = self.objects(&watched);
            found = find(&objects).and_then(|address| {
                if address.is_null() {
                    return Some((address, String::new()));
                }
                let writer = Writer::new(&objects, &self.classes);
                let text = writer.write(address, self.wanted.room.min(MAX_ROOM).into());
                Some((address, text?))
            });
            if self.is_at_rest || watched.is_unchanged() {
                return (found, true);
            }
        }
        (found, false)
    }
}
