//! Conversions: pending → approved or rejected(reason); approved → rejected (a chargeback). A rejection is final for
//! reports; a person can approve a rejected conversion.
//!
//! A conversion is identified within its offer by the advertiser's transaction id and the goal: see
//! [`super::transaction`]. Every change of its status and every correction of its amounts is a new revision; everything
//! else is immutable.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::amounts::{Amount, Currency, Money};
use crate::ids::{AffiliateId, ClickId, ConversionId, LinkId, OfferId, SourceId};
use crate::program::buyer_visibility::{BuyerData, BuyerVisibility, Personal};
use crate::program::cap::{Caps, OverCap};
use crate::program::sub_affiliate::Commission;
use crate::timestamp::Timestamp;

use super::attribution::{
    AttributionTerms, Considered, Evidence, Ruling, SelfReferral, Trace, customer_key, normal_email,
};
use super::transaction::agreed_terms::AgreedTerms;
use super::transaction::payment::Payment;
use super::transaction::refund::Refunds;

/// The status of a conversion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
#[schema(as = ConversionStatusWithReason)]
pub enum Status {
    /// Waits for a decision.
    Pending,
    /// The affiliate earns its payout.
    Approved,
    /// It earns nothing. Only a person can approve it.
    Rejected {
        /// The reason of the rejection.
        #[serde(rename = "rejection_reason")]
        reason: String,
    },
}

impl Status {
    /// The status of a sale that was refunded in full.
    pub fn refunded() -> Self {
        Self::Rejected { reason: "refund".into() }
    }

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
    /// What a person added to the reason of the rejection, for the affiliate.
    pub rejection_note: Option<String>,
    /// Who bought what.
    pub buyer: Buyer,
    /// The source that reported it; `None` for the API.
    pub reporter: Option<Reporter>,
    /// Whether another source of the program had used the transaction id for another click, so that its own source
    /// numbers it. It never changes.
    pub numbered_apart: bool,
    /// Who tries something out with it; `None` for a real conversion. It never changes.
    pub test: Option<Tester>,
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

/// Who tries something out with a test conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tester {
    /// The program: every postback whose rule matches is sent.
    Program,
    /// An affiliate, with a click of its own: only its own postbacks are sent.
    Affiliate(AffiliateId),
}

/// The key of a transaction within its offer. An affiliate's source has its own name space: it can neither change nor
/// block the transactions of others. The same applies to the tests of the program and of each affiliate.
pub fn transaction_key(transaction_id: &str, reporter: Option<Reporter>, test: Option<Tester>) -> String {
    match (test, reporter) {
        (Some(Tester::Program), _) => format!("{transaction_id}{KEY_SEPARATOR}{TEST}"),
        (Some(Tester::Affiliate(id)), _) => format!("{transaction_id}{KEY_SEPARATOR}{TEST}{KEY_SEPARATOR}{id}"),
        (None, Some(Reporter { source_id, is_affiliate: true })) => {
            format!("{transaction_id}{KEY_SEPARATOR}{source_id}")
        }
        (None, _) => transaction_id.to_owned(),
    }
}

/// The keys that a transaction id has in the name spaces of affiliates' own sources and of tests: from the first,
/// inclusive, to the second, exclusive, by their bytes.
pub fn keys_of_name_spaces(transaction_id: &str) -> (String, String) {
    let end = char::from(KEY_SEPARATOR as u8 + 1);
    (format!("{transaction_id}{KEY_SEPARATOR}"), format!("{transaction_id}{end}"))
}

/// A number for a transaction key, for locks. Two keys with the same number only wait for each other.
pub fn key_number(key: &str) -> i64 {
    i64::from_be_bytes(Sha256::digest(key)[..8].try_into().expect("eight bytes of thirty-two"))
}

/// The transaction id in a transaction key.
pub fn transaction_id_in(key: &str) -> &str {
    key.split_once(KEY_SEPARATOR).map_or(key, |(transaction_id, _)| transaction_id)
}

