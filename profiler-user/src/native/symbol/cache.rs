//! A bounded map that forgets what has not been used for long. Used by [`super::NativeSymbolizer`].
//!
//! When the young generation is full it becomes the old one and the old one is dropped; what is used moves to the young
//! one. So at most two generations exist, and nothing is counted per use.

use std::collections::HashMap;
use std::hash::Hash;

/// See the module.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Weight of the young generation, and the most it may have.
    weight: usize,
    limit: usize,
}

impl<K: Eq + Hash + Clone, V> Cache<K, V> {
    /// Each of both generations may weigh `limit`, in the unit that `insert` is given.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            weight: 0,
            limit,
        }
    }

    pub(super) fn get(&mut self, key: &K, weight: impl FnOnce(&V) -> usize) -> Option<&V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            let weight = weight(&value);
            self.insert(key, value, weight);
        }
        self.young.get(key)
    }

    pub(super) fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight >= self.limit {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight = self.weight.saturating_add(weight);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_survives_any_number_of_others() {
        let mut cache = Cache::new(10);
        cache.insert("used", 1, 1);
        cache.insert("unused", 2, 1);
        let keys: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        for key in &keys {
            cache.insert(key, 3, 1);
            assert_eq!(cache.get(&"used", |_| 1), Some(&1));
            assert!(cache.young.len() + cache.old.len() <= 22);
        }
        assert_eq!(cache.get(&"unused", |_| 1), None);
    }
}
