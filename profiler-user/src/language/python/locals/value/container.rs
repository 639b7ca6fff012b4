//! Lists, tuples, dictionaries, sets and deques.

use profiler_common::memory::{Memory, RemoteAddr};

use super::{LEAST_ROOM, MORE, Value, Writer};
use crate::language::python::layout::objects::{
    DICT_USED, DictionaryShape, FLAG_DICT, FLAG_LIST, LIST_ITEMS, SET_MASK, SET_TABLE, SET_USED,
};
use crate::language::python::objects::{pointer, word};

/// Characters of a separator, and of the mark after it.
const SEPARATOR: &str = ", ";
/// Entries of a table looked at, whether or not they are in use.
const MAX_ENTRIES: u64 = 1024;
/// Items of a block of a deque (`BLOCKLEN`, `Modules/_collectionsmodule.c`); 2.7 has 62, before the links.
const BLOCK_ITEMS: u64 = 64;
const BLOCK_ITEMS_27: u64 = 62;
/// Blocks of a deque looked at.
const MAX_BLOCKS: usize = 16;

/// What is around the items of a container.
struct Brackets {
    open: String,
    close: &'static str,
}

impl<M: Memory> Writer<'_, '_, M> {
    /// A list, a tuple or a dictionary.
    pub(super) fn container(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, class } = value;
        let memory = self.objects.memory();
        if class.has(FLAG_DICT) {
            return self.dictionary(value, room);
        }
        let count = word(memory, self.objects.field(address, 0))?;
        let is_list = class.has(FLAG_LIST);
        let start = if is_list {
            RemoteAddr(word(memory, self.objects.field(address, LIST_ITEMS))?)
        } else {
            self.objects
                .field(address, self.objects.fields().locals.tuple_items)
        };
        let items = self.objects.items(start, count, room / 2)?;
        let (name, open, close) = match (is_list, count) {
            (true, _) => ("list", "[", "]"),
            (false, 1) => ("tuple", "(", ",)"),
            (false, _) => ("tuple", "(", ")"),
        };
        let brackets = Brackets::of(value, name, open, close);
        Some(self.sequence(&brackets, &items, count, room))
    }

    pub(super) fn set(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, class } = value;
        let memory = self.objects.memory();
        let field = |at: u16| self.objects.field(address, at);
        let used = word(memory, field(SET_USED))?;
        let slots = word(memory, field(SET_MASK))?.checked_add(1)?;
        let table = pointer(memory, field(SET_TABLE))?;
        if used == 0 {
            return Some(format!("{}()", class.name));
        }
        let is_27 = self.objects.fields().dictionary == DictionaryShape::OpenAddressed;
        let dummy = |hash: u64| !is_27 && hash == u64::MAX;
        let mut items = Vec::new();
        for slot in 0..slots.min(MAX_ENTRIES) {
            if items.len() >= room / 2 || items.len() as u64 >= used {
                break;
            }
            let mut entry = [0; 2];
            memory.read_words(table.offset(16 * slot), &mut entry).ok()?;
            let [first, second] = entry;
            let (key, hash) = if is_27 { (second, first) } else { (first, second) };
            if key != 0 && !dummy(hash) {
                items.push(RemoteAddr(key));
            }
        }
        let brackets = Brackets::of(value, "set", "{", "}");
        Some(self.sequence(&brackets, &items, used, room))
    }

    /// `deque([...])`.
    pub(super) fn deque(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, class } = value;
        let memory = self.objects.memory();
        let is_27 = self.objects.fields().dictionary == DictionaryShape::OpenAddressed;
        let field = |index: u16| self.objects.field(address, 8 * index);
        // 2.7 has the length behind the indexes.
        let (count_at, left_at) = if is_27 { (4, 0) } else { (0, 1) };
        let count = word(memory, field(count_at))?;
        let mut block = pointer(memory, field(left_at))?;
        let mut index = word(memory, field(left_at + 2))?;
        let per_block = if is_27 { BLOCK_ITEMS_27 } else { BLOCK_ITEMS };
        let (items_at, next_at) = if is_27 {
            (0, 8 * (BLOCK_ITEMS_27 + 1))
        } else {
            (8, 8 * (BLOCK_ITEMS + 1))
        };
        let most = usize::try_from(count).unwrap_or(usize::MAX).min(room / 2);
        let mut items = Vec::new();
        for _ in 0..MAX_BLOCKS {
            let in_block = per_block.checked_sub(index)?;
            let start = block.offset(items_at + 8 * index);
            items.extend(self.objects.items(start, in_block, most - items.len())?);
            if items.len() >= most {
                break;
            }
            block = pointer(memory, block.offset(next_at))?;
            index = 0;
        }
        let name = class.name.strip_prefix("collections.").unwrap_or(&class.name);
        let brackets = Brackets {
            open: format!("{name}(["),
            close: "])",
        };
        Some(self.sequence(&brackets, &items, count, room))
    }

    fn dictionary(&self, value: Value<'_>, room: usize) -> Option<String> {
        let Value { address, .. } = value;
        let is_27 = self.objects.fields().dictionary == DictionaryShape::OpenAddressed;
        let used = DICT_USED + if is_27 { 8 } else { 0 };
        let used = word(self.objects.memory(), self.objects.field(address, used))?;
        let entries = self.objects.dictionary(address, MAX_ENTRIES)?;
        let brackets = Brackets::of(value, "dict", "{", "}");
        let write = |index: usize, room: usize| {
            let entry = entries.get(index)?;
            let key = self.inner(entry.key, room);
            let left = room.saturating_sub(key.chars().count() + 2);
            Some(format!("{key}: {}", self.inner(entry.value, left)))
        };
        Some(brackets.around(entries.len(), used, room, write))
    }

    /// Items of a container that has `count` of them.
    fn sequence(&self, brackets: &Brackets, items: &[RemoteAddr], count: u64, room: usize) -> String {
        let write = |index: usize, room: usize| {
            let item = items.get(index)?;
            // Null in a tuple that is being made.
            Some(if item.is_null() {
                "?".to_owned()
            } else {
                self.inner(*item, room)
            })
        };
        brackets.around(items.len(), count, room, write)
    }

    /// `Class(a=1, b=2)`: values that have names.
    pub(super) fn with_names(
        &self,
        class: &str,
        values: &[(String, Option<RemoteAddr>)],
        room: usize,
    ) -> String {
        let brackets = Brackets {
            open: format!("{class}("),
            close: ")",
        };
        let write = |index: usize, room: usize| {
            let (name, value) = values.get(index)?;
            let left = room.saturating_sub(name.chars().count() + 1);
            let text = value.map_or_else(|| "?".to_owned(), |value| self.inner(value, left));
            Some(format!("{name}={text}"))
        };
        brackets.around(values.len(), values.len() as u64, room, write)
    }
}

