//! A bounded map that forgets what has not been used for long.
//!
//! When the young generation is full it becomes the old one and the old one is dropped; what is used moves to the young
//! one. So at most two generations exist, and nothing is counted per use.

use std::collections::HashMap;
use std::hash::Hash;

/// A map of two generations.
#[derive(Debug)]
pub struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Weight of the young generation, and the most it may have.
    weight: usize,
    limit: usize,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// Each of both generations may weigh `limit`, in the unit that `insert` is given.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            weight: 0,
            limit,
        }
    }

    /// What is remembered under this key; `weight` says what it weighs.
    pub fn get(&mut self, key: &K, weight: impl FnOnce(&V) -> usize) -> Option<&V> {
        if let Some((key, value)) = self.old.remove_entry(key) {
            let weight = weight(&value);
            self.insert(key, value, weight);
        }
        self.young.get(key)
    }

    /// Remembers something.
    pub fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight >= self.limit {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.old.remove(&key);
        self.weight = self.weight.saturating_add(weight);
        self.young.insert(key, value);
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
            assert!(cache.len() <= 22);
        }
        assert_eq!(cache.get(&"unused", |_| 1), None);
    }
}
