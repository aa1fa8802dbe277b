//! Reports: what a network told a source, in its own words, and what becomes of it.
//!
//! Every way in which a report can fail to become a conversion has a code and a sentence here, and the code
//! decides the outcome. Nothing is dropped in silence.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::ids::{self, ClickId, SourceId};
use crate::money::{Amount, Currency, InvalidAmount};

use super::source::{Amounts, Decimal, Unit};

/// Shorter prefixes of a click id say no more than its day or minute.
pub const PREFIX_MIN_CHARS: usize = 10;
/// How long a report waits for its click or conversion.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);
/// How long a report waits until somebody says what its status word means.
pub const PATIENCE_FOR_PEOPLE: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3_600);

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

/// One report in the network's own words, as the adapter found them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub transaction_id: Option<String>,
    pub click_id: Option<String>,
    pub goal: Option<String>,
    pub status: Option<String>,
    pub rejection_reason: Option<String>,
    pub payout: Option<AmountWords>,
    pub revenue: Option<AmountWords>,
    pub sale: Option<AmountWords>,
    pub occurred_at: Option<String>,
    pub attributes: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmountWords {
    pub text: String,
    pub currency: Option<String>,
}

/// Why a report is no conversion (yet).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Issue {
    #[error(
        "the request has no parameters; the address works, and the network must call it with the click id and the amount"
    )]
    EmptyRequest,
    #[error("the request is a test of the address and reports nothing; the address works")]
    TestPing,
    #[error("the adapter found nothing in the request to report: {0}")]
    NothingReported(String),
    #[error("the settings of this source say to ignore the status \"{0}\"")]
    StatusIgnored(String),

    #[error(
        "the report has no click id; check that the affiliate link passes the click id to the network, and that the network sends it back in the parameter that this source reads"
    )]
    ClickIdMissing,
    #[error(
        "{field} is {text}, a placeholder that the network did not fill in; check how the network spells it, with its brackets and its case"
    )]
    LiteralMacro { field: &'static str, text: String },
    #[error(
        "\"{0}\" never was a click id of ours; the network may send its own id: have it send the sub id that carries ours"
    )]
    ForeignClickId(String),
    #[error(
        "\"{text}\" is the beginning of a click id, cut off after {kept} of 26 characters; at least {PREFIX_MIN_CHARS} are needed to find the click, so use a sub id that holds all of it"
    )]
    ClickIdTooShort { text: String, kept: usize },
    #[error(
        "\"{0}\" is the beginning of more than one click id; the network cuts it off, so use a sub id that holds all 26 characters"
    )]
    ClickIdAmbiguous(String),
    #[error(
        "click {0} came over a link of another affiliate, and this source takes reports of its own affiliate's clicks only; give the network the address of the other's source"
    )]
    ClickOfAnother(String),
    #[error(
        "there is no click {0} yet; it is looked for again for 24 hours. If it stays so, check that the network sends back the value it got"
    )]
    ClickNotThere(String),
    #[error(
        "the report has no click id, and there is no conversion with the transaction id \"{0}\" yet; it is looked for again for 24 hours"
    )]
    ConversionNotThere(String),
    #[error(
        "the report has no click id, and several conversions have the transaction id \"{0}\"; have the network send the click id too"
    )]
    ConversionAmbiguous(String),
    #[error(
        "nobody has said what the status \"{0}\" means; map it in the statuses of this source, and what waits is taken at once"
    )]
    StatusUnknown(String),

    #[error("{field}: {why}")]
    InvalidAmount { field: &'static str, why: String },
    #[error("{0}")]
    InvalidCurrency(String),
    #[error("the amounts are in {0} and {1}; a report has one currency")]
    TwoCurrencies(Currency, Currency),
    #[error(
        "\"{0}\" is not a time; the network must send RFC 3339, Unix seconds or milliseconds, or such as 2026-11-20 14:05:00"
    )]
    InvalidTime(String),
    #[error("{field} has {chars} characters, at most {max} are kept")]
    TooLong { field: &'static str, chars: usize, max: usize },

    #[error("it waited for {hours} hours and is given up: {last}")]
    GivenUp { hours: u64, last: String },
}

