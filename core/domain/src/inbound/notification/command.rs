//! The meaning of a notification: the status, the command for its conversion, and its fingerprints.

use crate::amounts::{Amount, Currency};
use crate::ids::{ClickId, ConversionId, OfferId};
use crate::inbound::source::{Source, SourceSettings};
use crate::tracking::click::Click;
use crate::tracking::conversion::{Buyer, Conversion, Reporter, Status};
use crate::tracking::conversion_command::Command;
use crate::tracking::conversion_report::{Claims, Report};

use super::{Issue, Notification, NotificationAmount, fingerprint};

/// The click or conversion to which a notification belongs.
#[derive(Debug)]
pub enum Matched {
    /// A click. Its conversion may not exist yet.
    Click {
        /// The click.
        click: Box<Click>,
        /// The click was found by the beginning of its id.
        truncated: bool,
    },
    /// A conversion, found by the network's transaction id.
    Conversion(Box<Conversion>),
}

impl Matched {
    /// The click, or the click of the conversion. `None`: the conversion has no click.
    pub fn click_id(&self) -> Option<ClickId> {
        match self {
            Self::Click { click, .. } => Some(click.id),
            Self::Conversion(conversion) => conversion.click_id,
        }
    }

    /// The conversion. `None`: the notification was matched to a click.
    pub fn conversion_id(&self) -> Option<ConversionId> {
        match self {
            Self::Click { .. } => None,
            Self::Conversion(conversion) => Some(conversion.id),
        }
    }

    /// What the notification changes. It changes only the status of a conversion that was found by its transaction id and has no
    /// click, or is rejected.
    pub fn target(&self, status: &Status) -> Target {
        match self {
            Self::Click { click, .. } => Target::Amounts { click: click.id, offer: click.offer_id },
            Self::Conversion(it) => match it.click_id {
                Some(click) if status.reason().is_none() => Target::Amounts { click, offer: it.offer_id },
                _ => Target::Status(it.id),
            },
        }
    }
}

/// What a notification changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Status and amounts of the conversion of this click.
    Amounts {
        /// The click.
        click: ClickId,
        /// The offer of the click or conversion.
        offer: OfferId,
    },
    /// The status of this conversion.
    Status(ConversionId),
}

impl Source {
    /// The reporter of conversions that this source's notifications create.
    pub fn reporter(&self) -> Reporter {
        Reporter { source_id: self.id, is_affiliate: self.affiliate_id.is_some() }
    }
}

impl Notification {
    /// The status that the settings give to the network's status word. `None`: the settings do not define this word.
    ///
    /// # Errors
    /// The settings ignore the word.
    pub fn status(&self, settings: &SourceSettings) -> Result<Option<Status>, Issue> {
        let meaning = match &self.status {
            Some(word) => settings.meaning(word),
            None => Some(settings.meaning_of_none()),
        };
        let Some(meaning) = meaning else { return Ok(None) };
        let status = meaning.status(self.rejection_reason.as_deref());
        status.map(Some).ok_or_else(|| Issue::StatusIgnored(self.status.clone().unwrap_or_else(|| "none".into())))
    }

    /// The network's own transaction id. A click id in its place is not one: networks change its case or cut it.
    pub fn own_transaction_id(&self) -> Option<&str> {
        self.transaction_id.as_deref().filter(|id| self.click_id.as_deref() != Some(*id))
    }

    /// The command for a notification of `click`. Amounts without a currency are in that of the settings, else in
    /// `offer_currency`.
    ///
    /// # Errors
    /// An amount, a currency or the time cannot be read.
    pub fn report(
        &self,
        source: &Source,
        click: ClickId,
        transaction_id: &str,
        status: Status,
        offer_currency: Currency,
    ) -> Result<Command, Issue> {
        let settings = &source.settings;
        let currency = self.currency(&settings.amounts, offer_currency)?;
        let amount = |field, amount: &Option<NotificationAmount>| {
            amount.as_ref().map(|it| settings.amounts.read(field, &it.text, currency)).transpose()
        };
        let purchase_date = match &self.occurred_at {
            Some(text) => Some(settings.time_zone.read(text).ok_or_else(|| Issue::InvalidTime(text.clone()))?),
            None => None,
        };
        Ok(Command::Report(Box::new(Report {
            claims: Claims::click(click),
            offer_id: None,
            transaction_id: transaction_id.to_owned(),
            goal: self.goal.clone(),
            status: Some(status),
            amount: amount("sale", &self.sale)?,
            currency: Some(currency),
            payout: amount("payout", &self.payout)?,
            revenue: amount("revenue", &self.revenue)?,
            buyer: Buyer {
                customer_id: self.attribute("customer_id", 200),
                customer_name: self.attribute("customer_name", 200),
                customer_email: self.attribute("customer_email", 254),
                plan_name: self.attribute("plan_name", 200),
                plan_price: None,
                purchase_id: self.attribute("purchase_id", 200),
                purchase_date,
            },
            reporter: Some(source.reporter()),
        })))
    }
}

/// By what equal notifications of one source are recognised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprints {
    /// Click, transaction, status and amounts. A notification with the same fingerprint is a repetition.
    pub exact: String,
    /// Click, transaction and status. Only the amounts of a notification with the same fingerprint may differ.
    pub status_only: String,
}