/// Who recorded the test conversion with this transaction key; `None` for the key of a real conversion.
pub fn tester_in(key: &str) -> Option<Tester> {
    let (_, name_space) = key.split_once(KEY_SEPARATOR)?;
    match name_space.split_once(KEY_SEPARATOR) {
        Some((TEST, affiliate)) => affiliate.parse().ok().map(Tester::Affiliate),
        None if name_space == TEST => Some(Tester::Program),
        _ => None,
    }
}

/// Transaction ids contain no control characters.
const KEY_SEPARATOR: char = '\u{1f}';
/// The name space of tests. Those of sources begin with the prefix of their ids.
const TEST: &str = "test";

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
    /// Whether both are the same customer: by the advertiser's id, else by e-mail.
    pub fn is_same_customer(&self, other: &Self) -> bool {
        match (&self.customer_id, &other.customer_id) {
            (Some(this), Some(other)) => this == other,
            _ => {
                let address = |it: &Self| it.customer_email.as_deref().map(normal_email);
                address(self).is_some() && address(self) == address(other)
            }
        }
    }

    /// Whether the customer can be recognised.
    pub fn is_known(&self) -> bool {
        self.customer_id.is_some() || self.customer_email.is_some()
    }

    /// Whether the buyer is the affiliate with this e-mail address, and the terms don't allow that.
    pub fn is_affiliate(&self, email: &str, terms: &AttributionTerms) -> bool {
        terms.self_referral == SelfReferral::Reject
            && self.customer_email.as_deref().is_some_and(|buyer| normal_email(buyer) == normal_email(email))
    }
}

impl BuyerData for Buyer {
    /// Every field is named, so that a new one is either shown or hidden on purpose.
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        let Self { customer_id, customer_name, customer_email, plan_name, plan_price, purchase_id, purchase_date } =
            self;
        Self {
            customer_id: visibility.part(Personal::CustomerId, customer_id),
            customer_name: visibility.part(Personal::Name, customer_name),
            customer_email: visibility.part(Personal::Email, customer_email),
            plan_name,
            plan_price,
            purchase_id,
            purchase_date,
        }
    }
}

impl BuyerData for Conversion {
    fn seen_by(self, visibility: BuyerVisibility) -> Self {
        Self { buyer: self.buyer.seen_by(visibility), ..self }
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

/// The amounts of a conversion, and by what they are computed again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Amounts {
    /// The amounts.
    pub figures: Figures,
    /// The refunds that lowered them.
    pub refunds: Refunds,
    /// The terms; `None` for a conversion of an earlier release.
    pub terms: Option<AgreedTerms>,
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
        "conversion {id} is already rejected ({reason}); a person can approve it after all, and a new sale needs a transaction id of its own"
    )]
    AlreadyRejected {
        /// The conversion.
        id: ConversionId,
        /// Why it was rejected.
        reason: String,
    },
}

impl IllegalMove {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AlreadyRejected { .. } => "conversion_already_rejected",
        }
    }
}

/// The conversion is real, and a real conversion is never deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("conversion {0} is not a test, and real conversions are never deleted; reject it with a reason instead")]
pub struct NotATest(pub ConversionId);

impl NotATest {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        "not_a_test_conversion"
    }
}

impl Conversion {
    /// See [`transaction_key`].
    pub fn transaction_key(&self) -> String {
        transaction_key(&self.transaction_id, self.reporter, self.test)
    }

    /// The source that reported it; `None` for the API.
    pub fn source(&self) -> Option<SourceId> {
        self.reporter.map(|reporter| reporter.source_id)
    }

    /// The source that numbers it, if that matters for its identity; else an empty text.
    pub fn numbered_by(&self) -> String {
        self.source().filter(|_| self.numbered_apart).map(|id| id.to_string()).unwrap_or_default()
    }

    /// Whether it tries something out: it is sent to postbacks, and counts nowhere.
    pub fn is_test(&self) -> bool {
        self.test.is_some()
    }

