//! A queue that serves its keys in turn. A key with thousands of items gets as many turns as a key with one item.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items by key. Keys take turns; the items of a key keep their order.
#[derive(Debug)]
pub struct RoundRobin<K, T> {
    /// The keys that have items, in the order of their turns.
    turns: VecDeque<K>,
    items: HashMap<K, VecDeque<T>>,
    len: usize,
}

impl<K, T> Default for RoundRobin<K, T> {
    fn default() -> Self {
        Self { turns: VecDeque::new(), items: HashMap::new(), len: 0 }
    }
}

impl<K: Clone + Eq + Hash, T> RoundRobin<K, T> {
    /// Adds the last item of a key.
    pub fn push(&mut self, key: K, item: T) {
        let items = self.items.entry(key.clone()).or_default();
        if items.is_empty() {
            self.turns.push_back(key);
        }
        items.push_back(item);
        self.len += 1;
    }

    /// Puts a popped item back: it is the next item of its key.
    pub(crate) fn push_front(&mut self, key: K, item: T) {
        let items = self.items.entry(key.clone()).or_default();
        if items.is_empty() {
            self.turns.push_front(key);
        }
        items.push_front(item);
        self.len += 1;
    }

    /// The number of items of all keys.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of items of a key.
    pub fn count(&self, key: &K) -> usize {
        self.items.get(key).map_or(0, VecDeque::len)
    }

    /// Removes the oldest item of the next key.
    pub fn pop(&mut self) -> Option<T> {
        self.pop_admitted(|_, _| true)
    }

    /// Like [`Self::pop`], but skips keys whose oldest item is not admitted. These keep their turns.
    pub(crate) fn pop_admitted(&mut self, mut admit: impl FnMut(&K, &T) -> bool) -> Option<T> {
        let index = self.turns.iter().position(|key| {
            let oldest = self.items.get(key).and_then(VecDeque::front);
            oldest.is_some_and(|item| admit(key, item))
        })?;
        let key = self.turns.remove(index)?;
        let items = self.items.get_mut(&key)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.items.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        self.len -= usize::from(item.is_some());
        item
    }

    /// Removes all items, in no particular order.
    pub fn drain(&mut self) -> impl Iterator<Item = T> {
        self.turns.clear();
        self.len = 0;
        std::mem::take(&mut self.items).into_values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_take_turns_and_items_of_a_key_keep_their_order() {
        let mut queue = RoundRobin::default();
        for (key, item) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5)] {
            queue.push(key, item);
        }
        assert_eq!((queue.len(), queue.count(&'a'), queue.count(&'z')), (5, 3, 0));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [1, 4, 5, 2, 3]);
        assert!(queue.is_empty());
        for (key, item) in [('a', 2), ('b', 4), ('a', 1)] {
            queue.push_front(key, item);
        }
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [4, 1, 2]);
    }

    #[test]
    fn a_skipped_key_keeps_its_turn() {
        let mut queue = RoundRobin::default();
        for (key, item) in [('a', 1), ('b', 2), ('b', 3), ('c', 4)] {
            queue.push(key, item);
        }
        assert_eq!(queue.pop_admitted(|key, _| *key != 'a'), Some(2));
        assert_eq!(queue.pop_admitted(|key, _| *key == 'z'), None);
        assert_eq!(queue.pop(), Some(1));
        let mut rest: Vec<_> = queue.drain().collect();
        rest.sort_unstable();
        assert_eq!((rest, queue.len()), (vec![3, 4], 0));
    }
}
