//! What the variables of a function are called, and where its frames keep them.

use profiler_common::contract::layout::frame_shape;
use profiler_common::memory::{Memory, RemoteAddr};

use crate::language::python::layout::locals::{
    CELLS_AFTER_NAMES, CODE_OPTIMIZED, CODE_VARARGS, CODE_VARKEYWORDS, FREE_AFTER_NAMES, KIND_CELL,
    KIND_FREE, KIND_HIDDEN, KINDS_AFTER_NAMES, LocalsFields,
};
use crate::language::python::objects::{Objects, pointer, word};

/// Variables of a function that are looked at.
pub(super) const MAX_VARIABLES: usize = 256;
/// Characters of a name.
pub(super) const MAX_NAME: usize = 256;

/// Those of one code object.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// In the order of the code object: arguments first.
    pub(super) variables: Vec<Variable>,
    /// So many more are not looked at.
    pub(super) left_out: u32,
    /// They are in the frame; else in a dictionary, as those of a class body are.
    pub(super) are_in_frame: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Which of the frame's slots.
    pub(super) slot: usize,
    pub(super) is_argument: bool,
    /// The slot holds a cell, which holds the value.
    pub(super) is_cell: bool,
}

impl Variables {
    /// Those of the code object at `code`.
    pub(super) fn of<M: Memory>(objects: &Objects<'_, M>, code: RemoteAddr) -> Option<Self> {
        let fields = &objects.fields().locals;
        let number = |field: u16| number(objects, code, field);
        let flags = number(fields.flags)?;
        let has = |flag: u32| u32::from(flags & flag != 0);
        let keywords = match fields.keyword_arguments {
            LocalsFields::ABSENT => 0,
            field => number(field)?,
        };
        let arguments = number(fields.arguments)?
            .saturating_add(keywords)
            .saturating_add(has(CODE_VARARGS))
            .saturating_add(has(CODE_VARKEYWORDS));
        let mut found = Self {
            are_in_frame: flags & CODE_OPTIMIZED != 0,
            ..Self::default()
        };
        let count = number(fields.count)? as usize;
        if objects.layout().frame_shape == frame_shape::OBJECT {
            found.add_locals(objects, code, count)?;
            found.add_cells(objects, code, count, arguments as usize);
        } else {
            found.add_by_kind(objects, code, count)?;
        }
        for variable in &mut found.variables {
            variable.is_argument = variable.slot < arguments as usize || variable.is_argument;
        }
        Some(found)
    }

    /// Up to 3.10: `co_varnames`.
    fn add_locals<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        code: RemoteAddr,
        count: usize,
    ) -> Option<()> {
        let names = objects.field(code, objects.fields().locals.names);
        self.add_names(objects, pointer(objects.memory(), names)?, count, |slot| {
            Some((slot, false))
        });
        Some(())
    }

    /// Up to 3.10: `co_cellvars`, then `co_freevars`. An argument that an inner function uses is in both lists; the cell has
    /// what it is now.
    fn add_cells<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        code: RemoteAddr,
        locals: usize,
        arguments: usize,
    ) {
        let names = objects.field(code, objects.fields().locals.names);
        let mut first = locals;
        for distance in [CELLS_AFTER_NAMES, FREE_AFTER_NAMES] {
            let Some(tuple) = pointer(objects.memory(), names.offset(distance)) else {
                continue;
            };
            let Some(count) = length(objects, tuple) else {
                continue;
            };
            let known = self.variables.len();
            self.add_names(objects, tuple, count, |index| {
                first.checked_add(index).map(|slot| (slot, true))
            });
            let added = self.variables.split_off(known.min(self.variables.len()));
            for cell in added {
                let is_it = |known: &&mut Variable| known.slot < arguments && known.name == cell.name;
                match self.variables.iter_mut().find(is_it) {
                    Some(argument) => {
                        *argument = Variable {
                            is_argument: true,
                            ..cell
                        };
                    }
                    None => self.variables.push(cell),
                }
            }
            first = first.saturating_add(count);
        }
    }

    /// From 3.11 on: `co_localsplusnames`, each with a byte that says what it is.
    fn add_by_kind<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        code: RemoteAddr,
        count: usize,
    ) -> Option<()> {
        let at = objects.field(code, objects.fields().locals.names);
        let names = pointer(objects.memory(), at)?;
        let kinds = pointer(objects.memory(), at.offset(KINDS_AFTER_NAMES))?;
        let data = kinds.offset(objects.layout().text.bytes_data.into());
        let mut bytes = [0; MAX_VARIABLES];
        let known = count.min(MAX_VARIABLES);
        objects.memory().read_bytes(data, &mut bytes, known as u32).ok()?;
        self.add_names(objects, names, count, |slot| {
            let kind = bytes.get(slot).copied()?;
            let is_shown = kind & KIND_HIDDEN == 0;
            is_shown.then_some((slot, kind & (KIND_CELL | KIND_FREE) != 0))
        });
        Some(())
    }

    /// Names of a tuple of `count`; `place` is the slot of each and whether it holds a cell, `None` for what is not shown.
    fn add_names<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        tuple: RemoteAddr,
        count: usize,
        place: impl Fn(usize) -> Option<(usize, bool)>,
    ) {
        let items = objects.field(tuple, objects.fields().locals.tuple_items);
        for index in 0..count {
            if self.variables.len() >= MAX_VARIABLES || index >= MAX_VARIABLES {
                let left_out = u32::try_from(count - index).unwrap_or(u32::MAX);
                self.left_out = self.left_out.saturating_add(left_out);
                return;
            }
            let Some((slot, is_cell)) = place(index) else {
                continue;
            };
            let name = pointer(objects.memory(), items.offset(8 * index as u64));
            if let Some(name) = name.and_then(|name| objects.text(name)) {
                self.variables.push(Variable {
                    name: name.chars().take(MAX_NAME).collect(),
                    slot,
                    is_argument: false,
                    is_cell,
                });
            }
        }
    }
}

/// The 4-byte number at `field` of an object.
fn number<M: Memory>(objects: &Objects<'_, M>, object: RemoteAddr, field: u16) -> Option<u32> {
    let mut bytes = [0; 4];
    objects
        .memory()
        .read_bytes(objects.field(object, field), &mut bytes, 4)
        .ok()?;
    Some(u32::from_le_bytes(bytes))
}

/// How many items an object of variable size has.
fn length<M: Memory>(objects: &Objects<'_, M>, object: RemoteAddr) -> Option<usize> {
    usize::try_from(word(objects.memory(), objects.field(object, 0))?).ok()
}
