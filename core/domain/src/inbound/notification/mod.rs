//! Inbound notifications: the raw fields that a network sent to a source, and the result.
//!
//! Every reason why a notification does not become a conversion has a code and a sentence here, and the code decides
//! the outcome. Nothing is dropped silently.

mod amounts;
mod command;
mod issue;
mod note;
mod placeholders;
mod reference;
mod time;

use postrider_sdk::marks::{is_id_name, is_unreplaced};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::amounts::Currency;
use crate::ids::{ClickId, InboundRequestId, SourceId};

use crate::tracking::transaction::{is_no_goal, is_no_id};

use super::source::{AmountNotation, Amounts, CommissionIs};

pub use command::{Matched, Sale};
pub use issue::Issue;
pub use note::Note;
pub use reference::ClickReference;

use placeholders::is_test_word;

/// The fewest characters by which a click is found. A shorter prefix of a click id only contains its day or minute.
pub const PREFIX_MIN_CHARS: usize = 10;
/// How long a notification waits for its click or conversion.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);
/// How long a notification waits for a meaning of its status word, or for its adapter.
pub(crate) const PATIENCE_FOR_PEOPLE: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3_600);
/// A byte-identical request within this time is a retry of the network, not a second sale.
pub const SECOND_TRY: std::time::Duration = std::time::Duration::from_secs(10 * 60);
/// The same for payments of a subscription: they are a day apart or more, and networks try again for hours.
pub const SECOND_TRY_OF_PAYMENT: std::time::Duration = std::time::Duration::from_secs(12 * 3_600);

/// The outcome of a request or of one notification in it. `accepted`: it created or changed a conversion. `duplicate`:
/// the same notification was accepted before. `waiting`: something is missing, and it is processed again automatically.
/// `ignored`: it reports no conversion, such as a test, an empty request, or a status that is ignored. `refused`: it is
/// invalid, or a guard refused it. `failed`: an error occurred, or it waited too long; replay it after the cause is
/// fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InboundOutcome)]
pub enum Outcome {
    /// It created or changed a conversion.
    Accepted,
    /// The same notification was accepted before.
    Duplicate,
    /// It is processed again automatically.
    Waiting,
    /// It reports no conversion: a test, an empty request, or a status that is ignored.
    Ignored,
    /// It is invalid.
    Refused,
    /// An error occurred, or it waited too long. Replay it after the cause is fixed.
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
    /// The outcome of a request with several notifications: the most important one. `None` if there are none.
    pub(crate) fn of_all(outcomes: impl IntoIterator<Item = Self>) -> Option<Self> {
        use Outcome::{Accepted, Duplicate, Failed, Ignored, Refused, Waiting};
        let order = [Waiting, Failed, Refused, Accepted, Duplicate, Ignored];
        let found: Vec<_> = outcomes.into_iter().collect();
        order.into_iter().find(|outcome| found.contains(outcome))
    }
}

/// The raw fields of one notification, as the adapter found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// The network's transaction id.
    pub transaction_id: Option<String>,
    /// The click id, or the session id of a tracker.
    pub click_id: Option<String>,
    /// The goal.
    pub goal: Option<String>,
    /// The network's status word.
    pub status: Option<String>,
    /// The network's reason for a rejection.
    pub rejection_reason: Option<String>,
    /// What the affiliate earns, or the network's commission.
    pub payout: Option<NotificationAmount>,
    /// What the advertiser or network pays to the program.
    pub revenue: Option<NotificationAmount>,
    /// The amount of the sale.
    pub sale: Option<NotificationAmount>,
    /// The time of the sale, as the network wrote it.
    pub occurred_at: Option<String>,
    /// Names and values of other fields.
    pub attributes: Vec<(String, String)>,
}

/// An amount as the network wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationAmount {
    /// The number, as the network wrote it.
    pub text: String,
    /// The currency code.
    pub currency: Option<String>,
    /// What the settings of the source say about this amount.
    pub notation: AmountNotation,
}

