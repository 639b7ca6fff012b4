//! Objects of a live interpreter, read from outside: attributes, dictionaries, numbers, texts.
//!
//! Used by [`crate::language::python::threads`] and [`crate::language::python::locals`]; [`dictionary`] also by `code/class.rs`. The interpreter runs on meanwhile, so anything
//! may be half-made, freed or something else by now: every object is asked for its type first, every count has a cap, and
//! what is not as expected is `None`.

pub mod dictionary;
mod words;

use std::cell::RefCell;
use std::collections::HashMap;

use profiler_common::contract::layout::{Layout, text_shape};
use profiler_common::contract::records::TEXT_OF_BYTES;
use profiler_common::memory::{Memory, RemoteAddr};

use self::dictionary::Entry;
pub use self::words::{pointer, word};
use crate::language::python::layout::objects::{
    DIGIT_BITS, DIGITS, FLAG_DICT, FLAG_INLINE_VALUES, FLAG_INT, FLAG_LONG, FLAG_MANAGED_DICT, FLAG_STRING,
    FLAG_TUPLE, FLAG_UNICODE, InstanceShape, IntegerShape, MODULE_DICT, ObjectFields, TAG_BITS,
    TYPE_BASIC_SIZE, TYPE_DICT_OFFSET, TYPE_FLAGS, TYPE_ITEM_SIZE, keys,
};
use crate::language::python::text::Text;

/// Bytes of a text that are read.
const TEXT_BYTES: usize = 512;
/// Words that cover the header of a `str` of any build.
const TEXT_HEADER_WORDS: usize = 16;
/// Bytes of an instance without its attributes, at most.
const MAX_INSTANCE_BYTES: u64 = 1 << 16;
/// Items of one object read at once.
const MAX_ITEMS: usize = 256;
/// Attributes of one object looked at.
const MAX_ATTRIBUTES: u64 = 1024;

/// The objects of one interpreter, for a few reads: it remembers types, which may be freed.
#[derive(Debug)]
pub struct Objects<'a, M> {
    memory: &'a M,
    layout: &'a Layout,
    fields: &'a ObjectFields,
    flags: RefCell<HashMap<RemoteAddr, u64>>,
}

/// The beginning of a `str`.
struct TextHeader {
    kind: u8,
    /// Characters; bytes for [`TEXT_OF_BYTES`].
    length: u64,
    data: RemoteAddr,
}

impl<'a, M: Memory> Objects<'a, M> {
    /// Reads `memory` as an interpreter with these layouts has it.
    #[must_use]
    pub fn new(memory: &'a M, layout: &'a Layout, fields: &'a ObjectFields) -> Self {
        Self {
            memory,
            layout,
            fields,
            flags: RefCell::default(),
        }
    }

