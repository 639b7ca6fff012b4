//! Values out of memory that was made here, as each version lays it out, and out of memory that holds anything at all. Real
//! interpreters: `tests/tests/live_locals.rs`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use profiler_common::contract::layout::{frame_shape, text_shape};
use profiler_common::memory::{Fault, Memory, RemoteAddr};
use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert, proptest};

use super::{FrameLocals, LocalsWanted, MAX_ROOM, MAX_TEXT, Reader, are_sound};
use crate::language::python::layout::locals::{
    CELLS_AFTER_NAMES, CODE_OPTIMIZED, FREE_AFTER_NAMES, KIND_CELL, KIND_HIDDEN, KINDS_AFTER_NAMES,
    LocalsFields,
};
use crate::language::python::layout::objects::{
    FLAG_INT, FLAG_LIST, FLAG_LONG, FLAG_STRING, FLAG_TUPLE, FLAG_UNICODE, IntegerShape, LIST_ITEMS,
    TYPE_FLAGS, TYPE_NAME,
};
use crate::language::python::layout::{LAYOUTS, VersionEntry};
use crate::language::python::test_support::Noise;

/// Memory with objects of one version. What was not written is zero within its pages, and a fault elsewhere.
struct Made {
    entry: &'static VersionEntry,
    bytes: RefCell<Vec<u8>>,
    classes: RefCell<HashMap<String, u64>>,
    /// After so many reads the word at this address changes.
    change: Cell<Option<(u32, u64)>>,
}

/// Where the memory begins.
const START: u64 = 0x10_0000;

impl Made {
    fn new(entry: &'static VersionEntry) -> Self {
        Self {
            entry,
            bytes: RefCell::default(),
            classes: RefCell::default(),
            change: Cell::new(None),
        }
    }

    fn room(&self, bytes: usize) -> u64 {
        let mut all = self.bytes.borrow_mut();
        let at = START + all.len() as u64;
        let padded = (bytes + 512).next_multiple_of(16);
        let length = all.len() + padded;
        all.resize(length, 0);
        at
    }

    fn put(&self, address: u64, bytes: &[u8]) {
        let at = usize::try_from(address - START).expect("made here");
        self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&self, address: u64, word: u64) {
        self.put(address, &word.to_le_bytes());
    }

    fn field(&self, object: u64, field: u16) -> u64 {
        object + u64::from(self.entry.objects.header_bytes) + u64::from(field)
    }

    fn object(&self, class: u64, bytes: usize) -> u64 {
        let object = self.room(bytes);
        let header = u64::from(self.entry.objects.header_bytes);
        self.word(object + header - 8, class);
        object
    }

    fn class(&self, name: &str, flags: u64) -> u64 {
        if let Some(known) = self.classes.borrow().get(name) {
            return *known;
        }
        let class = self.object(0, 1024);
        let text = self.room(name.len() + 1);
        self.put(text, name.as_bytes());
        self.word(self.field(class, TYPE_NAME), text);
        self.word(self.field(class, TYPE_FLAGS), flags);
        self.classes.borrow_mut().insert(name.to_owned(), class);
        class
    }

    fn integer(&self, number: i64) -> u64 {
        let machine = self.entry.objects.integer == IntegerShape::Machine;
        let object = self.object(self.class("int", if machine { FLAG_INT } else { FLAG_LONG }), 64);
        let at = self.field(object, 0);
        let size = number.unsigned_abs();
        let digits = [size & 0x3fff_ffff, size >> 30 & 0x3fff_ffff];
        let count = u64::from(size > 0) + u64::from(digits[1] > 0);
        let first = match self.entry.objects.integer {
            IntegerShape::Machine => number.cast_unsigned(),
            IntegerShape::Size if number < 0 => count.wrapping_neg(),
            IntegerShape::Size => count,
            IntegerShape::Tag if number < 0 => count << 3 | 2,
            IntegerShape::Tag => count << 3 | u64::from(number == 0),
        };
        self.word(at, first);
        if !machine {
            self.word(at + 8, digits[0] | digits[1] << 32);
        }
        object
    }

    fn text(&self, text: &str) -> u64 {
        let layout = &self.entry.layout;
        let is_27 = layout.text_shape == text_shape::BYTES;
        let class = self.class("str", if is_27 { FLAG_STRING } else { FLAG_UNICODE });
        let object = self.object(class, 128 + text.len());
        let fields = &layout.text;
        if is_27 {
            self.word(object + u64::from(fields.bytes_size), text.len() as u64);
            self.put(object + u64::from(fields.bytes_data), text.as_bytes());
        } else {
            self.word(object + u64::from(fields.str_length), text.len() as u64);
            let state = 1u64 << fields.kind_shift | 1 << fields.compact_bit | 1 << fields.ascii_bit;
            self.word(object + u64::from(fields.str_state), state);
            self.put(object + u64::from(fields.ascii_data), text.as_bytes());
        }
        object
    }

