//! What is known of the class of a value: how its instances are shown. Read once for all values of a thread.

use profiler_common::memory::{Memory, RemoteAddr};

use crate::language::python::layout::objects::{
    FLAG_HEAP_TYPE, FLAG_TUPLE, MEMBER_DEFINITION, MEMBER_OFFSET, MEMBER_QUALNAME_BYTES, TYPE_BASE,
    TYPE_DICT, TYPE_FLAGS, TYPE_NAME,
};
use crate::language::python::objects::dictionary::Entry;
use crate::language::python::objects::{Objects, pointer, word};

/// Bytes of a name.
const NAME_BYTES: usize = 128;
/// Classes from one to the root that are looked at.
const MAX_BASES: usize = 16;
/// Entries of the dictionary of a class that are looked at.
const MAX_ENTRIES: u64 = 256;
/// Names of fields that are kept.
const MAX_FIELDS: usize = 64;

/// One class.
#[derive(Debug, Default)]
pub(super) struct Class {
    /// `tp_name`.
    pub(super) name: String,
    /// `tp_flags`.
    pub(super) flags: u64,
    /// The names of its bases, the nearest first.
    bases: Vec<String>,
    /// It is an `enum.Enum`.
    pub(super) is_enum: bool,
    /// Those of a dataclass or a named tuple, in order.
    pub(super) fields: Option<Vec<String>>,
    /// `__slots__`: name and distance from the start of the instance.
    slots: Vec<(String, u64)>,
}

impl Class {
    /// The class at `address`.
    pub(super) fn read<M: Memory>(objects: &Objects<'_, M>, address: RemoteAddr) -> Option<Self> {
        let mut class = Self {
            name: name(objects, address)?,
            flags: word(objects.memory(), objects.field(address, TYPE_FLAGS))?,
            ..Self::default()
        };
        let is_heap = class.has(FLAG_HEAP_TYPE);
        if is_heap && let Some(of_class) = objects.type_of(address) {
            let metaclasses = lineage(objects, of_class);
            let metaclasses = metaclasses.filter_map(|class| name(objects, class));
            class.is_enum = metaclasses
                .into_iter()
                .any(|name| name == "EnumMeta" || name == "EnumType");
        }
        for ancestor in lineage(objects, address) {
            if ancestor != address {
                class.bases.extend(name(objects, ancestor));
            }
            let flags = word(objects.memory(), objects.field(ancestor, TYPE_FLAGS)).unwrap_or(0);
            if flags & FLAG_HEAP_TYPE != 0 {
                class.look_into(objects, ancestor);
            }
        }
        Some(class)
    }

    pub(super) fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// Whether it is, or derives from, the class with this `tp_name`.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name || self.bases.iter().any(|base| base == name)
    }

    /// What an attribute in a slot is.
    pub(super) fn slot<M: Memory>(
        &self,
        objects: &Objects<'_, M>,
        object: RemoteAddr,
        name: &str,
    ) -> Option<RemoteAddr> {
        let (_, distance) = self.slots.iter().find(|(slot, _)| slot == name)?;
        pointer(objects.memory(), object.offset(*distance))
    }

    /// Takes from the dictionary of the class or of a base what says how instances are shown.
    fn look_into<M: Memory>(&mut self, objects: &Objects<'_, M>, class: RemoteAddr) {
        let dictionary = pointer(objects.memory(), objects.field(class, TYPE_DICT));
        let entries = dictionary.and_then(|dictionary| objects.dictionary(dictionary, MAX_ENTRIES));
        for Entry { key, value } in entries.unwrap_or_default() {
            let of_value = objects.type_of(value);
            if of_value.is_some_and(|class| is_named(objects, class, "member_descriptor")) {
                self.slots.extend(
                    objects
                        .text(key)
                        .zip(slot_offset(objects, value))
                        .filter(|_| self.slots.len() < MAX_FIELDS),
                );
            } else if self.fields.is_some() {
                // Those of the class itself come before those of its bases.
            } else if self.has(FLAG_TUPLE) && objects.is_text(key, "_fields") {
                self.fields = objects.tuple(value, MAX_FIELDS).map(|names| {
                    let names = names.into_iter();
                    names.filter_map(|name| objects.text(name)).collect()
                });
            } else if objects.is_text(key, "__dataclass_fields__") {
                self.fields = objects.dictionary(value, MAX_FIELDS as u64).map(|fields| {
                    let names = fields.iter();
                    names.filter_map(|entry| objects.text(entry.key)).collect()
                });
            }
        }
    }
}

/// A class and its bases, as far as each has a first one.
fn lineage<M: Memory>(objects: &Objects<'_, M>, class: RemoteAddr) -> impl Iterator<Item = RemoteAddr> {
    let base = |class: &RemoteAddr| pointer(objects.memory(), objects.field(*class, TYPE_BASE));
    std::iter::successors(Some(class), base).take(MAX_BASES)
}

/// `tp_name`.
pub(super) fn name<M: Memory>(objects: &Objects<'_, M>, class: RemoteAddr) -> Option<String> {
    let text = pointer(objects.memory(), objects.field(class, TYPE_NAME))?;
    let mut bytes = [0; NAME_BYTES];
    let length = objects.memory().read_c_string(text, &mut bytes).ok()?;
    let name = bytes.get(..length as usize)?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Whether `tp_name` is this one.
pub(super) fn is_named<M: Memory>(objects: &Objects<'_, M>, class: RemoteAddr, wanted: &str) -> bool {
    let mut bytes = [0; NAME_BYTES];
    let text = pointer(objects.memory(), objects.field(class, TYPE_NAME));
    let length = text.and_then(|text| objects.memory().read_c_string(text, &mut bytes).ok());
    length.and_then(|length| bytes.get(..length as usize)) == Some(wanted.as_bytes())
}

/// Where a member descriptor says that the slot is: `PyMemberDef.offset`.
fn slot_offset<M: Memory>(objects: &Objects<'_, M>, descriptor: RemoteAddr) -> Option<u64> {
    let is_27 = objects.fields().locals.has_no_qualnames();
    let at = objects.field(descriptor, MEMBER_DEFINITION);
    let at = at.offset(if is_27 { 0 } else { MEMBER_QUALNAME_BYTES });
    let offset = word(
        objects.memory(),
        pointer(objects.memory(), at)?.offset(MEMBER_OFFSET),
    )?;
    (offset < 1 << 16).then_some(offset)
}
