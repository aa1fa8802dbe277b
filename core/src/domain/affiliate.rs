//! Affiliates: who promotes, and the code that people can read aloud.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::AffiliateId;

use super::event::PartyFacts;

#[derive(Clone, Debug)]
pub struct Affiliate {
    pub id: AffiliateId,
    pub name: String,
    pub email: String,
    pub referral_code: String,
    pub status: AffiliateStatus,
    /// Who brought this one; gets commissions.
    pub recruited_by: Option<AffiliateId>,
    pub recruited_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Affiliate {
    pub fn facts(&self) -> PartyFacts {
        PartyFacts { id: self.id.to_string(), name: self.name.clone(), referral_code: Some(self.referral_code.clone()) }
    }
}

/// Whether an affiliate's links and codes still lead somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AffiliateStatus {
    Active,
    Suspended,
}

text_enum!(AffiliateStatus { Active => "active", Suspended => "suspended" });

/// `AF12345`: five digits while they last, one more each time drawing a free one fails.
pub fn referral_code(draw: u64, tries: u32) -> String {
    let digits = 5 + tries / 4;
    let lowest = 10_u64.pow(digits - 1);
    format!("AF{}", lowest + draw % (9 * lowest))
}

/// Codes are read aloud and typed by hand: case and surrounding space do not matter.
pub fn normal_code(typed: &str) -> String {
    typed.trim().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_five_digits_and_grow_when_those_run_out() {
        assert_eq!(referral_code(0, 0), "AF10000");
        assert_eq!(referral_code(89_999, 0), "AF99999");
        assert_eq!(referral_code(90_000, 0), "AF10000");
        assert_eq!(referral_code(7, 4), "AF100007");
        assert_eq!(normal_code(" af12345 "), "AF12345");
    }
}
