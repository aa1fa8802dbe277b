//! Customers: people in the operator's own system, each of whom is an affiliate.

use crate::ids::{AffiliateId, CustomerId, LinkId};
use crate::timestamp::Timestamp;

/// A customer as it is stored.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Id of the customer.
    pub id: CustomerId,
    /// The operator's own id of the customer.
    pub external_id: String,
    /// The customer's name.
    pub name: String,
    /// The customer's e-mail address.
    pub email: String,
    /// The affiliate that the customer is.
    pub affiliate_id: AffiliateId,
    /// The customer's link to the default offer; `None` if there is no default offer.
    pub link_id: Option<LinkId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