    /// Whether the program pays for it when it is approved: not for tests, and not if the network pays the affiliate.
    pub fn is_paid_by_program(&self) -> bool {
        !self.is_test() && !self.is_self_reported()
    }

    /// Checks that it may be deleted.
    ///
    /// # Errors
    /// It is a real conversion.
    pub fn require_test(&self) -> Result<(), NotATest> {
        if self.is_test() { Ok(()) } else { Err(NotATest(self.id)) }
    }

    /// Whether an affiliate's own source reported it.
    pub fn is_self_reported(&self) -> bool {
        self.reporter.is_some_and(|reporter| reporter.is_affiliate)
    }

    /// The currency of its amounts.
    pub fn currency(&self) -> Option<Currency> {
        self.sale.or(self.revenue).or(self.payout).map(|money| money.currency)
    }

    /// Its amounts.
    pub fn figures(&self) -> Figures {
        Figures { sale: self.sale, payout: self.payout, revenue: self.revenue }
    }

    /// Its amounts, and by what they are computed again.
    pub fn amounts(&self) -> Amounts {
        Amounts { figures: self.figures(), refunds: self.trace.refunds.clone(), terms: self.trace.terms.clone() }
    }

    /// Applies a later notification: status and amounts. If both change, they are one revision. With a status that comes
    /// late, the amounts come late, too.
    ///
    /// # Errors
    /// The current status does not allow the reported status.
    pub fn apply_report(
        &mut self,
        (wanted, may_reopen): (&Status, bool),
        amounts: Amounts,
        at: Timestamp,
    ) -> Result<Applied, IllegalMove> {
        let is_late = self.is_late(wanted);
        let applied = self.apply_reported_status(wanted, may_reopen, at)?;
        if amounts.figures == self.figures() || is_late {
            return Ok(applied);
        }
        Figures { sale: self.sale, payout: self.payout, revenue: self.revenue } = amounts.figures;
        self.trace.refunds = amounts.refunds;
        self.trace.terms = amounts.terms;
        if applied == Applied::Already {
            self.revision += 1;
            self.updated_at = at;
            return Ok(Applied::Now { previous: self.status.clone() });
        }
        Ok(applied)
    }

    /// Changes the status as a person decides, if the current status allows it. An approval overrules a rejection. Nothing
    /// becomes pending again.
    ///
    /// # Errors
    /// The current status does not allow the new status.
    pub fn change_status(&mut self, wanted: &Status, at: Timestamp) -> Result<Applied, IllegalMove> {
        use Status::{Approved, Pending, Rejected};
        match (&self.status, wanted) {
            (current, wanted) if current == wanted => return Ok(Applied::Already),
            (Pending, Approved | Rejected { .. }) | (Approved, Rejected { .. }) => {}
            (Rejected { reason }, Approved) => self.trace.overruled = Some(reason.clone()),
            (Rejected { reason }, Rejected { .. }) => return Err(self.already_rejected(reason)),
            (_, Pending) | (Approved, Approved) => return Ok(Applied::Already),
        }
        Ok(self.move_to(wanted, at))
    }

    fn move_to(&mut self, wanted: &Status, at: Timestamp) -> Applied {
        let previous = std::mem::replace(&mut self.status, wanted.clone());
        self.trace.rejected_by_person = false;
        self.rejection_note = None;
        self.revision += 1;
        self.updated_at = at;
        Applied::Now { previous }
    }

    /// Changes the status as [`Self::change_status`], with the note that a person adds to a rejection.
    ///
    /// # Errors
    /// The current status does not allow the new status.
    pub fn decide(&mut self, wanted: &Status, note: Option<&str>, at: Timestamp) -> Result<Applied, IllegalMove> {
        let applied = self.change_status(wanted, at)?;
        if matches!(applied, Applied::Now { .. }) && wanted.reason().is_some() {
            self.rejection_note = note.map(str::to_owned);
            self.trace.rejected_by_person = true;
        }
        Ok(applied)
    }

