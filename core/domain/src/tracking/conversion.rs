//! Conversions: pending → approved or rejected(reason); approved → rejected (a chargeback).
//!
//! A conversion is identified within its offer by the advertiser's transaction id. Every change of its
//! status and every correction of its amounts is a new revision; nothing else about it ever changes.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Money};
use crate::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId, SourceId};
use crate::program::cap::OverCap;
use crate::timestamp::Timestamp;

use super::attribution::{
    AttributionTerms, Considered, Evidence, Ruling, SelfReferral, Trace, customer_key, normal_email,
};

/// Where a conversion stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    Pending,
    Approved,
    Rejected {
        #[serde(rename = "rejection_reason")]
        reason: String,
    },
}

impl Status {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected { .. } => "rejected",
        }
    }

    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Rejected { reason } => Some(reason),
            _ => None,
        }
    }

    /// From two columns or fields; `None` for an unknown word.
    pub fn from_parts(word: &str, reason: Option<&str>) -> Option<Self> {
        Some(match word {
            "pending" => Self::Pending,
            "approved" => Self::Approved,
            "rejected" => Self::Rejected { reason: reason.unwrap_or("unspecified").to_owned() },
            _ => return None,
        })
    }
}

/// One conversion, as it is stored.
#[derive(Clone, Debug)]
pub struct Conversion {
    pub id: ConversionId,
    pub offer_id: OfferId,
    pub transaction_id: String,
    pub revision: i32,
    pub status: Status,
    pub affiliate_id: AffiliateId,
    pub link_id: Option<LinkId>,
    pub click_id: Option<ClickId>,
    pub attributed_by: Evidence,
    /// What else was known of whose it is, and what the program's rules made of it.
    pub trace: Trace,
    pub goal: Option<String>,
    pub sale: Option<Money>,
    pub payout: Option<Money>,
    pub revenue: Option<Money>,
    pub buyer: Buyer,
    pub reporter: Option<Reporter>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The source that reported a conversion; none for the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reporter {
    pub source_id: SourceId,
    /// The source is the affiliate's own: what it reports is shown, and nobody owes money for it.
    pub is_affiliate: bool,
}

/// What identifies a transaction within its offer. An affiliate's own source has a name space of its own: it can
/// neither change nor forestall what others report.
pub fn transaction_key(transaction_id: &str, reporter: Option<Reporter>) -> String {
    match reporter {
        Some(Reporter { source_id, is_affiliate: true }) => format!("{transaction_id}{KEY_SEPARATOR}{source_id}"),
        _ => transaction_id.to_owned(),
    }
}

/// The transaction id in such a key.
pub fn transaction_id_in(key: &str) -> &str {
    key.split_once(KEY_SEPARATOR).map_or(key, |(transaction_id, _)| transaction_id)
}

/// Reports have no control characters.
const KEY_SEPARATOR: char = '\u{1f}';

/// Who bought what, as the advertiser told it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buyer {
    /// The advertiser's own id of the customer.
    pub customer_id: Option<String>,
    pub customer_name: Option<String>,
    pub customer_email: Option<String>,
    pub plan_name: Option<String>,
    pub plan_price: Option<Amount>,
    pub purchase_id: Option<String>,
    pub purchase_date: Option<Timestamp>,
}

impl Buyer {
    /// Whether an affiliate bought from itself, and may not.
    pub fn is_affiliate(&self, email: &str, terms: &AttributionTerms) -> bool {
        terms.self_referral == SelfReferral::Reject
            && self.customer_email.as_deref().is_some_and(|buyer| normal_email(buyer) == normal_email(email))
    }
}

/// The amounts of a conversion: what a later report may correct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    pub sale: Option<Money>,
    pub payout: Option<Money>,
    pub revenue: Option<Money>,
}

/// Whether a command changed anything. Repeating a command is harmless.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Applied {
    /// With the status before; the same one when only amounts were corrected.
    Now {
        previous: Status,
    },
    Already,
}

/// A move that the state machine does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IllegalMove {
    #[error(
        "conversion {id} is already rejected ({reason}); a rejection is final, report the sale again under a new transaction id"
    )]
    AlreadyRejected { id: ConversionId, reason: String },
    #[error(
        "conversion {id} is already approved and can't go back to pending; reject it with a reason to take it back"
    )]
    AlreadyApproved { id: ConversionId },
}

