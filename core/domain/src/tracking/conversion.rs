//! Conversions: pending → approved or rejected(reason); approved → rejected (a chargeback).
//!
//! A conversion is identified within its offer by the advertiser's transaction id. Every change of its status and every
//! correction of its amounts is a new revision; everything else is immutable.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Money};
use crate::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId, SourceId};
use crate::program::cap::OverCap;
use crate::timestamp::Timestamp;

use super::attribution::{
    AttributionTerms, Considered, Evidence, Ruling, SelfReferral, Trace, customer_key, normal_email,
};

/// The status of a conversion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
#[schema(as = ConversionStatusWithReason)]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// The affiliate earns its payout.
    Approved,
    /// It earns nothing. A rejection is final.
    Rejected {
        /// The reason of the rejection.
        #[serde(rename = "rejection_reason")]
        reason: String,
    },
}

impl Status {
    /// The status as one word, without the reason.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected { .. } => "rejected",
        }
    }

    /// The reason of a rejection.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Rejected { reason } => Some(reason),
            _ => None,
        }
    }

    /// From the word and the reason (default "unspecified"); `None` for an unknown word.
    pub fn from_parts(word: &str, reason: Option<&str>) -> Option<Self> {
        Some(match word {
            "pending" => Self::Pending,
            "approved" => Self::Approved,
            "rejected" => Self::Rejected { reason: reason.unwrap_or("unspecified").to_owned() },
            _ => return None,
        })
    }
}

/// A conversion as it is stored.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// Id of the conversion.
    pub id: ConversionId,
    /// The offer.
    pub offer_id: OfferId,
    /// The advertiser's id of the conversion.
    pub transaction_id: String,
    /// 1 for the first state, and 1 more for each change.
    pub revision: i32,
    /// The current status.
    pub status: Status,
    /// The affiliate that it is attributed to.
    pub affiliate_id: AffiliateId,
    /// The link.
    pub link_id: Option<LinkId>,
    /// The click.
    pub click_id: Option<ClickId>,
    /// The evidence that decided.
    pub attributed_by: Evidence,
    /// Further evidence, and the rule that changed the conversion.
    pub trace: Trace,
    /// The goal.
    pub goal: Option<String>,
    /// The amount of the sale.
    pub sale: Option<Money>,
    /// What the affiliate earns.
    pub payout: Option<Money>,
    /// What the advertiser pays.
    pub revenue: Option<Money>,
    /// Who bought what.
    pub buyer: Buyer,
    /// The source that reported it; `None` for the API.
    pub reporter: Option<Reporter>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The source that reported a conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reporter {
    /// The source.
    pub source_id: SourceId,
    /// Whether the source belongs to an affiliate: its conversions are shown, but the program owes nothing for them.
    pub is_affiliate: bool,
}

/// The key of a transaction within its offer. An affiliate's source has its own name space: it can neither change nor
/// block the transactions of others.
pub fn transaction_key(transaction_id: &str, reporter: Option<Reporter>) -> String {
    match reporter {
        Some(Reporter { source_id, is_affiliate: true }) => format!("{transaction_id}{KEY_SEPARATOR}{source_id}"),
        _ => transaction_id.to_owned(),
    }
}

/// The keys that affiliates' own sources give to a transaction id: from the first, inclusive, to the second, exclusive,
/// by their bytes.
pub fn keys_of_sources(transaction_id: &str) -> (String, String) {
    let end = char::from(KEY_SEPARATOR as u8 + 1);
    (format!("{transaction_id}{KEY_SEPARATOR}"), format!("{transaction_id}{end}"))
}

/// The transaction id in a transaction key.
pub fn transaction_id_in(key: &str) -> &str {
    key.split_once(KEY_SEPARATOR).map_or(key, |(transaction_id, _)| transaction_id)
}

/// Transaction ids contain no control characters.
const KEY_SEPARATOR: char = '\u{1f}';

/// Who bought what, as the advertiser reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buyer {
    /// The advertiser's own id of the customer.
    pub customer_id: Option<String>,
    /// The customer's name.
    pub customer_name: Option<String>,
    /// The customer's e-mail address.
    pub customer_email: Option<String>,
    /// Name of the plan or product.
    pub plan_name: Option<String>,
    /// Price of the plan or product, in the conversion's currency.
    pub plan_price: Option<Amount>,
    /// The advertiser's id of the purchase.
    pub purchase_id: Option<String>,
    /// When the purchase was made.
    pub purchase_date: Option<Timestamp>,
}

impl Buyer {
    /// Whether the buyer is the affiliate with this e-mail address, and the terms don't allow that.
    pub fn is_affiliate(&self, email: &str, terms: &AttributionTerms) -> bool {
        terms.self_referral == SelfReferral::Reject
            && self.customer_email.as_deref().is_some_and(|buyer| normal_email(buyer) == normal_email(email))
    }
}

/// The amounts of a conversion, which a later notification can correct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// The amount of the sale.
    pub sale: Option<Money>,
    /// What the affiliate earns.
    pub payout: Option<Money>,
    /// What the advertiser pays.
    pub revenue: Option<Money>,
}