    fn tuple(&self, items: &[u64]) -> u64 {
        let object = self.object(self.class("tuple", FLAG_TUPLE), 64 + 8 * items.len());
        self.word(self.field(object, 0), items.len() as u64);
        let first = self.field(object, self.entry.objects.locals.tuple_items);
        for (at, item) in (first..).step_by(8).zip(items) {
            self.word(at, *item);
        }
        object
    }

    fn list(&self, items: &[u64]) -> u64 {
        let object = self.object(self.class("list", FLAG_LIST), 64);
        self.word(self.field(object, 0), items.len() as u64);
        let first = self.room(8 * items.len());
        self.word(self.field(object, LIST_ITEMS), first);
        for (at, item) in (first..).step_by(8).zip(items) {
            self.word(at, *item);
        }
        object
    }

    fn cell(&self, content: u64) -> u64 {
        let object = self.object(self.class("cell", 0), 32);
        self.word(self.field(object, 0), content);
        object
    }

    fn number(&self, object: u64, field: u16, number: u32) {
        self.put(self.field(object, field), &number.to_le_bytes());
    }

    /// A code object with one argument, and its frame: names, kinds (3.11+), values. Up to 3.10 cells come last.
    fn frame(&self, variables: &[(&str, u8, u64)]) -> (u64, u64) {
        let fields = self.entry.objects.locals;
        let is_object = self.entry.layout.frame_shape == frame_shape::OBJECT;
        let code = self.object(0, 512);
        let names = |of: &dyn Fn(u8) -> bool| {
            let names = variables.iter().filter(|(_, kind, _)| of(*kind));
            let texts: Vec<u64> = names.map(|(name, ..)| self.text(name)).collect();
            (self.tuple(&texts), texts.len())
        };
        self.number(code, fields.flags, CODE_OPTIMIZED);
        self.number(code, fields.arguments, 1);
        let at = self.field(code, fields.names);
        let count = if is_object {
            let is_cell = |kind: u8| kind & KIND_CELL != 0;
            let (locals, count) = names(&|kind| !is_cell(kind));
            self.word(at, locals);
            self.word(at + CELLS_AFTER_NAMES, names(&is_cell).0);
            self.word(at + FREE_AFTER_NAMES, self.tuple(&[]));
            count
        } else {
            let (all, count) = names(&|_| true);
            self.word(at, all);
            let kinds: Vec<u8> = variables.iter().map(|(_, kind, _)| *kind).collect();
            let bytes = self.object(self.class("bytes", FLAG_STRING), 64 + kinds.len());
            self.put(bytes + u64::from(self.entry.layout.text.bytes_data), &kinds);
            self.word(at + KINDS_AFTER_NAMES, bytes);
            count
        };
        self.number(code, fields.count, u32::try_from(count).expect("few"));
        let frame = self.room(512 + 8 * variables.len());
        let first = if is_object {
            self.field(frame, fields.first)
        } else {
            frame + u64::from(fields.first)
        };
        for (at, (.., value)) in (first..).step_by(8).zip(variables) {
            self.word(at, *value);
        }
        (frame, code)
    }

    fn wanted(&self, room: u16) -> LocalsWanted {
        LocalsWanted {
            objects: self.entry.objects,
            room,
        }
    }

    fn read(&self, (frame, code): (u64, u64), room: u16) -> FrameLocals {
        let wanted = self.wanted(room);
        let mut reader = Reader::new(self, &self.entry.layout, &wanted, false);
        reader.frame(frame, code).expect("made here")
    }

    /// The text of one value in a frame.
    fn written(&self, value: u64, room: u16) -> String {
        let found = self.read(self.frame(&[("it", 0x20, value)]), room);
        assert!(found.locals[0].is_whole);
        found.locals[0].text.clone().expect("made here")
    }

    fn fill(&self, address: RemoteAddr, out: &mut [u8]) -> Result<(), Fault> {
        if let Some((reads, at)) = self.change.get() {
            self.change.set(Some((reads.saturating_sub(1), at)));
            if reads == 0 {
                self.change.set(None);
                self.word(at, self.integer(77));
            }
        }
        let all = self.bytes.borrow();
        let at = address.0.checked_sub(START).ok_or(Fault)?;
        let at = usize::try_from(at).map_err(|_| Fault)?;
        let end = at.checked_add(out.len()).ok_or(Fault)?;
        out.copy_from_slice(all.get(at..end).ok_or(Fault)?);
        Ok(())
    }