    /// The conversion before its last change of status.
    pub fn before(&self, previous: Status) -> Self {
        Self { status: previous, rejection_note: None, revision: self.revision - 1, ..self.clone() }
    }

    /// Whether its first notification named this click, even if another click counted.
    pub fn was_reported_with(&self, click: ClickId) -> bool {
        let named = |it: &Considered| it.evidence == Evidence::Click && it.value == Some(click.to_string());
        self.click_id == Some(click) || self.trace.considered.iter().any(named)
    }

    /// Whether a reported status precedes the current one: notifications may overtake each other.
    fn is_late(&self, reported: &Status) -> bool {
        *reported == Status::Pending && self.status != Status::Pending
    }

    /// Applies the status of a later notification. A decision of a rule or of a person stands: the same notification
    /// again has no effect, and only a person can approve a conversion that is held or rejected. A status that comes late
    /// has no effect either, nor has another reason for a rejection. A source that `may_reopen` approves a conversion that
    /// a source rejected.
    ///
    /// # Errors
    /// The current status does not allow the reported status.
    pub fn apply_reported_status(
        &mut self,
        reported: &Status,
        may_reopen: bool,
        at: Timestamp,
    ) -> Result<Applied, IllegalMove> {
        use Status::{Approved, Pending, Rejected};
        let stands = match (&self.status, reported) {
            (_, Pending) | (Rejected { .. }, Rejected { .. }) => true,
            (Rejected { reason }, Approved) => self.trace.ruling.is_some_and(|ruling| ruling.reason() == reason),
            (Pending, Approved) => {
                matches!(self.trace.ruling, Some(Ruling::OverCap | Ruling::UnknownGoal | Ruling::NoExchangeRate))
            }
            (Approved, Rejected { reason }) => self.trace.overruled.as_ref() == Some(reason),
            (Approved, Approved) | (Pending, Rejected { .. }) => false,
        };
        match (&self.status, reported) {
            _ if stands => Ok(Applied::Already),
            (Rejected { .. }, Approved) if may_reopen && !self.trace.rejected_by_person => {
                Ok(self.move_to(reported, at))
            }
            (Rejected { reason }, Approved) => Err(self.already_rejected(reason)),
            _ => self.change_status(reported, at),
        }
    }

    /// Remembers a notification of this payment that reported `status`. Returns whether it is a new one.
    pub fn remember_payment(&mut self, key: &str, status: &Status) -> bool {
        let payment = self.trace.payment.get_or_insert_with(|| Payment::counted(1));
        if payment.knows(key) {
            return false;
        }
        payment.remember(key);
        payment.awaits_approval &= *status == Status::Pending;
        true
    }

    fn already_rejected(&self, reason: &str) -> IllegalMove {
        IllegalMove::AlreadyRejected { id: self.id, reason: reason.to_owned() }
    }

    /// Rejects a new conversion by a rule of the program, regardless of the reported status.
    pub fn reject_by(&mut self, ruling: Ruling) {
        self.trace.ruling = Some(ruling);
        self.status = Status::Rejected { reason: ruling.reason().to_owned() };
    }

    /// Whether a rule of the program rejected it.
    pub fn is_rejected_by_rule(&self) -> bool {
        self.trace.ruling.is_some_and(|ruling| self.status.reason() == Some(ruling.reason()))
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
        self.trace.uncounted = over != OverCap::Unpaid;
    }

    /// Whether a cap removed its payout.
    pub fn is_unpaid(&self) -> bool {
        self.trace.ruling == Some(Ruling::OverCap) && self.payout.is_none_or(|payout| payout.micros == 0)
    }

    /// Whether the caps of its offer count it: rejected, self-reported and test conversions don't count.
    pub fn counts_for_caps(&self) -> bool {
        self.is_paid_by_program() && !matches!(self.status, Status::Rejected { .. })
    }

