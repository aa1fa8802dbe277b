//! What the rows of a report stand for, and the numbers by which they are counted.

use std::collections::HashMap;

use uuid::Uuid;

use super::packed::{Coded, OTHER};

/// Values of a dimension that a report tells apart; what comes after them is counted together, as "other".
pub const VALUES_MAX: usize = 100_000;

/// What a row of a report stands for, in one of its groups.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// Visits without such a value, or a click without a link.
    None,
    /// More values than are told apart.
    Other,
    Id(Uuid),
    Text(String),
}

/// No code yet.
pub const UNKNOWN: u32 = u32::MAX;

/// The keys of one group, by their codes.
#[derive(Default)]
pub struct Slot {
    texts: HashMap<String, u32>,
    others: HashMap<Key, u32>,
    pub keys: Vec<Key>,
}

impl Slot {
    pub fn code(&mut self, key: Key) -> u32 {
        let next = self.keys.len() as u32;
        *self.others.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            next
        })
    }

    pub fn text(&mut self, text: &str) -> u32 {
        if let Some(code) = self.texts.get(text) {
            return *code;
        }
        if self.keys.len() >= VALUES_MAX {
            return self.code(Key::Other);
        }
        let next = self.keys.len() as u32;
        self.keys.push(Key::Text(text.to_owned()));
        self.texts.insert(text.to_owned(), next);
        next
    }

    /// The code among all segments of what has `local` in this one.
    pub fn global(&mut self, lane: &mut Lane, local: usize) -> u32 {
        match lane {
            Lane::Fixed(code) => *code,
            Lane::Scope => local as u32,
            Lane::Value(coded, known) => {
                if known[local] == UNKNOWN {
                    known[local] = match coded.value(local as u16) {
                        Some(value) => self.text(value),
                        None if local == usize::from(OTHER) => self.code(Key::Other),
                        None => self.code(Key::None),
                    };
                }
                known[local]
            }
        }
    }
}

/// How a slot gets its code in the segment at hand.
pub enum Lane<'a> {
    /// The same for all rows.
    Fixed(u32),
    /// By the scope of a run.
    Scope,
    /// By the row; with the codes of values that were seen.
    Value(Coded<'a>, Vec<u32>),
}

impl Lane<'_> {
    pub fn width(&self, slot: &Slot) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Scope => slot.keys.len(),
            Self::Value(coded, _) => coded.width(),
        }
    }
}