    /// The memory.
    #[must_use]
    pub fn memory(&self) -> &'a M {
        self.memory
    }

    /// Where the interpreter keeps its fields.
    #[must_use]
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The numbers.
    #[must_use]
    pub fn fields(&self) -> &'a ObjectFields {
        self.fields
    }

    /// The entries of a dictionary, `most` at most; `None` when it is not one.
    #[must_use]
    pub fn dictionary(&self, object: RemoteAddr, most: u64) -> Option<Vec<Entry>> {
        if !self.has(self.type_of(object)?, FLAG_DICT) {
            return None;
        }
        dictionary::entries(
            self.memory,
            self.fields.dictionary,
            self.fields.header_bytes,
            object,
            most,
        )
    }

    /// The items of a tuple, `most` at most; `None` when it is not one.
    #[must_use]
    pub fn tuple(&self, object: RemoteAddr, most: usize) -> Option<Vec<RemoteAddr>> {
        if !self.has(self.type_of(object)?, FLAG_TUPLE) {
            return None;
        }
        let items = self.field(object, self.fields.locals.tuple_items);
        self.items(items, word(self.memory, self.field(object, 0))?, most)
    }

    /// The pointers from `start` on, of which there are `count`, `most` at most.
    #[must_use]
    pub fn items(&self, start: RemoteAddr, count: u64, most: usize) -> Option<Vec<RemoteAddr>> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let count = count.min(most).min(MAX_ITEMS);
        let mut words = [0; MAX_ITEMS];
        self.memory
            .read_words_prefix(start, &mut words, 8 * count as u32)
            .ok()?;
        Some(words.into_iter().take(count).map(RemoteAddr).collect())
    }

    /// The dictionary of a module.
    #[must_use]
    pub fn of_module(&self, module: RemoteAddr) -> Option<RemoteAddr> {
        pointer(self.memory, self.field(module, MODULE_DICT))
    }

    /// The attributes of an instance of a class written in Python.
    #[must_use]
    pub fn attributes(&self, object: RemoteAddr) -> Option<Vec<Entry>> {
        let class = self.type_of(object)?;
        let before = |bytes: u64| word(self.memory, RemoteAddr(object.0.wrapping_sub(bytes)));
        let is_managed = self.has(class, FLAG_MANAGED_DICT);
        match self.fields.instance {
            InstanceShape::TwoPointers if is_managed => match before(32)? {
                0 => self.dictionary(RemoteAddr(before(24)?), MAX_ATTRIBUTES),
                values => self.shared(class, RemoteAddr(values)),
            },
            InstanceShape::TaggedPointer if is_managed => match before(24)? {
                values if values & 1 == 1 => self.shared(class, RemoteAddr(values).offset(1)),
                dictionary => self.dictionary(RemoteAddr(dictionary), MAX_ATTRIBUTES),
            },
            InstanceShape::Inline(distance) if is_managed => match before(distance.into())? {
                0 if self.has(class, FLAG_INLINE_VALUES) => self.inline(class, object),
                dictionary => self.dictionary(RemoteAddr(dictionary), MAX_ATTRIBUTES),
            },
            _ => {
                let offset = word(self.memory, self.field(class, TYPE_DICT_OFFSET))?.cast_signed();
                let offset = match u64::try_from(offset) {
                    Ok(offset) => offset,
                    // From the end of an object of variable size.
                    Err(_) => self.instance_bytes(class, object)?.checked_add_signed(offset)?,
                };
                let dictionary = (offset < MAX_INSTANCE_BYTES).then(|| object.offset(offset))?;
                self.dictionary(pointer(self.memory, dictionary)?, MAX_ATTRIBUTES)
            }
        }
    }

    /// The size of an instance with so many items or digits as it has.
    fn instance_bytes(&self, class: RemoteAddr, object: RemoteAddr) -> Option<u64> {
        let of_class = |field: u16| word(self.memory, self.field(class, field));
        let size = word(self.memory, self.field(object, 0))?;
        let is_number = self.has(class, FLAG_LONG);
        let items = match self.fields.integer {
            IntegerShape::Tag if is_number => size >> TAG_BITS,
            _ => size.cast_signed().unsigned_abs(),
        };
        let bytes = of_class(TYPE_ITEM_SIZE)?.checked_mul(items)?;
        let bytes = bytes.checked_add(of_class(TYPE_BASIC_SIZE)?)?;
        bytes.checked_next_multiple_of(8)
    }

    /// The value of an `int` of at most two digits that is not negative.
    #[must_use]
    pub fn integer(&self, object: RemoteAddr) -> Option<u64> {
        // The end of the header is the type; then a size and two digits, in 2.7 the value.
        const { assert!(DIGITS == 8) };
        let mut words = [0; 3];
        let is_machine = self.fields.integer == IntegerShape::Machine;
        let bytes = if is_machine { 16 } else { 24 };
        self.memory
            .read_words_prefix(object.offset(self.type_field()), &mut words, bytes)
            .ok()?;
        let [class, size, digits] = words;
        let class = RemoteAddr(class);
        if is_machine {
            return self.has(class, FLAG_INT).then_some(size);
        }
        let count = match self.fields.integer {
            // A negative number has bit 1 set, 0 has bit 0 set.
            IntegerShape::Tag if size & 3 == 0 => size >> TAG_BITS,
            IntegerShape::Tag => return None,
            _ => size,
        };
        if !self.has(class, FLAG_LONG) || !(1..=2).contains(&count) {
            return None;
        }
        let (low, high) = (digits & 0xffff_ffff, digits >> 32);
        let high = if count == 2 { high } else { 0 };
        let fits = |digit: u64| digit >> DIGIT_BITS == 0;
        (fits(low) && fits(high)).then_some(high << DIGIT_BITS | low)
    }

    /// A text, cut off after [`TEXT_BYTES`]; `None` for what is no `str`.
    #[must_use]
    pub fn text(&self, object: RemoteAddr) -> Option<String> {
        let header = self.text_header(object)?;
        Some(self.decode(&header)?.get()?.to_owned())
    }

    /// Whether it is the text `wanted`, of ASCII characters.
    #[must_use]
    pub fn is_text(&self, object: RemoteAddr, wanted: &str) -> bool {
        let is = || {
            let header = self.text_header(object)?;
            if header.length != wanted.len() as u64 {
                return None;
            }
            (self.decode(&header)?.get()? == wanted).then_some(())
        };
        is().is_some()
    }

    fn decode(&self, header: &TextHeader) -> Option<Text> {
        let width = if header.kind == TEXT_OF_BYTES {
            1
        } else {
            u64::from(header.kind)
        };
        let bytes = header.length.saturating_mul(width).min(TEXT_BYTES as u64) as u32;
        let mut data = [0; TEXT_BYTES];
        self.memory.read_bytes(header.data, &mut data, bytes).ok()?;
        let length = u32::try_from(header.length).ok()?;
        Some(Text::decode(header.kind, length, data.get(..bytes as usize)?))
    }

    fn text_header(&self, object: RemoteAddr) -> Option<TextHeader> {
        let text = &self.layout.text;
        let is_bytes = self.layout.text_shape == text_shape::BYTES;
        let mut words = [0; TEXT_HEADER_WORDS];
        let header_bytes = if is_bytes {
            text.bytes_data
        } else {
            text.ascii_data
        };
        self.memory
            .read_words_prefix(object, &mut words, header_bytes.into())
            .ok()?;
        let word = |at: u64| words.get(usize::try_from(at / 8).ok()?).copied();
        let class = RemoteAddr(word(self.type_field())?);
        if is_bytes {
            return self.has(class, FLAG_STRING).then_some(TextHeader {
                kind: TEXT_OF_BYTES,
                length: word(text.bytes_size.into())?,
                data: object.offset(text.bytes_data.into()),
            });
        }
        let state = word(text.str_state.into())? >> (8 * (text.str_state % 8));
        let bit = |bit: u8| state >> bit & 1 == 1;
        let data = if bit(text.ascii_bit) {
            text.ascii_data
        } else {
            text.compact_data
        };
        // Other strings are those of subclasses.
        let is_compact = self.has(class, FLAG_UNICODE) && bit(text.compact_bit);
        is_compact.then_some(TextHeader {
            kind: (state >> text.kind_shift & 7) as u8,
            length: word(text.str_length.into())?,
            data: object.offset(data.into()),
        })
    }

    /// The values of an instance that has no dictionary, under the keys of its class.
    fn shared(&self, class: RemoteAddr, values: RemoteAddr) -> Option<Vec<Entry>> {
        let keys = pointer(self.memory, self.field(class, self.fields.cached_keys))?;
        dictionary::with_values(self.memory, keys, values, MAX_ATTRIBUTES)
    }

    fn inline(&self, class: RemoteAddr, object: RemoteAddr) -> Option<Vec<Entry>> {
        let size = word(self.memory, self.field(class, TYPE_BASIC_SIZE))?;
        let values = (size < MAX_INSTANCE_BYTES).then(|| object.offset(size))?;
        let header = word(self.memory, values)?.to_le_bytes();
        if header[usize::from(keys::VALUES_VALID)] == 0 {
            return None;
        }
        self.shared(class, values.offset(keys::VALUES.into()))
    }

    /// The class of an object.
    #[must_use]
    pub fn type_of(&self, object: RemoteAddr) -> Option<RemoteAddr> {
        pointer(self.memory, object.offset(self.type_field()))
    }

    /// `ob_type` is the last field of the header.
    fn type_field(&self) -> u64 {
        u64::from(self.fields.header_bytes).saturating_sub(8)
    }

    pub(in crate::language::python) fn has(&self, class: RemoteAddr, flag: u64) -> bool {
        let mut known = self.flags.borrow_mut();
        let flags = known.entry(class).or_insert_with(|| {
            // Unreadable: no flags.
            word(self.memory, self.field(class, TYPE_FLAGS)).unwrap_or(0)
        });
        *flags & flag != 0
    }

    /// Where a field of an object is, counted from the end of its header.
    #[must_use]
    pub fn field(&self, object: RemoteAddr, field: u16) -> RemoteAddr {
        object
            .offset(self.fields.header_bytes.into())
            .offset(field.into())
    }
}
