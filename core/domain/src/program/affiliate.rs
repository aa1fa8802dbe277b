//! Affiliates: who promotes, and the code that people can read aloud.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::AffiliateId;
use crate::people::user::normal_email;
use crate::timestamp::Timestamp;
use crate::tracking::event::PartyFacts;

#[derive(Clone, Debug)]
pub struct Affiliate {
    pub id: AffiliateId,
    pub name: String,
    pub email: String,
    pub referral_code: String,
    pub status: AffiliateStatus,
    /// Who brought this one; gets commissions.
    pub parent_affiliate_id: Option<AffiliateId>,
    pub parent_since: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The mailbox before the last change of the address, and when that was.
    pub former_email: Option<String>,
    pub email_changed_at: Option<Timestamp>,
}

/// How long a former mailbox still confirms what is changed by mail: whoever may change an address must not be able to
/// confirm with it where the money goes before the affiliate has read the message about it.
pub const FORMER_CONFIRMS: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Affiliate {
    /// Changes the address; says whether it is another one.
    pub fn change_email(&mut self, email: String, now: Timestamp) -> bool {
        if normal_email(&email) == normal_email(&self.email) {
            self.email = email;
            return false;
        }
        let confirms = self.confirming_email(now).to_owned();
        let is_back = normal_email(&email) == normal_email(&confirms);
        self.former_email = (!is_back).then_some(confirms);
        self.email_changed_at = (!is_back).then_some(now);
        self.email = email;
        true
    }

    /// The mailbox that confirms changes.
    pub fn confirming_email(&self, now: Timestamp) -> &str {
        match (&self.former_email, self.email_changed_at) {
            (Some(former), Some(at)) if now < at.plus(FORMER_CONFIRMS) => former,
            _ => &self.email,
        }
    }

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
    fn a_former_mailbox_confirms_for_a_week() {
        let start = Timestamp::from_millis(1_773_144_000_000);
        let mut it = Affiliate {
            id: AffiliateId::new(start),
            name: "Ada".into(),
            email: "a@example.com".into(),
            referral_code: "AF12345".into(),
            status: AffiliateStatus::Active,
            parent_affiliate_id: None,
            parent_since: None,
            created_at: start,
            updated_at: start,
            former_email: None,
            email_changed_at: None,
        };
        assert!(!it.change_email("A@example.com".into(), start));
        assert_eq!(it.confirming_email(start), "A@example.com");
        assert!(it.change_email("b@example.com".into(), start));
        assert_eq!(it.confirming_email(start), "A@example.com");
        // Changing it twice does not get around that, and changing it back ends it.
        let mut twice = it.clone();
        assert!(twice.change_email("c@example.com".into(), start));
        assert_eq!(twice.confirming_email(start), "A@example.com");
        assert!(twice.change_email("a@example.com".into(), start));
        assert_eq!((twice.confirming_email(start), twice.former_email.as_deref()), ("a@example.com", None));
        assert_eq!(it.confirming_email(start.plus(FORMER_CONFIRMS)), "b@example.com");
    }

    #[test]
    fn codes_have_five_digits_and_grow_when_those_run_out() {
        assert_eq!(referral_code(0, 0), "AF10000");
        assert_eq!(referral_code(89_999, 0), "AF99999");
        assert_eq!(referral_code(90_000, 0), "AF10000");
        assert_eq!(referral_code(7, 4), "AF100007");
        assert_eq!(normal_code(" af12345 "), "AF12345");
    }
}