impl Notification {
    /// The notification with trimmed values and without empty ones, nor ids such as `null`, and what was left out.
    /// Placeholders that the network did not fill are an error.
    pub fn validated(mut self) -> Result<(Self, Vec<Note>), Issue> {
        let (mut literals, mut notes) = (Vec::new(), Vec::new());
        for (field, word, max) in [
            ("click_id", &mut self.click_id, 2_048),
            ("transaction_id", &mut self.transaction_id, 200),
            ("goal", &mut self.goal, 100),
            ("status", &mut self.status, 100),
            ("rejection_reason", &mut self.rejection_reason, 100),
            ("occurred_at", &mut self.occurred_at, 100),
        ] {
            *word = word.take().map(|text| plain(&text)).filter(|text| !text.is_empty());
            let Some(text) = word else { continue };
            let stands_for_nothing = match field {
                "click_id" | "transaction_id" => is_no_id(text),
                "goal" => is_no_goal(text),
                _ => false,
            };
            if stands_for_nothing {
                notes.push(Note::left_out(field, format!("\"{text}\" stands for none")));
                *word = None;
                continue;
            }
            let chars = text.chars().count();
            match field {
                _ if chars <= max => {}
                "rejection_reason" => {
                    notes.push(Note::Shortened { field, chars, max });
                    *text = text.chars().take(max).collect();
                }
                "occurred_at" => {
                    notes.push(Note::left_out(field, format!("it has {chars} characters, and no time is that long")));
                    *word = None;
                    continue;
                }
                _ => return Err(Issue::TooLong { field, chars, max }),
            }
            let names_an_id = matches!(field, "click_id" | "transaction_id") && is_id_name(text);
            if names_an_id || is_unreplaced(text) {
                literals.push((field, text.clone()));
            }
        }
        // An adapter may use the click id as the transaction id; the same placeholder is then reported once.
        if self.click_id == self.transaction_id {
            literals.retain(|(field, _)| *field != "transaction_id");
        }
        for (field, amount) in [("payout", &mut self.payout), ("revenue", &mut self.revenue), ("sale", &mut self.sale)]
        {
            *amount = amount.take().map(NotificationAmount::plain).filter(|amount| !is_no_goal(&amount.text));
            let Some(NotificationAmount { text, currency, .. }) = amount else { continue };
            let words = [Some(&*text), currency.as_ref()];
            literals.extend(
                words.into_iter().flatten().filter(|word| is_unreplaced(word)).map(|text| (field, text.clone())),
            );
        }
        if !literals.is_empty() {
            return Err(Issue::LiteralMacros(literals));
        }
        self.attributes.retain(|(_, value)| !is_unreplaced(value));
        match &self.click_id {
            Some(click) if is_test_word(click) => Err(Issue::TestPing),
            None if self.transaction_id.is_none() => Err(Issue::ClickIdMissing),
            _ => Ok((self, notes)),
        }
    }

    /// A non-empty attribute, cut to `max` characters.
    pub fn attribute(&self, name: &str, max: usize) -> Option<String> {
        let found = self.attributes.iter().find(|(known, _)| known == name)?;
        let text: String = plain(&found.1).chars().take(max).collect();
        let is_nothing = |text: &str| if name.ends_with("_id") { is_no_id(text) } else { text.is_empty() };
        Some(text).filter(|text| !is_nothing(text))
    }

    /// Applies what the settings of the source say about single amounts.
    pub fn with_notations(mut self, amounts: &Amounts) -> Self {
        let all =
            [(&mut self.sale, amounts.sale), (&mut self.payout, amounts.payout), (&mut self.revenue, amounts.revenue)];
        for (amount, notation) in all {
            if let (Some(amount), Some(notation)) = (amount, notation) {
                amount.notation = notation;
            }
        }
        self
    }

    /// Moves the network's commission to the field that `what` names, unless that field has an amount of its own.
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
}

impl NotificationAmount {
    fn plain(self) -> Self {
        let currency = self.currency.map(|code| plain(&code)).filter(|code| !is_no_goal(code));
        Self { text: plain(&self.text), currency, notation: self.notation }
    }

    /// The currency that the network names for it.
    ///
    /// # Errors
    /// It can't be read.
    pub fn currency(&self) -> Result<Option<Currency>, Issue> {
        let Some(code) = &self.currency else { return Ok(None) };
        // Roubles had this code until 1998, and some networks still write it.
        let code = if code.eq_ignore_ascii_case("RUR") { "RUB" } else { code };
        code.parse().map(Some).map_err(|error| Issue::InvalidCurrency(format!("{error}")))
    }
}

