//! Every way in which a report can fail to become a conversion: a code, a sentence and an outcome.

use crate::amounts::Currency;

use super::{Outcome, PREFIX_MIN_CHARS};

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
        "the network did not fill in {}; check how it spells its placeholders, with their brackets and their case", list(.0)
    )]
    LiteralMacros(Vec<(&'static str, String)>),
    #[error(
        "\"{0}\" never was a click id of ours; the network may send its own id: have it send the sub id that carries ours"
    )]
    ForeignClickId(String),
    #[error(
        "\"{text}\" never was a click id of ours, and no click that this source finds carried it as {parameter}; check that the affiliate link has {parameter}, and that the network sends its value back"
    )]
    ForeignSession { text: String, parameter: String },
    #[error(
        "\"{text}\" fits the {parameter} of clicks on more than one offer, or of more than one affiliate or session; give every click a {parameter} of its own, and use a sub id that holds all of it"
    )]
    SessionAmbiguous { text: String, parameter: String },
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
            Self::LiteralMacros(_) => "unreplaced_macro",
            Self::ForeignClickId(_) | Self::ForeignSession { .. } => "foreign_click_id",
            Self::ClickIdTooShort { .. } => "click_id_too_short",
            Self::ClickIdAmbiguous(_) | Self::SessionAmbiguous { .. } => "click_id_ambiguous",
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

/// `click_id ({sub1}) and payout ({sum})`
fn list(literals: &[(&'static str, String)]) -> String {
    let parts: Vec<_> = literals.iter().map(|(field, text)| format!("{field} ({text})")).collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}
