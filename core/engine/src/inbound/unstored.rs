//! Refused requests that are counted and not stored.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::ids::SourceId;

/// How many refused requests of each source were only counted since one was stored.
#[derive(Debug, Default)]
pub struct Unstored(Mutex<HashMap<SourceId, i64>>);

impl Unstored {
    pub fn count(&self, source: SourceId) {
        *self.0.lock().expect("nothing panics while it is held").entry(source).or_default() += 1;
    }

    pub fn take(&self, source: SourceId) -> i64 {
        self.0.lock().expect("nothing panics while it is held").remove(&source).unwrap_or_default()
    }
}