impl Brackets {
    /// `[` and `]`; `Class([` and `])` of a class other than `name`.
    fn of(value: Value<'_>, name: &str, open: &str, close: &'static str) -> Self {
        let own = &value.class.name;
        if own == name {
            return Self {
                open: open.to_owned(),
                close,
            };
        }
        Self {
            open: format!("{own}({open}"),
            close: match close {
                "]" => "])",
                "}" => "})",
                ",)" => ",))",
                _ => "))",
            },
        }
    }

    /// The items that `write` gives in the room that each has, `known` of `count`; a mark for those that have none.
    fn around(
        &self,
        known: usize,
        count: u64,
        room: usize,
        write: impl Fn(usize, usize) -> Option<String>,
    ) -> String {
        let mut text = self.open.clone();
        let mut left = room.saturating_sub(text.chars().count() + self.close.len());
        let mut written = 0;
        for index in 0..known {
            let before = if index == 0 { "" } else { SEPARATOR };
            let is_last = index as u64 + 1 >= count;
            let after = if is_last { 0 } else { SEPARATOR.len() + MORE.len() };
            let own_room = left.saturating_sub(before.len() + after);
            if own_room < LEAST_ROOM {
                break;
            }
            let Some(item) = write(index, own_room) else {
                break;
            };
            left = left.saturating_sub(before.len() + item.chars().count());
            text.push_str(before);
            text.push_str(&item);
            written = index as u64 + 1;
        }
        if written < count {
            text.push_str(if written == 0 { "" } else { SEPARATOR });
            text.push_str(MORE);
        }
        text.push_str(self.close);
        text
    }
}
