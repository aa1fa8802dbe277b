//! Figures of a period, each against the period before: `parts/stats` shows them.

use serde::Serialize;

use crate::shell::texts::Text;

/// A figure.
#[derive(Debug, Serialize)]
pub struct Stat {
    pub name: Text,
    pub value: String,
    /// Stands behind the value, such as its currency.
    pub unit: Option<String>,
    pub change: Option<Change>,
    /// A short sentence below, such as the value of the period before.
    pub detail: Option<Text>,
}

/// A change since the period before.
#[derive(Debug, Serialize)]
pub struct Change {
    /// The colour: ok or bad.
    kind: &'static str,
    icon: &'static str,
    by: String,
}

impl Change {
    /// `by` has no sign; the direction is an icon.
    pub fn new(is_up: bool, by: String) -> Self {
        let (kind, icon) = if is_up { ("ok", "arrow-up-right") } else { ("bad", "arrow-down-right") };
        Self { kind, icon, by }
    }
}