impl Fingerprints {
    /// The amounts of a rejection are not compared.
    pub fn of(click: Option<ClickId>, transaction_id: &str, command: &Command) -> Self {
        let (status, report) = match command {
            Command::ChangeStatus { status, .. } => (Some(status), None),
            Command::Report(report) => (report.status.as_ref(), Some(report)),
        };
        let click = click.map(|id| id.to_string()).unwrap_or_default();
        let mut fields = vec![click, transaction_id.to_owned(), status.map_or("none", Status::word).to_owned()];
        let status_only = fingerprint(&fields.iter().map(String::as_str).collect::<Vec<_>>());
        if let Some(it) = report.filter(|_| status.is_none_or(|status| status.reason().is_none())) {
            let amount = |amount: Option<Amount>| amount.map(|it| it.to_string()).unwrap_or_default();
            fields.extend([it.payout, it.revenue, it.amount].map(amount));
            fields.extend(it.currency.map(|it| it.to_string()));
        }
        Self { exact: fingerprint(&fields.iter().map(String::as_str).collect::<Vec<_>>()), status_only }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AffiliateId;
    use crate::inbound::source::SourceKey;
    use crate::program::offer::Terms;
    use crate::tracking::conversion::samples::conversion;
    use crate::tracking::samples;

    fn source() -> Source {
        let at = samples::AT;
        let mut source = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        source.settings.statuses = serde_json::from_value(serde_json::json!({
            "1": "approved", "2": {"status": "rejected", "reason": "fraud"}, "3": "rejected", "4": "ignored"
        }))
        .unwrap();
        source
    }

    fn rejected(reason: &str) -> Status {
        Status::Rejected { reason: reason.into() }
    }

    #[test]
    fn a_status_word_means_what_the_settings_say() {
        for (word, reason, wanted) in [
            (Some("1"), None, Ok(Some(Status::Approved))),
            (Some("2"), Some("late"), Ok(Some(rejected("fraud")))),
            (Some("3"), Some("late"), Ok(Some(rejected("late")))),
            (Some("3"), None, Ok(Some(rejected("unspecified")))),
            (Some("Pending"), None, Ok(Some(Status::Pending))),
            (None, None, Ok(Some(Status::Approved))),
            (Some("hold"), None, Ok(None)),
            (Some("4"), None, Err("status_ignored")),
        ] {
            let (status, rejection_reason) = (word.map(str::to_owned), reason.map(str::to_owned));
            let it = Notification { status, rejection_reason, ..Notification::default() };
            assert_eq!(it.status(&source().settings).map_err(|issue| issue.code()), wanted, "{word:?}");
        }
    }

    #[test]
    fn a_click_id_in_place_of_the_transaction_id_is_not_one() {
        for (click, transaction, own) in
            [("c1", Some("T-1"), Some("T-1")), ("c1", Some("c1"), None), ("c1", None, None)]
        {
            let (click_id, transaction_id) = (Some(click.to_owned()), transaction.map(str::to_owned));
            let it = Notification { click_id, transaction_id, ..Notification::default() };
            assert_eq!(it.own_transaction_id(), own);
        }
    }

    #[test]
    fn without_a_click_and_for_a_rejection_only_the_status_of_a_known_conversion_changes() {
        let click = samples::click(&samples::offer(Terms::default()));
        let found = |click_id| Matched::Conversion(Box::new(Conversion { click_id, ..conversion() }));
        for (matched, status, wanted) in [
            (found(None), Status::Approved, true),
            (found(None), rejected("fraud"), true),
            (found(Some(click.id)), Status::Approved, false),
            (found(Some(click.id)), rejected("fraud"), true),
            (Matched::Click { click: Box::new(click.clone()), truncated: false }, rejected("fraud"), false),
        ] {
            assert_eq!(matches!(matched.target(&status), Target::Status(_)), wanted, "{matched:?}");
        }
    }

    #[test]
    fn equal_notifications_have_equal_fingerprints() {
        let (source, click) = (source(), samples::click(&samples::offer(Terms::default())).id);
        let of = |payout: &str, transaction: &str, status: Status| {
            let payout = Some(NotificationAmount { text: payout.into(), currency: None });
            let it = Notification { payout, ..Notification::default() };
            let command = it.report(&source, click, transaction, status, "USD".parse().unwrap()).unwrap();
            Fingerprints::of(Some(click), transaction, &command)
        };
        let first = of("5", "T-1", Status::Approved);
        // Other notifications, and whether the exact fingerprint and that of the status are equal.
        for (other, exact, status_only) in [
            (of("5.00", "T-1", Status::Approved), true, true),
            (of("6", "T-1", Status::Approved), false, true),
            (of("5", "T-1", Status::Pending), false, false),
            (of("5", "T-2", Status::Approved), false, false),
        ] {
            assert_eq!((first.exact == other.exact, first.status_only == other.status_only), (exact, status_only));
        }
        let (one, other) = (of("5", "T-1", rejected("fraud")), of("6", "T-1", rejected("late")));
        assert_eq!(one, other, "the amounts and the reason of a rejection are not compared");
        assert_eq!(one.exact, one.status_only);
    }
}
