//! Reports: what a network told a source, in its own words, and what becomes of it.
//!
//! Every way in which a report can fail to become a conversion has a code and a sentence here, and the code
//! decides the outcome. Nothing is dropped in silence.

mod amounts;
mod command;
mod issue;
mod placeholders;
mod reference;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::amounts::Currency;
use crate::ids::{ClickId, InboundRequestId, SourceId};

use super::source::{Amounts, CommissionIs};

pub use command::{Fingerprints, Matched, Target};
pub use issue::Issue;
pub use placeholders::is_literal_macro;
pub use reference::ClickReference;

use placeholders::is_test_word;

/// Shorter prefixes of a click id say no more than its day or minute.
pub const PREFIX_MIN_CHARS: usize = 10;
/// How long a report waits for its click or conversion.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);
/// How long a report waits until somebody says what its status word means.
pub const PATIENCE_FOR_PEOPLE: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3_600);
/// How long the same request, letter for letter, is a network's second try and not a second sale.
pub const SECOND_TRY: std::time::Duration = std::time::Duration::from_secs(10 * 60);

/// What became of a request or of one report in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is a conversion now, or changed one.
    Accepted,
    /// It had been accepted before.
    Duplicate,
    /// It is tried again by itself.
    Waiting,
    /// It reports nothing: a test, an empty request, a status to be ignored.
    Ignored,
    /// It can't be taken as it is.
    Refused,
    /// Something broke, or it waited too long; replay it after the fix.
    Failed,
}

text_enum!(Outcome {
    Accepted => "accepted",
    Duplicate => "duplicate",
    Waiting => "waiting",
    Ignored => "ignored",
    Refused => "refused",
    Failed => "failed",
});

impl Outcome {
    /// Of a request with several reports: what asks for attention comes first.
    pub fn of_all(outcomes: impl IntoIterator<Item = Self>) -> Option<Self> {
        use Outcome::{Accepted, Duplicate, Failed, Ignored, Refused, Waiting};
        let order = [Waiting, Failed, Refused, Accepted, Duplicate, Ignored];
        let found: Vec<_> = outcomes.into_iter().collect();
        order.into_iter().find(|outcome| found.contains(outcome))
    }
}

/// One notification, with the raw values of the network that the adapter found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    pub transaction_id: Option<String>,
    pub click_id: Option<String>,
    pub goal: Option<String>,
    pub status: Option<String>,
    pub rejection_reason: Option<String>,
    pub payout: Option<NotificationAmount>,
    pub revenue: Option<NotificationAmount>,
    pub sale: Option<NotificationAmount>,
    pub occurred_at: Option<String>,
    pub attributes: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationAmount {
    pub text: String,
    pub currency: Option<String>,
}

impl Notification {
    /// The notification with trimmed values and without empty ones. Placeholders that the network did not fill are an error.
    pub fn validated(mut self) -> Result<Self, Issue> {
        let mut literals = Vec::new();
        for (field, word, max) in [
            ("click_id", &mut self.click_id, 512),
            ("transaction_id", &mut self.transaction_id, 200),
            ("goal", &mut self.goal, 100),
            ("status", &mut self.status, 100),
            ("rejection_reason", &mut self.rejection_reason, 100),
            ("occurred_at", &mut self.occurred_at, 100),
        ] {
            *word = word.take().map(|text| plain(&text)).filter(|text| !text.is_empty());
            let Some(text) = word else { continue };
            let chars = text.chars().count();
            if chars > max {
                return Err(Issue::TooLong { field, chars, max });
            }
            if is_literal_macro(text) {
                literals.push((field, text.clone()));
            }
        }
        // An adapter may let the click id stand for a transaction id that is not there: one placeholder, told once.
        if self.click_id == self.transaction_id {
            literals.retain(|(field, _)| *field != "transaction_id");
        }
        for (field, amount) in [("payout", &mut self.payout), ("revenue", &mut self.revenue), ("sale", &mut self.sale)]
        {
            *amount = amount.take().map(NotificationAmount::plain).filter(|amount| !amount.text.is_empty());
            let Some(NotificationAmount { text, currency }) = amount else { continue };
            let words = [Some(&*text), currency.as_ref()];
            literals.extend(
                words.into_iter().flatten().filter(|word| is_literal_macro(word)).map(|text| (field, text.clone())),
            );
        }
        if !literals.is_empty() {
            return Err(Issue::LiteralMacros(literals));
        }
        self.attributes.retain(|(_, value)| !is_literal_macro(value));
        match &self.click_id {
            Some(click) if is_test_word(click) => Err(Issue::TestPing),
            None if self.transaction_id.is_none() => Err(Issue::ClickIdMissing),
            _ => Ok(self),
        }
    }