    fn fill_words(&self, address: RemoteAddr, out: &mut [u64]) -> Result<(), Fault> {
        let mut bytes = vec![0; 8 * out.len()];
        self.fill(address, &mut bytes)?;
        for (word, chunk) in out.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().map_err(|_| Fault)?);
        }
        Ok(())
    }
}

impl Memory for Made {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        self.fill_words(addr, out)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        let words = (bytes as usize).div_ceil(8).min(N);
        self.fill_words(addr, &mut out[..words])
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        self.fill(addr, &mut out[..(len as usize).min(N)])
    }
}

fn versions() -> impl Iterator<Item = Made> {
    LAYOUTS.iter().map(Made::new)
}

/// `name: text`, and whether it is an argument.
fn shown(found: &FrameLocals) -> Vec<(String, bool)> {
    let locals = found.locals.iter();
    locals
        .map(|local| {
            let text = local.text.as_deref().unwrap_or("?");
            (format!("{}: {text}", local.name), local.is_argument)
        })
        .collect()
}

#[test]
fn variables_have_names_and_values_in_every_version() {
    for made in versions() {
        let cell = made.cell(made.integer(5));
        let frame = made.frame(&[
            ("given", 0x20, made.integer(-7)),
            ("unset", 0x20, 0),
            ("word", 0x20, made.text("a \"b\"\n")),
            ("kept", KIND_CELL, cell),
            ("empty", KIND_CELL, made.cell(0)),
        ]);
        let found = made.read(frame, 128);
        let expected = [
            ("given: -7".to_owned(), true),
            ("word: \"a \\\"b\\\"\\n\"".to_owned(), false),
            ("kept: 5".to_owned(), false),
        ];
        assert_eq!(shown(&found), expected, "{}", made.entry.tag);
        assert!(found.locals.iter().all(|local| local.is_whole));
    }
}

#[test]
fn variables_of_comprehensions_are_not_those_of_the_function_around_them() {
    for made in versions().filter(|made| made.entry.minor >= 12) {
        let frame = made.frame(&[
            ("own", 0x20, made.integer(1)),
            ("theirs", 0x20 | KIND_HIDDEN, made.integer(2)),
        ]);
        assert_eq!(shown(&made.read(frame, 128)).len(), 1, "{}", made.entry.tag);
    }
}

#[test]
fn containers_are_written_as_far_as_they_have_room() {
    for made in versions() {
        let small = [made.integer(1), made.text("x"), made.tuple(&[made.integer(0)])];
        assert_eq!(made.written(made.list(&small), 128), "[1, \"x\", (0,)]");
        assert_eq!(made.written(made.tuple(&[]), 128), "()");
        let many: Vec<u64> = (0..100).map(|number| made.integer(number)).collect();
        let text = made.written(made.list(&many), 32);
        assert_eq!(text, "[0, 1, 2, 3, 4, 5, 6, ...]", "{}", made.entry.tag);
        let text = made.written(made.text(&"y".repeat(300)), 128);
        assert_eq!(text, format!("\"{}...\"", "y".repeat(123)));
        let mut nested = made.integer(1);
        for _ in 0..1000 {
            nested = made.list(&[nested]);
        }
        assert!(made.written(nested, MAX_ROOM).contains("[...]"));
    }
}

#[test]
fn what_contains_itself_is_written_once() {
    for made in versions() {
        let ring = made.list(&[0, made.integer(2)]);
        let items = made.list(&[ring]);
        // The first item is the list itself.
        let field = made.field(ring, LIST_ITEMS);
        let mut word = [0; 1];
        made.fill_words(RemoteAddr(field), &mut word).expect("made here");
        made.word(word[0], ring);
        assert_eq!(made.written(items, 128), "[[..., 2]]", "{}", made.entry.tag);
    }
}

#[test]
fn what_is_not_known_is_its_class_and_address_and_what_is_not_there_is_unreadable() {
    for made in versions() {
        let thing = made.object(made.class("some.Thing", 0), 16);
        assert_eq!(made.written(thing, 128), format!("<some.Thing at {thing:#x}>"));
        let frame = made.frame(&[("gone", 0x20, 0x7fff_0000), ("here", 0x20, made.integer(1))]);
        let found = made.read(frame, 128);
        assert_eq!(found.locals[0].text, None, "{}", made.entry.tag);
        assert_eq!(found.locals[1].text.as_deref(), Some("1"));
    }
}

