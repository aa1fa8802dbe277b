//! The keys of a report's rows, and the integer codes that stand for them while rows are counted.

use std::collections::HashMap;

use uuid::Uuid;

use super::packed::{CodedColumn, OTHER};

/// The most values of a dimension in one report; further values are counted together as "other".
pub(crate) const VALUES_MAX: usize = 100_000;

/// What a row of a report stands for, in one of its groups.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// Visits without a value, or clicks without a link.
    None,
    /// All values beyond the limit.
    Other,
    /// An affiliate, offer or link.
    Id(Uuid),
    /// A value of a dimension, or the label of a unit of time.
    Text(String),
}

/// A code that is not assigned yet.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// The keys of one group: a dictionary from keys to codes.
#[derive(Default)]
pub(crate) struct DimensionDictionary {
    texts: HashMap<String, u32>,
    others: HashMap<Key, u32>,
    /// The keys; the index is the code.
    pub keys: Vec<Key>,
}

impl DimensionDictionary {
    /// The code of a key. A new key gets the next code.
    pub fn code(&mut self, key: Key) -> u32 {
        let next = self.keys.len() as u32;
        *self.others.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            next
        })
    }

    /// The code of a text; that of [`Key::Other`] beyond [`VALUES_MAX`] keys.
    pub(crate) fn code_of_text(&mut self, text: &str) -> u32 {
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

    /// The code for `local`, a code within the current segment.
    pub(crate) fn code_of_local(&mut self, reader: &mut ColumnReader, local: usize) -> u32 {
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

/// How the rows of the current segment get their code in a slot.
pub(crate) enum ColumnReader<'a> {
    /// The same for all rows.
    Fixed(u32),
    /// By the scope of a run.
    Scope,
    /// By the row; with the codes of values that were seen.
    Value(CodedColumn<'a>, Vec<u32>),
}

impl ColumnReader<'_> {
    /// The number of codes of this column: all codes are smaller.
    pub fn width(&self, dictionary: &DimensionDictionary) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Scope => dictionary.keys.len(),
            Self::Value(coded, _) => coded.width(),
        }
    }
}
