//! Sub-affiliates: a parent affiliate gets a second-tier commission, a share of what its sub-affiliates earn, over
//! several levels.

use serde::{Deserialize, Serialize};

use crate::amounts::Percent;
use crate::ids::AffiliateId;

/// The most levels that can be configured.
pub const LEVELS_MAX: usize = 10;

/// The program's second-tier commissions: a share of the payout for the parent affiliate, for its parent affiliate, and
/// so on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SubAffiliateSettings {
    /// The share of each level, nearest first.
    pub tiers: Vec<Percent>,
    /// Who pays the commissions.
    pub paid_from: PaidFrom,
}

/// Who pays second-tier commissions. `program`: the program, on top of the payout. `sub_affiliate`: the sub-affiliate,
/// whose payout is reduced by them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaidFrom {
    /// The program, on top of the payout.
    #[default]
    Program,
    /// The sub-affiliate: they are deducted from its payout.
    SubAffiliate,
}

/// One parent affiliate's share of one conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Commission {
    /// The affiliate that gets the commission.
    pub affiliate_id: AffiliateId,
    /// The number of levels above the conversion's affiliate; 1 is its parent affiliate.
    pub level: i32,
    /// The share of the payout.
    pub percent: Percent,
    /// Whether it is deducted from the sub-affiliate's payout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paid_by_sub_affiliate: bool,
}

impl SubAffiliateSettings {
    /// The share of the affiliate `level` levels above; `None` if that level gets none.
    pub fn commission(&self, level: usize, affiliate_id: AffiliateId) -> Option<Commission> {
        let percent = *self.tiers.get(level.checked_sub(1)?)?;
        (!percent.is_zero()).then_some(Commission {
            affiliate_id,
            level: level as i32,
            percent,
            paid_by_sub_affiliate: self.paid_from == PaidFrom::SubAffiliate,
        })
    }
}
