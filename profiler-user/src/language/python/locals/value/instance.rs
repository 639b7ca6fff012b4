//! Instances that are more than a class and an address: dataclasses, named tuples, members of enumerations, paths, exceptions.

use profiler_common::memory::{Memory, RemoteAddr};

use super::{Value, Writer};
use crate::language::python::layout::objects::{EXCEPTION_ARGS, FLAG_LIST, FLAG_TUPLE, LIST_ITEMS};
use crate::language::python::objects::{pointer, word};

/// Parts of a path that are joined.
const MAX_PARTS: usize = 64;

impl<M: Memory> Writer<'_, '_, M> {
    /// A dataclass or a named tuple.
    pub(super) fn with_fields(&self, value: Value<'_>, fields: &[String], room: usize) -> String {
        let Value { address, class } = value;
        let write = || {
            let items = if class.has(FLAG_TUPLE) {
                self.objects.tuple(address, fields.len())?
            } else {
                Vec::new()
            };
            let attributes = if class.has(FLAG_TUPLE) {
                Vec::new()
            } else {
                self.objects.attributes(address).unwrap_or_default()
            };
            let named = fields.iter().enumerate().map(|(index, name)| {
                let attribute = || {
                    let entry = attributes
                        .iter()
                        .find(|entry| self.objects.is_text(entry.key, name));
                    entry.map(|entry| entry.value)
                };
                let of_slot = || class.slot(self.objects, address, name);
                let item = items.get(index).copied();
                (name.clone(), item.or_else(attribute).or_else(of_slot))
            });
            let named: Vec<_> = named.collect();
            Some(self.with_names(&class.name, &named, room))
        };
        self.once(address, write).unwrap_or_else(|| value.by_address())
    }

    /// `<Color.RED: 1>`; `None` when it has no name.
    pub(super) fn member_of_enum(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, class } = value;
        self.once(address, || {
            let name = self.objects.text(self.attribute(value, "_name_")?)?;
            let frame = class.name.chars().count() + name.chars().count() + 5;
            let inner = self.attribute(value, "_value_")?;
            let inner = self.inner(inner, room.saturating_sub(frame));
            Some(format!("<{}.{name}: {inner}>", class.name))
        })
    }

    /// `PosixPath("/srv")`.
    pub(super) fn path(&self, value: Value<'_>, room: usize) -> String {
        let Value { address, class } = value;
        let write = || {
            let text = match self.attribute(value, "_str") {
                Some(text) => self.objects.text(text)?,
                None => self.joined(value)?,
            };
            let room = room.saturating_sub(class.name.chars().count() + 4);
            let text = super::cut(text, room);
            Some(format!("{}(\"{}\")", class.name, crate::escape::printable(&text)))
        };
        self.once(address, write).unwrap_or_else(|| value.by_address())
    }

    /// `ValueError("bad")`.
    pub(super) fn exception(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, class } = value;
        let field = self.objects.field(address, EXCEPTION_ARGS);
        let arguments = pointer(self.objects.memory(), field)?;
        let name = class.name.strip_prefix("exceptions.").unwrap_or(&class.name);
        let left = room.saturating_sub(name.chars().count() + 2);
        let arguments = match *self.objects.tuple(arguments, 2)? {
            [] => "()".to_owned(),
            [only] => format!("({})", self.inner(only, left)),
            _ => self.inner(arguments, left),
        };
        Some(format!("{name}{arguments}"))
    }

    /// What an attribute is, in the dictionary or a slot.
    fn attribute(&self, value: Value<'_>, name: &str) -> Option<RemoteAddr> {
        if let Some(found) = value.class.slot(self.objects, value.address, name) {
            return Some(found);
        }
        let attributes = self.objects.attributes(value.address)?;
        let entry = attributes
            .iter()
            .find(|entry| self.objects.is_text(entry.key, name))?;
        Some(entry.value)
    }

    /// A path whose text has not been asked for: its parts (up to 3.11), or what it was made of.
    fn joined(&self, value: Value<'_>) -> Option<String> {
        let parts = ["_parts", "_raw_paths"]
            .iter()
            .find_map(|name| self.attribute(value, name))?;
        let class = self.class(self.objects.type_of(parts)?)?;
        if !class.has(FLAG_LIST) {
            return None;
        }
        let memory = self.objects.memory();
        let count = word(memory, self.objects.field(parts, 0))?;
        if count == 0 {
            return Some(".".to_owned());
        }
        let start = self.objects.field(parts, LIST_ITEMS);
        let items = self.objects.items(pointer(memory, start)?, count, MAX_PARTS)?;
        let mut path = String::new();
        for item in items {
            let part = self.objects.text(item)?;
            if part.starts_with('/') {
                path.clear();
            } else if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(&part);
        }
        Some(path)
    }
}