#[test]
fn a_value_that_changes_once_is_read_again_and_is_whole() {
    for made in versions() {
        for after in 0..40 {
            let list = made.list(&[made.integer(1), made.integer(2)]);
            let mut first = [0; 1];
            let field = made.field(list, LIST_ITEMS);
            made.fill_words(RemoteAddr(field), &mut first).expect("made here");
            let frame = made.frame(&[("changing", 0x20, list)]);
            made.change.set(Some((after, first[0] + 8)));
            let found = made.read(frame, 128);
            let local = &found.locals[0];
            assert!(local.is_whole, "{} after {after}", made.entry.tag);
            let text = local.text.as_deref();
            assert!(matches!(text, Some("[1, 2]" | "[1, 77]")), "{text:?}");
        }
    }
}

#[test]
fn lengths_that_lie_cost_little() {
    for made in versions() {
        let list = made.list(&[made.integer(1)]);
        made.word(made.field(list, 0), u64::MAX);
        let text = made.text("short");
        let fields = &made.entry.layout.text;
        let length = if made.entry.layout.text_shape == text_shape::BYTES {
            fields.bytes_size
        } else {
            fields.str_length
        };
        made.word(text + u64::from(length), u64::MAX / 2);
        let number = made.integer(1);
        if made.entry.objects.integer != IntegerShape::Machine {
            made.word(made.field(number, 0), u64::MAX / 4);
        }
        let frame = made.frame(&[
            ("list", 0x20, list),
            ("text", 0x20, text),
            ("number", 0x20, number),
        ]);
        let found = made.read(frame, MAX_ROOM);
        assert_eq!(found.locals.len(), 3, "{}", made.entry.tag);
        assert!(are_sound(&[Some(found)]));
    }
}

#[test]
fn a_thread_has_only_so_much_room() {
    let made = Made::new(&LAYOUTS[LAYOUTS.len() - 2]);
    let long = made.text(&"z".repeat(2000));
    let variables: Vec<(&str, u8, u64)> = (0..100).map(|_| ("long", 0x20, long)).collect();
    let (frame, code) = made.frame(&variables);
    let wanted = made.wanted(MAX_ROOM);
    let mut reader = Reader::new(&made, &made.entry.layout, &wanted, true);
    let frames: Vec<_> = (0..2000).map(|_| reader.frame(frame, code)).collect();
    let bytes: usize = frames.iter().flatten().map(FrameLocals::text_bytes).sum();
    assert!(bytes > MAX_TEXT / 2 && are_sound(&frames));
    assert!(
        frames.last().is_some_and(Option::is_none),
        "the last ones have none"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn any_memory_gives_an_answer_of_bounded_size(
        seed in any::<u64>(),
        frame in any::<u64>(),
        code in any::<u64>(),
        // As if everything were an instance of everything, and not.
        set in proptest::sample::select(vec![0, FLAG_LIST, FLAG_TUPLE, 0x3980_0014, 0x7f80_0210, u64::MAX]),
    ) {
        let noise = Noise { seed, set };
        for entry in LAYOUTS {
            let wanted = LocalsWanted { objects: entry.objects, room: MAX_ROOM };
            let mut reader = Reader::new(&noise, &entry.layout, &wanted, seed % 2 == 0);
            let frames: Vec<_> = (0..3).map(|_| reader.frame(frame, code)).collect();
            prop_assert!(are_sound(&frames));
        }
    }
}

#[test]
fn every_version_has_numbers_of_its_own_shape() {
    for entry in LAYOUTS {
        let fields = &entry.objects.locals;
        assert_eq!(fields.has_no_qualnames(), entry.major == 2, "{}", entry.tag);
        assert_eq!(fields.keyword_arguments == LocalsFields::ABSENT, entry.major == 2);
        let method = &entry.layout.method;
        if method.locals != 0 {
            // The kernel half knows them, too.
            assert_eq!(fields.first + entry.objects.header_bytes, method.locals);
            assert_eq!(
                fields.arguments + entry.objects.header_bytes,
                method.argument_count
            );
            assert_eq!(fields.count + entry.objects.header_bytes, method.local_count);
            assert_eq!(fields.names + entry.objects.header_bytes, method.local_names);
            assert_eq!(
                fields.tuple_items + entry.objects.header_bytes,
                method.tuple_items
            );
        }
    }
}