impl IllegalMove {
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyRejected { .. } => "conversion_already_rejected",
            Self::AlreadyApproved { .. } => "conversion_already_approved",
        }
    }
}

impl Conversion {
    pub fn transaction_key(&self) -> String {
        transaction_key(&self.transaction_id, self.reporter)
    }

    /// Whether an affiliate told of it itself.
    pub fn is_self_reported(&self) -> bool {
        self.reporter.is_some_and(|reporter| reporter.is_affiliate)
    }

    pub fn figures(&self) -> Figures {
        Figures { sale: self.sale, payout: self.payout, revenue: self.revenue }
    }

    /// Takes over what a later report says. Status and amounts that change together are one revision.
    pub fn apply_report(&mut self, wanted: &Status, figures: Figures, at: Timestamp) -> Result<Applied, IllegalMove> {
        let applied = self.apply_reported_status(wanted, at)?;
        if figures == self.figures() {
            return Ok(applied);
        }
        Figures { sale: self.sale, payout: self.payout, revenue: self.revenue } = figures;
        if applied == Applied::Already {
            self.revision += 1;
            self.updated_at = at;
            return Ok(Applied::Now { previous: self.status.clone() });
        }
        Ok(applied)
    }

    /// Moves to `wanted`, if the state machine has that move.
    pub fn change_status(&mut self, wanted: &Status, at: Timestamp) -> Result<Applied, IllegalMove> {
        use Status::{Approved, Pending, Rejected};
        match (&self.status, wanted) {
            (current, wanted) if current == wanted => return Ok(Applied::Already),
            (Pending, Approved | Rejected { .. }) | (Approved, Rejected { .. }) => {}
            (Approved, Pending) => return Err(IllegalMove::AlreadyApproved { id: self.id }),
            (Rejected { reason }, _) => {
                return Err(IllegalMove::AlreadyRejected { id: self.id, reason: reason.clone() });
            }
            (Pending, Pending) | (Approved, Approved) => unreachable!("equal statuses return above"),
        }
        let previous = std::mem::replace(&mut self.status, wanted.clone());
        self.revision += 1;
        self.updated_at = at;
        Ok(Applied::Now { previous })
    }

    /// What it was before its last change of status.
    pub fn before(&self, previous: Status) -> Self {
        Self { status: previous, revision: self.revision - 1, ..self.clone() }
    }

    /// Whether its first report named this click, also if another click counted.
    pub fn was_reported_with(&self, click: ClickId) -> bool {
        let named = |it: &Considered| it.evidence == Evidence::Click && it.value == Some(click.to_string());
        self.click_id == Some(click) || self.trace.considered.iter().any(named)
    }

    /// Takes the status that a report tells. What a rule of the program decided stands: the same report again is the
    /// same answer, and only a person approves what is held.
    pub fn apply_reported_status(&mut self, reported: &Status, at: Timestamp) -> Result<Applied, IllegalMove> {
        let stands = match (&self.status, reported) {
            (Status::Rejected { reason }, _) => self.trace.ruling.is_some_and(|ruling| ruling.reason() == reason),
            (Status::Pending, Status::Approved) => self.trace.ruling == Some(Ruling::OverCap),
            _ => false,
        };
        if stands { Ok(Applied::Already) } else { self.change_status(reported, at) }
    }

    /// A new conversion that a rule of the program rejects, whatever its report says.
    pub fn reject_by(&mut self, ruling: Ruling) {
        self.trace.ruling = Some(ruling);
        self.status = Status::Rejected { reason: ruling.reason().to_owned() };
    }

    /// A new conversion for which the caps of its offer have no room.
    pub fn apply_over_cap(&mut self, over: OverCap) {
        match over {
            OverCap::Reject => self.reject_by(Ruling::OverCap),
            OverCap::Hold => self.status = Status::Pending,
            OverCap::Unpaid => self.payout = self.payout.map(|payout| Money { micros: 0, ..payout }),
        }
        self.trace.ruling = Some(Ruling::OverCap);
    }

    /// Whether a cap left it without payout.
    pub fn is_unpaid(&self) -> bool {
        self.trace.ruling == Some(Ruling::OverCap) && self.payout.is_none_or(|payout| payout.micros == 0)
    }