    /// An attribute that is not empty, cut to what we keep.
    pub fn attribute(&self, name: &str, max: usize) -> Option<String> {
        let found = self.attributes.iter().find(|(known, _)| known == name)?;
        let text: String = plain(&found.1).chars().take(max).collect();
        Some(text).filter(|text| !text.is_empty())
    }

    /// With the network's commission in the place where it belongs. Whoever sends the other amount as well tells them
    /// apart already.
    pub fn with_commission_as(mut self, what: CommissionIs) -> Self {
        let place = match what {
            CommissionIs::Payout => return self,
            CommissionIs::Revenue => &mut self.revenue,
            CommissionIs::Sale => &mut self.sale,
        };
        if place.is_none() {
            *place = self.payout.take();
        }
        self
    }

    /// The currency that the amounts are in; `otherwise` when neither the network nor the settings say.
    pub fn currency(&self, amounts: &Amounts, otherwise: Currency) -> Result<Currency, Issue> {
        let mut found = None;
        for word in [&self.payout, &self.revenue, &self.sale].into_iter().flatten() {
            let Some(code) = &word.currency else { continue };
            let code: Currency = code.parse().map_err(|error| Issue::InvalidCurrency(format!("{error}")))?;
            match found {
                Some(other) if other != code => return Err(Issue::TwoCurrencies(other, code)),
                _ => found = Some(code),
            }
        }
        Ok(found.or(amounts.currency).unwrap_or(otherwise))
    }
}

impl NotificationAmount {
    fn plain(self) -> Self {
        let currency = self.currency.map(|code| plain(&code)).filter(|code| !code.is_empty());
        Self { text: plain(&self.text), currency }
    }
}

