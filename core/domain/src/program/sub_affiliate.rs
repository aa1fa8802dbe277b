//! Recruiting: an affiliate that brought another one gets a share of what that one earns, over some levels.

use serde::{Deserialize, Serialize};

use crate::amounts::Percent;
use crate::ids::AffiliateId;

/// As many levels as anybody may configure.
pub const LEVELS_MAX: usize = 10;

/// The program's rule: a share of the payout for the recruiter, for the recruiter's recruiter, and so on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SubAffiliateSettings {
    pub tiers: Vec<Percent>,
    pub paid_from: PaidFrom,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaidFrom {
    /// On top of the payout.
    #[default]
    Program,
    /// Out of the payout: the recruit gets what is left.
    SubAffiliate,
}

/// One recruiter's share of one conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commission {
    pub affiliate_id: AffiliateId,
    /// 1: it recruited the conversion's affiliate.
    pub level: i32,
    pub percent: Percent,
    pub paid_by_sub_affiliate: bool,
}

impl SubAffiliateSettings {
    /// The share of whoever stands `level` steps above; `None` when that level gets none.
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