impl Issue {
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyRequest => "empty_request",
            Self::TestPing => "test_ping",
            Self::NothingReported(_) => "nothing_reported",
            Self::StatusIgnored(_) => "status_ignored",
            Self::ClickIdMissing => "no_click_id",
            Self::LiteralMacro { .. } => "unreplaced_macro",
            Self::ForeignClickId(_) => "foreign_click_id",
            Self::ClickIdTooShort { .. } => "click_id_too_short",
            Self::ClickIdAmbiguous(_) => "click_id_ambiguous",
            Self::ClickOfAnother(_) => "click_of_another_affiliate",
            Self::ClickNotThere(_) => "click_not_there",
            Self::ConversionNotThere(_) => "conversion_not_there",
            Self::ConversionAmbiguous(_) => "conversion_ambiguous",
            Self::StatusUnknown(_) => "unknown_status",
            Self::InvalidAmount { .. } => "invalid_amount",
            Self::InvalidCurrency(_) => "invalid_currency",
            Self::TwoCurrencies(..) => "two_currencies",
            Self::InvalidTime(_) => "invalid_time",
            Self::TooLong { .. } => "too_long",
            Self::GivenUp { .. } => "given_up",
        }
    }

    /// Of what an adapter found and named itself: a mistake of the set-up is refused, so that the network's log shows it.
    pub fn outcome_of_code(code: &str) -> Outcome {
        match code {
            "unreplaced_macro" | "no_click_id" | "unreadable_body" | "invalid_amount" => Outcome::Refused,
            _ => Outcome::Ignored,
        }
    }

    pub fn outcome(&self) -> Outcome {
        match self {
            Self::EmptyRequest | Self::TestPing | Self::NothingReported(_) | Self::StatusIgnored(_) => Outcome::Ignored,
            Self::ClickNotThere(_) | Self::ConversionNotThere(_) | Self::StatusUnknown(_) => Outcome::Waiting,
            Self::GivenUp { .. } => Outcome::Failed,
            _ => Outcome::Refused,
        }
    }
}