    /// Whether caps would count it if it were not rejected. A person who approves it makes them count it.
    pub fn is_uncounted_by(&self, caps: &Caps) -> bool {
        !caps.limits.is_empty() && self.is_paid_by_program() && !self.counts_for_caps()
    }

    /// Whether caps of its offer count it, or would count it if it were approved.
    pub fn is_capped(&self) -> bool {
        self.trace.counted.is_some() || self.trace.uncounted
    }

    /// Keeps the second-tier commissions of its first approval.
    pub fn agree_commissions(&mut self, commissions: &[Commission]) {
        if let Some(terms) = self.trace.terms.as_mut().filter(|terms| terms.commissions.is_none()) {
            terms.commissions = Some(commissions.to_vec());
        }
    }

    /// The key by which later conversions of the same customer find this one and are counted; `None` without a customer,
    /// and for tests, which attribute no real conversion.
    pub fn customer_key(&self) -> Option<i64> {
        if !self.is_paid_by_program() {
            return None;
        }
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
            rejection_note: None,
            buyer: Buyer::default(),
            reporter: None,
            numbered_apart: false,
            test: None,
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
        assert_eq!(over.apply_reported_status(&Approved, false, at), Ok(Applied::Already));
        assert_eq!(over.apply_reported_status(&rejected("fraud"), false, at), Ok(Applied::Already));
        let was = over.status.clone();
        assert_eq!(over.change_status(&Approved, at), Ok(Applied::Now { previous: was }), "a person can approve it");
        assert_eq!(over.apply_reported_status(&rejected("over cap"), false, at), Ok(Applied::Already));

        let mut held = samples::conversion();
        held.apply_over_cap(OverCap::Hold);
        assert_eq!(held.apply_reported_status(&Approved, false, at), Ok(Applied::Already));
        assert_eq!(held.apply_reported_status(&rejected("fraud"), false, at), Ok(Applied::Now { previous: Pending }));
        assert!(held.apply_reported_status(&Approved, false, at).is_err(), "that was no rule's decision");

        let mut unpaid = Conversion { status: Approved, ..samples::conversion() };
        unpaid.apply_over_cap(OverCap::Unpaid);
        assert_eq!(unpaid.payout.map(|it| it.micros), Some(0));
        assert_eq!(
            unpaid.apply_reported_status(&rejected("fraud"), false, at),
            Ok(Applied::Now { previous: Approved })
        );
    }

    #[test]
    fn a_source_that_may_reopen_takes_back_what_a_source_rejected() {
        use Status::Approved;
        let at = Timestamp::from_millis(1);
        let mut it = Conversion { status: Approved, ..samples::conversion() };
        for _ in 0..2 {
            it.apply_reported_status(&rejected("fraud"), true, at).expect("it may");
            assert_eq!(it.apply_reported_status(&Status::Pending, true, at), Ok(Applied::Already));
            let previous = rejected("fraud");
            assert_eq!(it.apply_reported_status(&Approved, true, at), Ok(Applied::Now { previous }));
        }
        assert_eq!(it.revision, 5);
        it.decide(&rejected("fraud"), None, at).expect("a person can");
        assert!(it.apply_reported_status(&Approved, true, at).is_err(), "a person decided");
        let mut over = samples::conversion();
        over.apply_over_cap(OverCap::Reject);
        assert_eq!(over.apply_reported_status(&Approved, true, at), Ok(Applied::Already), "a rule decided");
    }

