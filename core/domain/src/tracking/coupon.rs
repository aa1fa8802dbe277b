//! Coupons: codes that customers type at checkout. Each belongs to one link.

use serde::{Deserialize, Serialize};

use crate::ids::LinkId;
use crate::timestamp::Timestamp;

/// The most coupons of a link.
pub const COUPONS_MAX: usize = 50;

/// A coupon as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coupon {
    /// The code in upper case; unique in the program.
    pub code: String,
    /// The link that it belongs to.
    pub link_id: LinkId,
    /// When it counts.
    pub active: Active,
}

/// When a coupon counts: from its start until before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Active {
    /// The start; `None` for no limit.
    pub starts_at: Option<Timestamp>,
    /// The end, exclusive; `None` for no limit.
    pub ends_at: Option<Timestamp>,
}

impl Active {
    /// Whether the coupon counts at this time.
    pub fn at(self, time: Timestamp) -> bool {
        self.starts_at.is_none_or(|start| start <= time) && self.ends_at.is_none_or(|end| time < end)
    }

    /// Whether it ends before it starts, which is a mistake.
    pub fn is_empty(self) -> bool {
        matches!((self.starts_at, self.ends_at), (Some(start), Some(end)) if end <= start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coupon_counts_from_its_start_to_before_its_end() {
        let at = Timestamp::from_millis;
        let active = Active { starts_at: Some(at(10)), ends_at: Some(at(20)) };
        assert_eq!([9, 10, 19, 20].map(|ms| active.at(at(ms))), [false, true, true, false]);
        assert!(Active::default().at(at(0)));
        assert!(Active { starts_at: Some(at(10)), ends_at: Some(at(10)) }.is_empty());
    }
}
