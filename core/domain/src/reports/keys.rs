//! What the rows of a report stand for, and the numbers by which they are counted.

use std::collections::HashMap;

use uuid::Uuid;

use super::packed::{CodedColumn, OTHER};

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
pub struct DimensionDictionary {
    texts: HashMap<String, u32>,
    others: HashMap<Key, u32>,
    pub keys: Vec<Key>,
}

impl DimensionDictionary {
    pub fn code(&mut self, key: Key) -> u32 {
        let next = self.keys.len() as u32;
        *self.others.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            next
        })
    }

    pub fn code_of_text(&mut self, text: &str) -> u32 {
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
    pub fn code_of_local(&mut self, reader: &mut ColumnReader, local: usize) -> u32 {
        match reader {
            ColumnReader::Fixed(code) => *code,
            ColumnReader::Scope => local as u32,
            ColumnReader::Value(coded, known) => {
                if known[local] == UNKNOWN {
                    known[local] = match coded.value(local as u16) {
                        Some(value) => self.code_of_text(value),
                        None if local == usize::from(OTHER) => self.code(Key::Other),
                        None => self.code(Key::None),
                    };
                }
                known[local]
            }
        }
    }
}

/// Where the code of a row comes from, in the segment at hand.
pub enum ColumnReader<'a> {
    /// The same for all rows.
    Fixed(u32),
    /// By the scope of a run.
    Scope,
    /// By the row; with the codes of values that were seen.
    Value(CodedColumn<'a>, Vec<u32>),
}

impl ColumnReader<'_> {
    pub fn width(&self, dictionary: &DimensionDictionary) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Scope => dictionary.keys.len(),
            Self::Value(coded, _) => coded.width(),
        }
    }
}
