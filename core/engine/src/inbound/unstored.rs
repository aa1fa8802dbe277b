//! Refused requests that are counted and not stored.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::ids::SourceId;

/// The number of refused requests of each source that were counted and not stored, since the last stored one.
#[derive(Debug, Default)]
pub struct Unstored(Mutex<HashMap<SourceId, i64>>);

impl Unstored {
    /// Counts a refused request.
    pub fn count(&self, source: SourceId) {
        *self.0.lock().expect("nothing panics while it is held").entry(source).or_default() += 1;
    }

    /// Returns the number of a source and sets it to 0.
    pub fn take(&self, source: SourceId) -> i64 {
        self.0.lock().expect("nothing panics while it is held").remove(&source).unwrap_or_default()
    }
}