impl Words {
    /// Empty words are none. Placeholders that the network forgot to fill are named; they are never a value.
    pub fn screened(mut self) -> Result<Self, Issue> {
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
                return Err(Issue::LiteralMacro { field, text: text.clone() });
            }
        }
        for (field, amount) in [("payout", &mut self.payout), ("revenue", &mut self.revenue), ("sale", &mut self.sale)]
        {
            *amount = amount.take().map(AmountWords::plain).filter(|amount| !amount.text.is_empty());
            let Some(AmountWords { text, currency }) = amount else { continue };
            let words = [Some(&*text), currency.as_ref()];
            if let Some(literal) = words.into_iter().flatten().find(|word| is_literal_macro(word)) {
                return Err(Issue::LiteralMacro { field, text: literal.clone() });
            }
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

impl AmountWords {
    fn plain(self) -> Self {
        let currency = self.currency.map(|code| plain(&code)).filter(|code| !code.is_empty());
        Self { text: plain(&self.text), currency }
    }
}

/// Trimmed, and without the one character that PostgreSQL can't keep.
fn plain(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

impl Amounts {
    /// An exact amount of `currency`, from the network's own way of writing it.
    pub fn read(&self, field: &'static str, text: &str, currency: Currency) -> Result<Amount, Issue> {
        let invalid = |why: String| Issue::InvalidAmount { field, why };
        let foreign = match self.decimal {
            Decimal::Point => ',',
            Decimal::Comma => '.',
        };
        if text.contains(foreign) {
            let shown: String = text.chars().take(40).collect();
            let own = if foreign == ',' { '.' } else { ',' };
            return Err(invalid(format!(
                "\"{shown}\" has a \"{foreign}\", and this source's decimal sign is \"{own}\"; change amounts.decimal, or have the network leave out thousands separators"
            )));
        }
        let text = text.replace(',', ".");
        let text = if text.starts_with('.') { format!("0{text}") } else { text };
        // Zeros after the sixth decimal are no more precise than none.
        let text = match text.split_once('.') {
            Some((whole, fraction)) if fraction.len() > 6 => {
                format!("{whole}.{:0<6}", fraction.trim_end_matches('0'))
            }
            _ => text,
        };
        let amount: Amount = text.parse().map_err(|error: InvalidAmount| invalid(error.to_string()))?;
        match self.unit {
            Unit::Major => Ok(amount),
            Unit::Minor => {
                let parts = 10_i64.pow(currency.decimals());
                let exact = (amount.micros() % parts == 0).then(|| amount.micros() / parts);
                let amount = exact.and_then(Amount::from_micros);
                amount.ok_or_else(|| invalid(InvalidAmount::TooPrecise(text).to_string()))
            }
        }
    }
}

/// Which click a report is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClickReference {
    Whole(ClickId),
    /// Of the clicks from the first to the second.
    Prefix(ClickId, ClickId),
}

impl ClickReference {
    /// Reads what the network sent back. What can't have been a click id of ours by now is foreign.
    pub fn read(text: &str, now: Timestamp) -> Result<Self, Issue> {
        let foreign = || Issue::ForeignClickId(text.chars().take(64).collect());
        if let Ok(id) = text.parse::<ClickId>() {
            // Others make 26 characters of base32, too; a UUIDv7 has its version and its time in it.
            let ours = id.0.get_version_num() == 7 && is_plausible(id, id, now);
            return if ours { Ok(Self::Whole(id)) } else { Err(foreign()) };
        }
        let (first, last) = ids::range_of_prefix(text).ok_or_else(foreign)?;
        let (first, last) = (ClickId(first), ClickId(last));
        if !is_plausible(first, last, now) {
            return Err(foreign());
        }
        let kept = text.chars().count();
        if kept < PREFIX_MIN_CHARS {
            // One or two characters are a number of the network's more often than a piece of ours.
            return Err(if kept < 4 { foreign() } else { Issue::ClickIdTooShort { text: text.to_owned(), kept } });
        }
        Ok(Self::Prefix(first, last))
    }
}

/// Whether a click of ours can be in this range: since 2020 and, as clocks differ, ten minutes ahead.
fn is_plausible(first: ClickId, last: ClickId, now: Timestamp) -> bool {
    const SINCE: Timestamp = Timestamp::from_millis(1_577_836_800_000);
    ids::time_of(first.0) <= now.plus(std::time::Duration::from_secs(600)) && ids::time_of(last.0) >= SINCE
}

/// The transaction id of a report that has none: the same for the same click and goal at the same source.
pub fn derived_transaction_id(source: SourceId, click: ClickId, goal: Option<&str>) -> String {
    format!("in-{}", &fingerprint(&[&source.to_string(), &click.to_string(), goal.unwrap_or_default()])[..24])
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

/// Whether a value is a placeholder in one of the ways in which networks write them.
pub fn is_literal_macro(text: &str) -> bool {
    const BARE: [&str; 8] =
        ["session_id", "sessionid", "click_id", "clickid", "subid", "sub_id", "transaction_id", "commission"];
    if BARE.iter().any(|name| name.eq_ignore_ascii_case(text)) {
        return true;
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let encloses = |(open, close): (char, char)| {
        let Some((_, rest)) = decoded.split_once(open) else { return false };
        rest.split_once(close).is_some_and(|(name, _)| is_macro_name(name.trim_matches(open)))
    };
    let surrounds = |sign: &str| {
        decoded
            .strip_prefix(sign)
            .and_then(|rest| rest.strip_suffix(sign))
            .is_some_and(|name| is_macro_name(name.trim_matches(|c: char| sign.contains(c))))
    };
    [('{', '}'), ('[', ']'), ('<', '>')].into_iter().any(encloses)
        || ["#", "%", "!!", "__", "$$"].into_iter().any(surrounds)
}

fn is_macro_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '$');
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(letters)
        && name.contains(|c: char| c.is_ascii_alphabetic())
}

/// What networks send when a person presses "test".
fn is_test_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let rest = text.strip_prefix("test").or_else(|| text.strip_prefix("ping"));
    rest.is_some_and(|rest| {
        let rest = rest.trim_start_matches("ing").trim_start_matches(['-', '_', ' ']);
        ["", "click", "clickid", "click_id", "click-id", "id", "session", "sessionid", "session_id"].contains(&rest)
            || rest.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_773_144_000_000);

    fn amounts(unit: Unit, decimal: Decimal) -> Amounts {
        Amounts { unit, decimal, currency: None }
    }

    #[test]
    fn amounts_are_exact_in_every_unit_and_with_either_sign() {
        let read = |unit, decimal, text: &str, currency: &str| {
            let amount = amounts(unit, decimal).read("payout", text, currency.parse().unwrap());
            amount.map(|it| it.to_string()).map_err(|issue| issue.code())
        };
        for (unit, decimal, text, currency, wanted) in [
            (Unit::Major, Decimal::Point, "12.5", "USD", "12.50"),
            (Unit::Major, Decimal::Point, ".5", "USD", "0.50"),
            (Unit::Major, Decimal::Point, "12.500000000", "USD", "12.50"),
            (Unit::Major, Decimal::Comma, "12,50", "EUR", "12.50"),
            (Unit::Minor, Decimal::Point, "1250", "USD", "12.50"),
            (Unit::Minor, Decimal::Point, "1250", "JPY", "1250.00"),
            (Unit::Minor, Decimal::Point, "1250", "KWD", "1.25"),
            (Unit::Minor, Decimal::Point, "1250.5", "USD", "12.505"),
        ] {
            assert_eq!(read(unit, decimal, text, currency).as_deref(), Ok(wanted), "{text} {currency}");
        }
        for (decimal, text) in [
            (Decimal::Point, "12,50"),
            (Decimal::Point, "1,250.00"),
            (Decimal::Comma, "12.50"),
            (Decimal::Point, "-5"),
            (Decimal::Point, "1e3"),
            (Decimal::Point, "$5"),
            (Decimal::Point, "0.12345678"),
            (Decimal::Point, "NaN"),
        ] {
            assert_eq!(read(Unit::Major, decimal, text, "USD"), Err("invalid_amount"), "{text}");
        }
    }

    #[test]
    fn a_report_has_one_currency() {
        let word = |text: &str, code: &str| Some(AmountWords { text: text.into(), currency: Some(code.into()) });
        let usd: Currency = "USD".parse().unwrap();
        let it = Words { payout: word("1", "eur"), ..Words::default() };
        assert_eq!(it.currency(&Amounts::default(), usd).unwrap().code(), "EUR");
        let it = Words { payout: word("1", "eur"), sale: word("1", "USD"), ..Words::default() };
        assert_eq!(it.currency(&Amounts::default(), usd).unwrap_err().code(), "two_currencies");
        let it = Words { payout: word("1", "dollars"), ..Words::default() };
        assert_eq!(it.currency(&Amounts::default(), usd).unwrap_err().code(), "invalid_currency");
        let gbp = Amounts { currency: "GBP".parse().ok(), ..Amounts::default() };
        assert_eq!(Words::default().currency(&gbp, usd).unwrap().code(), "GBP");
    }

    #[test]
    fn a_click_id_is_whole_cut_off_or_not_ours() {
        let id = ClickId::new(NOW);
        let text = id.to_string();
        let read = |text: &str| ClickReference::read(text, NOW);
        assert_eq!(read(&text), Ok(ClickReference::Whole(id)));
        assert_eq!(read(&text.to_uppercase()), Ok(ClickReference::Whole(id)));
        for kept in 10..26 {
            match read(&text[..kept].to_uppercase()) {
                Ok(ClickReference::Prefix(first, last)) => assert!(first <= id && id <= last, "{kept}"),
                other => panic!("{kept}: {other:?}"),
            }
        }
        assert_eq!(read(&text[..9]).unwrap_err().code(), "click_id_too_short");
        let tomorrow = ClickId::new(NOW.plus(PATIENCE)).to_string();
        // A ULID of the same moment, which is base32 as well, but no UUIDv7.
        let ulid = ids::encode(uuid::Uuid::from_u128(id.0.as_u128() & !(0xf << 76)));
        for foreign in ["abc123", "12345", "0", "48151623421", &format!("{text}x"), &tomorrow, &ulid, "a@b.example"] {
            assert_eq!(read(foreign).unwrap_err().code(), "foreign_click_id", "{foreign}");
        }
    }

    #[test]
    fn placeholders_are_named_and_never_taken_for_values() {
        for text in [
            "{SESSION_ID}",
            "{{click.id}}",
            "[payout]",
            "#s2#",
            "##reqid##",
            "${CLICK}",
            "%clickid%",
            "!!sub1!!",
            "!!!id!!!",
            "<subid>",
            "%7Bsubid%7D",
            "x-{subid}",
            "__CLICKID__",
            "SESSION_ID",
            "%%subid%%",
        ] {
            assert!(is_literal_macro(text), "{text}");
        }
        for text in ["12.50", "06a5xk2m7q8r9stvwxyz012345", "order-1", "100%", "#1", "a<b", "{}", "[1]", "5!!"] {
            assert!(!is_literal_macro(text), "{text}");
        }
        let it = Words { click_id: Some("06a5".into()), transaction_id: Some("{tid}".into()), ..Words::default() };
        assert_eq!(it.screened().unwrap_err().code(), "unreplaced_macro");
    }

    #[test]
    fn tests_and_nothing_are_recognised() {
        let code = |click: &str, transaction: &str| {
            let word = |text: &str| Some(text.to_owned());
            let it = Words { click_id: word(click), transaction_id: word(transaction), ..Words::default() };
            it.screened().err().map_or("", |issue| issue.code())
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
    fn a_derived_transaction_is_the_same_for_the_same_click_and_goal_only() {
        let (source, click) = (SourceId::new(NOW), ClickId::new(NOW));
        let id = derived_transaction_id(source, click, Some("lead"));
        assert_eq!(id, derived_transaction_id(source, click, Some("lead")));
        assert_ne!(id, derived_transaction_id(source, click, None));
        assert_ne!(id, derived_transaction_id(SourceId::new(NOW), click, Some("lead")));
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
