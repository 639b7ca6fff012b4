//! What is known of the class of a value: how its instances are shown. Read once for all values of a thread.

use profiler_common::memory::{Memory, RemoteAddr};

use crate::language::python::layout::objects::{
    FLAG_HEAP_TYPE, FLAG_TUPLE, MEMBER_DEFINITION, MEMBER_OFFSET, MEMBER_QUALNAME_BYTES, TYPE_BASE,
    TYPE_DICT, TYPE_FLAGS, TYPE_NAME,
};
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
    /// Itself and its bases, as far as they were made while the program ran.
    made: Vec<RemoteAddr>,
    /// It is an `enum.Enum`.
    pub(super) is_enum: bool,
    /// Those of a dataclass or a named tuple, in order.
    pub(super) fields: Option<Vec<String>>,
}

impl Class {
    /// The class at `address`.
    pub(super) fn read<M: Memory>(objects: &Objects<'_, M>, address: RemoteAddr) -> Option<Self> {
        let flags_of = |class: RemoteAddr| word(objects.memory(), objects.field(class, TYPE_FLAGS));
        let mut class = Self {
            name: name(objects, address)?,
            flags: flags_of(address)?,
            ..Self::default()
        };
        for ancestor in lineage(objects, address) {
            if ancestor != address {
                class.bases.extend(name(objects, ancestor));
            }
            if flags_of(ancestor).is_some_and(|flags| flags & FLAG_HEAP_TYPE != 0) {
                class.made.push(ancestor);
            }
        }
        if class.has(FLAG_HEAP_TYPE) {
            let metaclass = objects.type_of(address);
            class.is_enum = metaclass.is_some_and(|metaclass| {
                lineage(objects, metaclass)
                    .any(|class| is_named(objects, class, "EnumMeta") || is_named(objects, class, "EnumType"))
            });
            class.fields = class.find_fields(objects);
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

    /// What an attribute in a slot of an instance is.
    pub(super) fn slot<M: Memory>(
        &self,
        objects: &Objects<'_, M>,
        object: RemoteAddr,
        name: &str,
    ) -> Option<RemoteAddr> {
        let descriptor = self.attribute(objects, name)?;
        let class = objects.type_of(descriptor)?;
        if !is_named(objects, class, "member_descriptor") {
            return None;
        }
        pointer(objects.memory(), object.offset(slot_offset(objects, descriptor)?))
    }

    /// An attribute of the class, or of a base.
    fn attribute<M: Memory>(&self, objects: &Objects<'_, M>, name: &str) -> Option<RemoteAddr> {
        self.made.iter().find_map(|class| {
            let dictionary = pointer(objects.memory(), objects.field(*class, TYPE_DICT))?;
            let entries = objects.dictionary(dictionary, MAX_ENTRIES)?;
            let entry = entries.iter().find(|entry| objects.is_text(entry.key, name))?;
            Some(entry.value)
        })
    }

    /// The fields of a named tuple or a dataclass.
    fn find_fields<M: Memory>(&self, objects: &Objects<'_, M>) -> Option<Vec<String>> {
        let names = if self.has(FLAG_TUPLE) {
            objects.tuple(self.attribute(objects, "_fields")?, MAX_FIELDS)?
        } else {
            let fields = self.attribute(objects, "__dataclass_fields__")?;
            let fields = objects.dictionary(fields, MAX_FIELDS as u64)?;
            fields.iter().map(|field| field.key).collect()
        };
        let names = names.into_iter().map(|name| objects.text(name));
        names.collect()
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
