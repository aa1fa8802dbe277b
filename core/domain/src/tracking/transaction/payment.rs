//! A payment of a customer or subscription.

use serde::{Deserialize, Serialize};

/// What tells that a notification is a payment of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Payment {
    /// 1 for the first payment of the subscription.
    pub number: u32,
    /// By what a repeated notification of the same payment is recognised. `None`: it has a transaction id of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
