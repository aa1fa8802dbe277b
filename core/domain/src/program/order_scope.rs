//! How often one order may count: once for each offer, or once in the whole program.

use serde::{Deserialize, Serialize};

/// Where a transaction id stands for one order. `offer`: each offer has its own. `program`: if an offer has a conversion of
/// the transaction, no other offer gets one, until it is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderScope {
    /// Each offer has its own orders.
    #[default]
    Offer,
    /// An order counts once in the program.
    Program,
}