/// Trimmed, and without the one character that PostgreSQL can't keep.
fn plain(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// The transaction id of a report that has none: the same for the same click and goal at the same source.
pub fn derived_transaction_id(source: SourceId, click: ClickId, goal: Option<&str>) -> String {
    format!("in-{}", &fingerprint(&[&source.to_string(), &click.to_string(), goal.unwrap_or_default()])[..24])
}

/// The transaction id of a sale that has none, where each report is a sale: its request tells it from the next.
pub fn transaction_id_of_request(
    source: SourceId,
    click: ClickId,
    goal: Option<&str>,
    request: InboundRequestId,
    place: usize,
) -> String {
    let (source, click, request, place) =
        (source.to_string(), click.to_string(), request.to_string(), place.to_string());
    format!("in-{}", &fingerprint(&[&source, &click, goal.unwrap_or_default(), &request, &place])[..24])
}

/// What makes two reports at one source the same.
pub fn fingerprint(parts: &[&str]) -> String {
    let digest = parts
        .iter()
        .fold(Sha256::new(), |digest, part| digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How long to wait before the next try.
pub fn next_try(tries: u32) -> std::time::Duration {
    std::time::Duration::from_secs(2_u64.saturating_pow(tries.clamp(1, 10)).min(900))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1_773_144_000_000);

    #[test]
    fn a_report_has_one_currency() {
        let word = |text: &str, code: &str| Some(NotificationAmount { text: text.into(), currency: Some(code.into()) });
        let usd: Currency = "USD".parse().unwrap();
        let it = Notification { payout: word("1", "eur"), ..Notification::default() };
        assert_eq!(it.currency(&Amounts::default(), usd).unwrap().code(), "EUR");
        let it = Notification { payout: word("1", "eur"), sale: word("1", "USD"), ..Notification::default() };
        assert_eq!(it.currency(&Amounts::default(), usd).unwrap_err().code(), "two_currencies");
        let it = Notification { payout: word("1", "dollars"), ..Notification::default() };
        assert_eq!(it.currency(&Amounts::default(), usd).unwrap_err().code(), "invalid_currency");
        let gbp = Amounts { currency: "GBP".parse().ok(), ..Amounts::default() };
        assert_eq!(Notification::default().currency(&gbp, usd).unwrap().code(), "GBP");
    }

    #[test]
    fn tests_and_nothing_are_recognised() {
        let code = |click: &str, transaction: &str| {
            let word = |text: &str| Some(text.to_owned());
            let it =
                Notification { click_id: word(click), transaction_id: word(transaction), ..Notification::default() };
            it.validated().err().map_or("", |issue| issue.code())
        };
        for test in ["test", "TEST", "test123", "test_click_id", "testing", "ping"] {
            assert_eq!(code(test, "1"), "test_ping", "{test}");
        }
        assert_eq!(code("testimonial-7", "1"), "");
        assert_eq!(code("  ", ""), "no_click_id");
        assert_eq!(code("", "T-1"), "");
        assert_eq!(code("x", &"t".repeat(201)), "too_long");
    }

    #[test]
    fn every_placeholder_that_was_not_filled_in_is_named() {
        let amount =
            |text: &str, code: &str| Some(NotificationAmount { text: text.into(), currency: Some(code.into()) });
        let it = Notification {
            click_id: Some("{sub1}".into()),
            transaction_id: Some("{sub1}".into()),
            status: Some("#status#".into()),
            payout: amount("[sum]", "[cur]"),
            ..Notification::default()
        };
        let issue = it.validated().unwrap_err();
        assert_eq!(issue.code(), "unreplaced_macro");
        let named = "click_id ({sub1}), status (#status#), payout ([sum]) and payout ([cur])";
        assert!(issue.to_string().contains(named), "{issue}");
        let it = Notification {
            click_id: Some("06a5".into()),
            transaction_id: Some("{tid}".into()),
            ..Notification::default()
        };
        assert!(it.validated().unwrap_err().to_string().contains("fill in transaction_id ({tid});"));
    }

    #[test]
    fn a_commission_goes_where_it_belongs_unless_the_network_tells_them_apart() {
        let word = |text: &str| Some(NotificationAmount { text: text.into(), currency: None });
        let it = Notification { payout: word("3"), ..Notification::default() };
        let as_revenue = it.clone().with_commission_as(CommissionIs::Revenue);
        assert_eq!((as_revenue.payout, as_revenue.revenue), (None, word("3")));
        assert_eq!(it.clone().with_commission_as(CommissionIs::Sale).sale, word("3"));
        assert_eq!(it.clone().with_commission_as(CommissionIs::Payout), it);
        let both = Notification { revenue: word("5"), ..it };
        assert_eq!(both.clone().with_commission_as(CommissionIs::Revenue), both);
    }

    #[test]
    fn a_derived_transaction_is_the_same_for_the_same_click_and_goal_only() {
        let (source, click) = (SourceId::new(NOW), ClickId::new(NOW));
        let id = derived_transaction_id(source, click, Some("lead"));
        assert_eq!(id, derived_transaction_id(source, click, Some("lead")));
        assert_ne!(id, derived_transaction_id(source, click, None));
        assert_ne!(id, derived_transaction_id(SourceId::new(NOW), click, Some("lead")));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