    #[test]
    fn a_report_does_not_undo_the_approval_that_overruled_it() {
        let at = Timestamp::from_millis(1);
        let mut it = samples::conversion();
        for round in 0..3 {
            let previous = it.status.clone();
            assert_eq!(it.apply_reported_status(&rejected("fraud"), false, at), Ok(Applied::Now { previous }));
            assert!(it.apply_reported_status(&Status::Approved, false, at).is_err(), "only a person can");
            assert_eq!(it.change_status(&Status::Approved, at), Ok(Applied::Now { previous: rejected("fraud") }));
            assert_eq!(it.apply_reported_status(&rejected("fraud"), false, at), Ok(Applied::Already));
            assert_eq!(it.apply_reported_status(&Status::Approved, false, at), Ok(Applied::Already));
            // Another reason is another decision, as is the decision of a person.
            let previous = Status::Approved;
            assert_eq!(it.apply_reported_status(&rejected("refund"), false, at), Ok(Applied::Now { previous }));
            it.change_status(&Status::Approved, at).expect("a person can");
            assert_eq!((it.revision, &it.status), (4 * (round + 1) + 1, &Status::Approved));
        }
        let previous = Status::Approved;
        assert_eq!(it.change_status(&rejected("refund"), at), Ok(Applied::Now { previous }));
    }

    #[test]
    fn a_transaction_id_has_a_name_space_for_each_tester_and_source() {
        let at = Timestamp::from_millis(1);
        let (affiliate, source_id) = (AffiliateId::new(at), SourceId::new(at));
        let of = |source_is_affiliates: bool| Some(Reporter { source_id, is_affiliate: source_is_affiliates });
        let (program, own) = (Some(Tester::Program), Some(Tester::Affiliate(affiliate)));
        // Reporter, tester, and whether the key is in a name space.
        let table = [
            (None, None, false),
            (of(false), None, false),
            (of(true), None, true),
            (None, program, true),
            (None, own, true),
            (None, Some(Tester::Affiliate(AffiliateId::new(at))), true),
        ];
        let (first, end) = keys_of_name_spaces("T1");
        let mut keys = std::collections::BTreeSet::new();
        for (reporter, test, is_separate) in table {
            let key = transaction_key("T1", reporter, test);
            assert_eq!((transaction_id_in(&key), tester_in(&key)), ("T1", test));
            assert_eq!((first.clone()..end.clone()).contains(&key), is_separate, "{key:?}");
            keys.insert(key);
        }
        assert_eq!(keys.len(), 5, "only the program's own reports share a name space");
    }

    #[test]
    fn a_test_conversion_counts_nowhere_and_may_be_deleted() {
        let real = Conversion { click_id: Some(ClickId::new(Timestamp::from_millis(1))), ..samples::conversion() };
        let real = Conversion { buyer: Buyer { customer_id: Some("C1".into()), ..Buyer::default() }, ..real };
        for test in [Tester::Program, Tester::Affiliate(real.affiliate_id)] {
            let tried = Conversion { test: Some(test), ..real.clone() };
            for (conversion, counts) in [(&real, true), (&tried, false)] {
                assert_eq!(conversion.counts_for_caps(), counts);
                assert_eq!(conversion.customer_key().is_some(), counts);
                assert_eq!(conversion.is_paid_by_program(), counts);
                assert_eq!(conversion.require_test().is_err(), counts);
            }
        }
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
        // From, to, the result if a person decides, and the result if it is reported.
        let table = [
            (Pending, Pending, Stays, Stays),
            (Pending, Approved, Moves, Moves),
            (Pending, rejected("fraud"), Moves, Moves),
            (Approved, Pending, Stays, Stays),
            (Approved, Approved, Stays, Stays),
            (Approved, rejected("chargeback"), Moves, Moves),
            (rejected("fraud"), Pending, Stays, Stays),
            (rejected("fraud"), Approved, Moves, Refused),
            (rejected("fraud"), rejected("fraud"), Stays, Stays),
            (rejected("fraud"), rejected("duplicate"), Refused, Stays),
        ];
        let rows = table.into_iter().flat_map(|(from, to, decided, reported)| {
            [(from.clone(), to.clone(), decided, false), (from, to, reported, true)]
        });
        for (from, to, want, is_reported) in rows {
            let mut conversion = Conversion { status: from.clone(), ..samples::conversion() };
            let at = Timestamp::from_millis(1);
            let result = match is_reported {
                true => conversion.apply_reported_status(&to, false, at),
                false => conversion.change_status(&to, at),
            };
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