/// Whether a command changed anything. Repeating a command has no effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Applied {
    /// The command was applied.
    Now {
        /// The status before; equal to the current one if only amounts were corrected.
        previous: Status,
    },
    /// The conversion was in that state before.
    Already,
}

/// The status of a conversion does not allow the change.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IllegalMove {
    /// It is rejected.
    #[error(
        "conversion {id} is already rejected ({reason}); a rejection is final, report the sale again under a new transaction id"
    )]
    AlreadyRejected {
        /// The conversion.
        id: ConversionId,
        /// Why it was rejected.
        reason: String,
    },
    /// It is approved and can't become pending.
    #[error(
        "conversion {id} is already approved and can't go back to pending; reject it with a reason to take it back"
    )]
    AlreadyApproved {
        /// The conversion.
        id: ConversionId,
    },
}

impl IllegalMove {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyRejected { .. } => "conversion_already_rejected",
            Self::AlreadyApproved { .. } => "conversion_already_approved",
        }
    }
}

impl Conversion {
    /// See [`transaction_key`].
    pub fn transaction_key(&self) -> String {
        transaction_key(&self.transaction_id, self.reporter)
    }

    /// Whether an affiliate's own source reported it.
    pub fn is_self_reported(&self) -> bool {
        self.reporter.is_some_and(|reporter| reporter.is_affiliate)
    }

    /// Its amounts.
    pub fn figures(&self) -> Figures {
        Figures { sale: self.sale, payout: self.payout, revenue: self.revenue }
    }

    /// Applies a later notification: status and amounts. If both change, they are one revision.
    ///
    /// # Errors
    /// The current status does not allow the reported status.
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

    /// Changes the status, if the current status allows it.
    ///
    /// # Errors
    /// The current status does not allow the new status.
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

    /// The conversion before its last change of status.
    pub fn before(&self, previous: Status) -> Self {
        Self { status: previous, revision: self.revision - 1, ..self.clone() }
    }

    /// Whether its first notification named this click, even if another click counted.
    pub fn was_reported_with(&self, click: ClickId) -> bool {
        let named = |it: &Considered| it.evidence == Evidence::Click && it.value == Some(click.to_string());
        self.click_id == Some(click) || self.trace.considered.iter().any(named)
    }

    /// Applies the status of a later notification. A decision of a rule stands: the same notification again has no
    /// effect, and only a person can approve a conversion that is held.
    ///
    /// # Errors
    /// The current status does not allow the reported status.
    pub fn apply_reported_status(&mut self, reported: &Status, at: Timestamp) -> Result<Applied, IllegalMove> {
        let stands = match (&self.status, reported) {
            (Status::Rejected { reason }, _) => self.trace.ruling.is_some_and(|ruling| ruling.reason() == reason),
            (Status::Pending, Status::Approved) => {
                matches!(self.trace.ruling, Some(Ruling::OverCap | Ruling::UnknownGoal))
            }
            _ => false,
        };
        if stands { Ok(Applied::Already) } else { self.change_status(reported, at) }
    }

    /// Rejects a new conversion by a rule of the program, regardless of the reported status.
    pub fn reject_by(&mut self, ruling: Ruling) {
        self.trace.ruling = Some(ruling);
        self.status = Status::Rejected { reason: ruling.reason().to_owned() };
    }

    /// Holds a new conversion by a rule of the program until a person approves it, regardless of the reported status.
    pub fn hold_by(&mut self, ruling: Ruling) {
        self.trace.ruling = Some(ruling);
        self.status = Status::Pending;
    }

    /// Applies a cap without room to a new conversion.
    pub fn apply_over_cap(&mut self, over: OverCap) {
        match over {
            OverCap::Reject => self.reject_by(Ruling::OverCap),
            OverCap::Hold => self.status = Status::Pending,
            OverCap::Unpaid => self.payout = self.payout.map(|payout| Money { micros: 0, ..payout }),
        }
        self.trace.ruling = Some(Ruling::OverCap);
    }

    /// Whether a cap removed its payout.
    pub fn is_unpaid(&self) -> bool {
        self.trace.ruling == Some(Ruling::OverCap) && self.payout.is_none_or(|payout| payout.micros == 0)
    }

    /// Whether the caps of its offer count it: rejected and self-reported conversions don't count.
    pub fn counts_for_caps(&self) -> bool {
        !self.is_self_reported() && !matches!(self.status, Status::Rejected { .. })
    }

    /// The key by which later conversions of the same customer find this one; `None` without a click or customer.
    pub fn customer_key(&self) -> Option<i64> {
        self.click_id.filter(|_| !self.is_self_reported())?;
        customer_key(self.offer_id, self.buyer.customer_id.as_deref(), self.buyer.customer_email.as_deref())
    }
}

/// Test data.
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
    fn notifications_do_not_undo_the_decision_of_a_rule() {
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
    fn every_change_is_applied_repeated_or_refused() {
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
