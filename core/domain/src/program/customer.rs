//! Customers: people of the operator's own system, each of whom is an affiliate.

use crate::ids::{AffiliateId, CustomerId, LinkId};
use crate::timestamp::Timestamp;

#[derive(Clone, Debug)]
pub struct Customer {
    pub id: CustomerId,
    /// What the operator's system calls this customer.
    pub external_id: String,
    pub name: String,
    pub email: String,
    pub affiliate_id: AffiliateId,
    /// To the default offer; absent while there is none.
    pub link_id: Option<LinkId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
