//! A payment of a customer or subscription.

use serde::{Deserialize, Serialize};

/// Which payment a conversion is, and the notifications that made it what it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// 1 for the first payment of the customer and goal, or of the subscription. Rejected payments are not counted.
    pub number: u32,
    /// By what repeated notifications are recognised: those of a source that reports several payments under one
    /// transaction id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Whether the network reported it as pending and has not approved it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_approval: bool,
}

/// The most notifications of a payment that are recognised again.
const KEYS_MAX: usize = 50;

impl Payment {
    /// A payment that is known by its number only.
    pub fn counted(number: u32) -> Self {
        Self { number, keys: Vec::new(), awaits_approval: false }
    }

    /// Whether this notification was applied to it.
    pub fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// Remembers a notification that was applied to it.
    pub fn remember(&mut self, key: &str) {
        if self.keys.len() >= KEYS_MAX {
            self.keys.remove(0);
        }
        self.keys.push(key.to_owned());
    }
}