/// Trimmed, and without NUL characters, which PostgreSQL can't store.
fn plain(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// The transaction id of a notification without one: the same for the same click and goal at the same source.
pub fn derived_transaction_id(source: SourceId, click: ClickId, goal: Option<&str>) -> String {
    format!("in-{}", &fingerprint(&[&source.to_string(), &click.to_string(), goal.unwrap_or_default()])[..24])
}

/// Whether a transaction id was derived, because the network sent none.
pub fn is_derived(transaction_id: &str) -> bool {
    let hash = transaction_id.strip_prefix("in-").unwrap_or_default();
    hash.len() == 24 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The transaction id of a notification without one if each notification is a sale: it differs by request and by
/// `place`, the position in the request.
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

/// A hash in hexadecimal by which equal notifications at one source are found.
pub fn fingerprint(parts: &[&str]) -> String {
    let digest = parts
        .iter()
        .fold(Sha256::new(), |digest, part| digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The wait after the `tries`-th try: 2 s, doubled each time, up to 900 s.
pub(crate) fn next_try(tries: u32) -> std::time::Duration {
    std::time::Duration::from_secs(2_u64.saturating_pow(tries.clamp(1, 10)).min(900))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1_773_144_000_000);

    #[test]
    fn a_currency_is_named_in_any_case() {
        let amount = |code: Option<&str>| NotificationAmount {
            text: "1".into(),
            currency: code.map(str::to_owned),
            notation: AmountNotation::default(),
        };
        assert_eq!(amount(Some("eur")).currency(), Ok("EUR".parse().ok()));
        assert_eq!(amount(Some("rur")).currency(), Ok("RUB".parse().ok()));
        assert_eq!(amount(Some("dollars")).currency().unwrap_err().code(), "invalid_currency");
        assert_eq!(amount(None).currency(), Ok(None));
    }

    #[test]
    fn tests_and_missing_ids_are_recognized() {
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
    fn ids_that_stand_for_nothing_and_side_fields_that_are_too_long_do_not_refuse_a_notification() {
        let word = |text: &str| Some(text.to_owned());
        let it = Notification {
            click_id: word("c1"),
            transaction_id: word(" NULL "),
            goal: word("undefined"),
            rejection_reason: Some("r".repeat(150)),
            occurred_at: Some("t".repeat(150)),
            attributes: vec![("customer_id".into(), "0".into()), ("customer_name".into(), "Null".into())],
            ..Notification::default()
        };
        let (it, notes) = it.validated().unwrap();
        assert_eq!((&it.transaction_id, &it.goal, &it.occurred_at), (&None, &None, &None));
        assert_eq!(it.rejection_reason, Some("r".repeat(100)));
        assert_eq!((it.attribute("customer_id", 200), it.attribute("customer_name", 200)), (None, word("Null")));
        let flags: Vec<_> = notes.iter().map(Note::flag).collect();
        assert_eq!(flags, ["left_out", "left_out", "shortened", "left_out"]);
        assert_eq!(notes[0].to_string(), "transaction_id was left out: \"NULL\" stands for none");
        // A goal may have the number 0.
        let it = Notification { click_id: word("c1"), goal: word("0"), ..Notification::default() };
        assert_eq!(it.validated().unwrap().0.goal, word("0"));
    }

    #[test]
    fn every_placeholder_that_was_not_filled_in_is_named() {
        let amount = |text: &str, code: &str| {
            Some(NotificationAmount {
                text: text.into(),
                currency: Some(code.into()),
                notation: AmountNotation::default(),
            })
        };
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
        let word = |text: &str| {
            Some(NotificationAmount { text: text.into(), currency: None, notation: AmountNotation::default() })
        };
        let it = Notification { payout: word("3"), ..Notification::default() };
        let as_revenue = it.clone().with_commission_as(CommissionIs::Revenue);
        assert_eq!((as_revenue.payout, as_revenue.revenue), (None, word("3")));
        assert_eq!(it.clone().with_commission_as(CommissionIs::Sale).sale, word("3"));
        assert_eq!(it.clone().with_commission_as(CommissionIs::Payout), it);
        let both = Notification { revenue: word("5"), ..it };
        assert_eq!(both.clone().with_commission_as(CommissionIs::Revenue), both);
    }

    #[test]
    fn a_derived_transaction_id_depends_on_source_click_and_goal() {
        let (source, click) = (SourceId::new(NOW), ClickId::new(NOW));
        let id = derived_transaction_id(source, click, Some("lead"));
        assert_eq!(id, derived_transaction_id(source, click, Some("lead")));
        assert_ne!(id, derived_transaction_id(source, click, None));
        assert_ne!(id, derived_transaction_id(SourceId::new(NOW), click, Some("lead")));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
