//! Affiliates, and the referral codes that people can read aloud.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::archive::{self, ArchiveError};
use crate::ids::AffiliateId;
use crate::people::user::normal_email;
use crate::timestamp::Timestamp;
use crate::tracking::event::PartyFacts;

/// An affiliate as it is stored.
#[derive(Clone, Debug)]
pub struct Affiliate {
    /// Id of the affiliate.
    pub id: AffiliateId,
    /// The name that people see.
    pub name: String,
    /// The current e-mail address.
    pub email: String,
    /// The code that customers can name: `AF12345`.
    pub referral_code: String,
    /// The current status.
    pub status: AffiliateStatus,
    /// The parent affiliate, which gets second-tier commissions.
    pub parent_affiliate_id: Option<AffiliateId>,
    /// When the parent affiliate was set.
    pub parent_since: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The e-mail address before the last change.
    pub former_email: Option<String>,
    /// When the e-mail address was last changed.
    pub email_changed_at: Option<Timestamp>,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

/// How long the former mailbox still confirms changes. Otherwise a person with access to the account could change the
/// address and confirm new payout details with it before the affiliate has read the warning.
pub const FORMER_CONFIRMS: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Affiliate {
    /// Whether its links and codes work, and it gets second-tier commissions.
    pub fn is_active(&self) -> bool {
        self.status == AffiliateStatus::Active && self.archived_at.is_none()
    }

    /// Archives it. Repeating it has no effect.
    pub fn archive(&mut self, now: Timestamp) {
        archive::archive(&mut self.archived_at, &mut self.updated_at, now);
    }

    /// Restores it. Repeating it has no effect.
    pub fn restore(&mut self, now: Timestamp) {
        archive::restore(&mut self.archived_at, &mut self.updated_at, now);
    }

    /// Fails if it is archived.
    pub fn check_in_use(&self) -> Result<(), ArchiveError> {
        archive::check_in_use("affiliate", self.id, self.archived_at)
    }

    /// Changes the address. Returns whether it is another mailbox.
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

    /// The mailbox that confirms changes: for a week after a change, the former one.
    pub fn confirming_email(&self, now: Timestamp) -> &str {
        match (&self.former_email, self.email_changed_at) {
            (Some(former), Some(at)) if now < at.plus(FORMER_CONFIRMS) => former,
            _ => &self.email,
        }
    }

    /// The data for adapters.
    pub fn facts(&self) -> PartyFacts {
        PartyFacts { id: self.id.to_string(), name: self.name.clone(), referral_code: Some(self.referral_code.clone()) }
    }
}

/// The status of an affiliate. `active`: its links and codes work. `suspended`: they lead to a "not found" page, and
/// the affiliate cannot withdraw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AffiliateStatus {
    /// Its links and codes work.
    #[default]
    Active,
    /// Its links and codes don't work, and it can't withdraw.
    Suspended,
}

text_enum!(AffiliateStatus { Active => "active", Suspended => "suspended" });

/// A random code from `draw`: "AF" and five digits, and one digit more after every four failed `tries` to find a free
/// one.
pub fn referral_code(draw: u64, tries: u32) -> String {
    let digits = 5 + tries / 4;
    let lowest = 10_u64.pow(digits - 1);
    format!("AF{}", lowest + draw % (9 * lowest))
}

/// A code as it is stored: people type it in any case, also that of other alphabets, and with surrounding spaces. Letters
/// with an accent can be typed as one character or as two.
pub fn normal_code(typed: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    typed.trim().nfc().collect::<String>().to_uppercase()
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
            archived_at: None,
        };
        assert!(!it.change_email("A@example.com".into(), start));
        assert_eq!(it.confirming_email(start), "A@example.com");
        assert!(it.change_email("b@example.com".into(), start));
        assert_eq!(it.confirming_email(start), "A@example.com");
        // A second change does not replace the confirming mailbox; changing back ends the week.
        let mut twice = it.clone();
        assert!(twice.change_email("c@example.com".into(), start));
        assert_eq!(twice.confirming_email(start), "A@example.com");
        assert!(twice.change_email("a@example.com".into(), start));
        assert_eq!((twice.confirming_email(start), twice.former_email.as_deref()), ("a@example.com", None));
        assert_eq!(it.confirming_email(start.plus(FORMER_CONFIRMS)), "b@example.com");
    }

    #[test]
    fn codes_have_five_digits_and_grow_when_tries_fail() {
        assert_eq!(referral_code(0, 0), "AF10000");
        assert_eq!(referral_code(89_999, 0), "AF99999");
        assert_eq!(referral_code(90_000, 0), "AF10000");
        assert_eq!(referral_code(7, 4), "AF100007");
        assert_eq!(normal_code(" af12345 "), "AF12345");
        for (typed, stored) in
            [("größe", "GRÖSSE"), ("GRÖßE", "GRÖSSE"), ("лето", "ЛЕТО"), ("e\u{301}te\u{301}", "ÉTÉ")]
        {
            assert_eq!(normal_code(typed), stored, "{typed}");
        }
    }
}