    /// Whether the caps of its offer count it: what is rejected or owed by others takes nobody's place.
    pub fn counts_for_caps(&self) -> bool {
        !self.is_self_reported() && !matches!(self.status, Status::Rejected { .. })
    }

    /// By what a later conversion of the same customer finds this one.
    pub fn customer_key(&self) -> Option<i64> {
        self.click_id.filter(|_| !self.is_self_reported())?;
        customer_key(self.offer_id, self.buyer.customer_id.as_deref(), self.buyer.customer_email.as_deref())
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;

    /// A pending conversion that pays 5.00 USD.
    pub fn conversion() -> Conversion {
        let at = Timestamp::from_millis(1_763_647_000_000);
        let usd = "USD".parse().unwrap();
        Conversion {
            id: ConversionId::new(at),
            offer_id: OfferId::new(at),
            transaction_id: "T1".into(),
            revision: 1,
            status: Status::Pending,
            affiliate_id: AffiliateId::new(at),
            link_id: None,
            click_id: None,
            attributed_by: Evidence::Click,
            trace: Trace::default(),
            goal: None,
            sale: Some("49.00".parse::<Amount>().unwrap().of(usd)),
            payout: Some("5.00".parse::<Amount>().unwrap().of(usd)),
            revenue: None,
            buyer: Buyer::default(),
            reporter: None,
            created_at: at,
            updated_at: at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(reason: &str) -> Status {
        Status::Rejected { reason: reason.into() }
    }

    #[test]
    fn what_a_rule_decided_no_report_undoes() {
        use Status::{Approved, Pending};
        let at = Timestamp::from_millis(1);
        let mut over = samples::conversion();
        over.apply_over_cap(OverCap::Reject);
        assert_eq!(over.status, rejected("over cap"));
        assert_eq!(over.apply_reported_status(&Approved, at), Ok(Applied::Already));
        assert_eq!(over.apply_reported_status(&rejected("fraud"), at), Ok(Applied::Already));
        assert!(over.change_status(&Approved, at).is_err(), "a person is told that it is final");

        let mut held = samples::conversion();
        held.apply_over_cap(OverCap::Hold);
        assert_eq!(held.apply_reported_status(&Approved, at), Ok(Applied::Already));
        assert_eq!(held.apply_reported_status(&rejected("fraud"), at), Ok(Applied::Now { previous: Pending }));
        assert!(held.apply_reported_status(&Approved, at).is_err(), "that was no rule's decision");

        let mut unpaid = Conversion { status: Approved, ..samples::conversion() };
        unpaid.apply_over_cap(OverCap::Unpaid);
        assert_eq!(unpaid.payout.map(|it| it.micros), Some(0));
        assert_eq!(unpaid.apply_reported_status(&rejected("fraud"), at), Ok(Applied::Now { previous: Approved }));
    }

    #[test]
    fn every_move_is_allowed_repeated_or_refused() {
        use Status::{Approved, Pending};
        enum Want {
            Moves,
            Stays,
            Refused,
        }
        use Want::{Moves, Refused, Stays};
        let table = [
            (Pending, Pending, Stays),
            (Pending, Approved, Moves),
            (Pending, rejected("fraud"), Moves),
            (Approved, Pending, Refused),
            (Approved, Approved, Stays),
            (Approved, rejected("chargeback"), Moves),
            (rejected("fraud"), Pending, Refused),
            (rejected("fraud"), Approved, Refused),
            (rejected("fraud"), rejected("fraud"), Stays),
            (rejected("fraud"), rejected("duplicate"), Refused),
        ];
        for (from, to, want) in table {
            let mut conversion = Conversion { status: from.clone(), ..samples::conversion() };
            let result = conversion.change_status(&to, Timestamp::from_millis(1));
            match want {
                Moves => {
                    assert_eq!(result, Ok(Applied::Now { previous: from }));
                    assert_eq!((conversion.revision, &conversion.status), (2, &to));
                }
                Stays => {
                    assert_eq!(result, Ok(Applied::Already));
                    assert_eq!(conversion.revision, 1);
                }
                Refused => {
                    assert!(result.is_err(), "{from:?} -> {to:?}");
                    assert_eq!((conversion.revision, &conversion.status), (1, &from));
                }
            }
        }
    }
}
