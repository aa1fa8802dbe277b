//! Attribution: which evidence says whose conversion it is. A click beats a code beats a coupon.

use serde::{Deserialize, Serialize};

/// What a conversion was attributed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    Click,
    ReferralCode,
    Coupon,
}

text_enum!(Evidence { Click => "click", ReferralCode => "referral_code", Coupon => "coupon" });
