//! One copy of each definition, however many processes have it. Used by [`super::store`] only.

use std::collections::HashMap;
use std::sync::Arc;

use super::definition::Definition;

/// An entry of the [`Pool`]. Never re-used for another content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DefinitionId {
    index: u32,
    generation: u32,
}

impl DefinitionId {
    /// Another number for each.
    pub(super) fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }
}

/// Bookkeeping of one definition: its entry, its place in the index, and the two allocations.
const OVERHEAD_BYTES: usize = size_of::<Definition>() + size_of::<Entry>() + 64;

/// Definitions by content, each counted by its users.
#[derive(Debug, Default)]
pub(super) struct Pool {
    entries: Vec<Entry>,
    free: Vec<u32>,
    by_content: HashMap<Arc<Definition>, u32>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Entry {
    generation: u32,
    users: u32,
    definition: Option<Arc<Definition>>,
}

impl Pool {
    /// The id of this content, with one more user.
    pub(super) fn acquire(&mut self, definition: Definition) -> DefinitionId {
        if let Some(&index) = self.by_content.get(&definition) {
            let entry = &mut self.entries[index as usize];
            entry.users += 1;
            return DefinitionId {
                index,
                generation: entry.generation,
            };
        }
        self.bytes += bytes(&definition);
        let definition = Arc::new(definition);
        let index = self.vacant();
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.users = 1;
        entry.definition = Some(Arc::clone(&definition));
        let generation = entry.generation;
        self.by_content.insert(definition, index);
        DefinitionId { index, generation }
    }

    /// Takes one user away; the last one takes the definition along.
    pub(super) fn release(&mut self, id: DefinitionId) {
        let Some(entry) = self.entries.get_mut(id.index as usize) else {
            return;
        };
        if entry.generation != id.generation || entry.users == 0 {
            return;
        }
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        if let Some(definition) = entry.definition.take() {
            self.bytes -= bytes(&definition);
            self.by_content.remove(&definition);
            self.free.push(id.index);
        }
    }

    /// The definition, unless it was released.
    pub(super) fn get(&self, id: DefinitionId) -> Option<&Arc<Definition>> {
        let entry = self.entries.get(id.index as usize)?;
        entry
            .definition
            .as_ref()
            .filter(|_| entry.generation == id.generation)
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Different definitions.
    pub(super) fn len(&self) -> usize {
        self.by_content.len()
    }

    fn vacant(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// Bytes that a definition costs.
pub(super) fn bytes(definition: &Definition) -> usize {
    OVERHEAD_BYTES + definition.heap_bytes()
}
