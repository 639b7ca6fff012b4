//! One value as a short text, as py-spy writes it: numbers, texts and containers as in Python, what is not known by its class
//! and address.
//!
//! Foreign memory: a text has room for so many characters, and whatever is read takes some of it, so that the room bounds the
//! work. What contains itself is shown once.

mod container;
mod instance;
mod named;
mod number;
mod numpy;
mod text;

use std::cell::RefCell;
use std::rc::Rc;

use ahash::HashMap;
use profiler_common::memory::{Memory, RemoteAddr};

use super::class::Class;
use crate::language::python::layout::objects::{
    FLAG_DICT, FLAG_EXCEPTION, FLAG_HEAP_TYPE, FLAG_INT, FLAG_LIST, FLAG_LONG, FLAG_STRING, FLAG_TUPLE,
    FLAG_TYPE, FLAG_UNICODE, IntegerShape,
};
use crate::language::python::objects::Objects;

/// Stands for what has no room.
const MORE: &str = "...";
/// With less room nothing is begun.
const LEAST_ROOM: usize = 6;
/// Values within values.
const MAX_DEPTH: usize = 32;

/// Classes of values, by their addresses.
pub(super) type Classes = RefCell<HashMap<RemoteAddr, Rc<Class>>>;

/// Writes values out.
pub(super) struct Writer<'w, 'a, M> {
    objects: &'w Objects<'a, M>,
    classes: &'w Classes,
    /// Containers that are being written.
    open: RefCell<Vec<RemoteAddr>>,
}

/// A value and its class.
#[derive(Clone, Copy)]
struct Value<'v> {
    address: RemoteAddr,
    class: &'v Class,
}

impl<'w, 'a, M: Memory> Writer<'w, 'a, M> {
    pub(super) fn new(objects: &'w Objects<'a, M>, classes: &'w Classes) -> Self {
        Self {
            objects,
            classes,
            open: RefCell::default(),
        }
    }

    /// The object at `address` in at most `room` characters; `None` when it cannot be read.
    pub(super) fn write(&self, address: RemoteAddr, room: usize) -> Option<String> {
        if room < LEAST_ROOM {
            return Some(MORE.to_owned());
        }
        let class = self.class(self.objects.type_of(address)?)?;
        let value = Value {
            address,
            class: &class,
        };
        Some(cut(self.of_class(value, room)?, room))
    }

    /// As [`Self::write`], within another value.
    fn inner(&self, address: RemoteAddr, room: usize) -> String {
        let text = self.write(address, room);
        text.unwrap_or_else(|| "?".to_owned())
    }

    /// The class at `address`.
    pub(super) fn class(&self, address: RemoteAddr) -> Option<Rc<Class>> {
        let known = self.classes.borrow().get(&address).cloned();
        known.or_else(|| {
            let class = Rc::new(Class::read(self.objects, address)?);
            self.classes.borrow_mut().insert(address, Rc::clone(&class));
            Some(class)
        })
    }

    fn of_class(&self, value: Value<'_>, room: usize) -> Option<String> {
        let class = value.class;
        // Some derive from numbers of Python, and keep their value elsewhere.
        if class.name.starts_with("numpy.") && !class.has(FLAG_UNICODE) && !class.has(FLAG_STRING) {
            return Some(self.numpy(value).unwrap_or_else(|| value.by_address()));
        }
        if class.is_enum
            && let Some(text) = self.member_of_enum(value, room)
        {
            return Some(text);
        }
        if let Some(fields) = &class.fields {
            return Some(self.with_fields(value, fields, room));
        }
        if class.has(FLAG_HEAP_TYPE) && class.is("PurePath") {
            return Some(self.path(value, room));
        }
        self.of_builtin(value, room)
    }

    fn of_builtin(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, class } = value;
        let is = |flag| class.has(flag);
        // From 3.12 on the bit of 2.7's `int` says something else.
        let has_machine_numbers = self.objects.fields().integer == IntegerShape::Machine;
        if is(FLAG_LONG) || has_machine_numbers && is(FLAG_INT) {
            let text = self.integer(value)?;
            return Some(value.as_subclass_of(&["int", "long", "bool"], text));
        }
        if is(FLAG_UNICODE) || is(FLAG_STRING) {
            return self.text(value, room);
        }
        if is(FLAG_LIST) || is(FLAG_TUPLE) || is(FLAG_DICT) {
            return self.once(address, || self.container(value, room));
        }
        if is(FLAG_EXCEPTION) {
            return self.once(address, || self.exception(value, room));
        }
        if is(FLAG_TYPE) {
            return self.written_class(address);
        }
        let text = match class.name.as_str() {
            "NoneType" => Some("None".to_owned()),
            "ellipsis" => Some("Ellipsis".to_owned()),
            "NotImplementedType" => Some("NotImplemented".to_owned()),
            _ if class.is("float") => self.float(address),
            _ if class.is("complex") => self.complex(address),
            _ if class.is("bytearray") => self.byte_array(address, room),
            _ if class.is("set") || class.is("frozenset") => self.once(address, || self.set(value, room)),
            _ if class.is("collections.deque") => self.once(address, || self.deque(value, room)),
            _ => self.named(value, room),
        };
        Some(text.unwrap_or_else(|| value.by_address()))
    }

    /// Writes a container, unless it is within itself or too deep.
    fn once(&self, address: RemoteAddr, write: impl FnOnce() -> Option<String>) -> Option<String> {
        {
            let mut open = self.open.borrow_mut();
            if open.len() >= MAX_DEPTH || open.contains(&address) {
                return Some(MORE.to_owned());
            }
            open.push(address);
        }
        let text = write();
        self.open.borrow_mut().pop();
        text
    }
}

impl Value<'_> {
    /// `<Class at 0x7f...>`.
    fn by_address(&self) -> String {
        format!("<{} at {:#x}>", self.class.name, self.address.0)
    }

    /// `Class(text)`, unless it is one of the classes that such a text is of.
    fn as_subclass_of(&self, classes: &[&str], text: String) -> String {
        let name = &self.class.name;
        if classes.contains(&name.as_str()) {
            text
        } else {
            format!("{name}({text})")
        }
    }
}

/// The beginning of a text that has no room.
fn cut(text: String, room: usize) -> String {
    if text.chars().count() <= room {
        return text;
    }
    let kept = room.saturating_sub(MORE.len());
    text.chars().take(kept).chain(MORE.chars()).collect()
}
