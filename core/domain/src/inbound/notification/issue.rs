//! Every reason why a notification does not become a conversion: a code, a sentence and an outcome.

use crate::inbound::source::IdentityMissing;

use super::{Outcome, PREFIX_MIN_CHARS};

/// Why a notification did not become a conversion (yet).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Issue {
    /// The request has no parameters.
    #[error(
        "the request has no parameters; the address works, and the network must call it with the click id and the amount"
    )]
    EmptyRequest,
    /// The request is a test.
    #[error("the request is a test of the address and reports no conversion; the address works")]
    TestPing,
    /// The adapter found no notification; holds its reason.
    #[error("the adapter found no notification in the request: {0}")]
    NothingReported(String),
    /// The settings ignore this status word.
    #[error("the settings of this source ignore the status \"{0}\"")]
    StatusIgnored(String),
    /// The settings ignore requests with this value of a parameter; holds its name.
    #[error("the settings of this source ignore requests with this value of \"{0}\" (ignore_if)")]
    IgnoredBySettings(String),

    /// There is no click id and no transaction id.
    #[error(
        "the notification has no click id; check that the affiliate link passes the click id to the network, and that the network sends it back in the parameter that this source reads"
    )]
    ClickIdMissing,
    /// The parameter that identifies the sale has no value; holds its name.
    #[error(
        "the parameter \"{0}\" identifies the sale by the settings of this source (transaction_id_parameters), but it has no value; have the network send it"
    )]
    IdentityMissing(String),
    /// Fields with placeholders that the network did not fill in: names and values.
    #[error(
        "the network did not fill in {}; check the spelling of its placeholders, including brackets and case", list(.0)
    )]
    LiteralMacros(Vec<(&'static str, String)>),
    /// The text is not a click id.
    #[error(
        "\"{0}\" is not a click id of this program; the network may be sending its own id: have it send the sub id that holds the click id"
    )]
    ForeignClickId(String),
    /// The text is neither a click id nor the session of a click.
    #[error(
        "\"{text}\" is not a click id of this program, and no click that this source finds carried it as {parameter}; check that the affiliate link has {parameter}, and that the network sends its value back"
    )]
    ForeignSession {
        /// The text.
        text: String,
        /// The parameter with the session.
        parameter: String,
    },
    /// Several clicks match the session.
    #[error(
        "\"{text}\" matches the {parameter} of clicks on several offers, or of several affiliates or sessions; give every click its own {parameter}, and use a sub id that holds all of its characters"
    )]
    SessionAmbiguous {
        /// The session.
        text: String,
        /// The parameter with the session.
        parameter: String,
    },
    /// A truncated click id that is too short.
    #[error(
        "\"{text}\" is the beginning of a click id, cut off after {kept} of 26 characters; at least {PREFIX_MIN_CHARS} are needed to find the click, so use a sub id that holds all 26"
    )]
    ClickIdTooShort {
        /// The text.
        text: String,
        /// The number of its characters.
        kept: usize,
    },
    /// Several clicks begin with this text.
    #[error(
        "\"{0}\" is the beginning of several click ids; the network truncates it, so use a sub id that holds all 26 characters"
    )]
    ClickIdAmbiguous(String),
    /// The click with this id belongs to another affiliate than the source.
    #[error(
        "click {0} belongs to another affiliate, but this source accepts only clicks of its own affiliate; give the network the address of the other affiliate's source"
    )]
    ClickOfAnother(String),
    /// There is no click with this id (yet).
    #[error(
        "there is no click {0} yet; the lookup is repeated for 24 hours. If the click is still missing then, check that the network sends back the value it got"
    )]
    ClickNotThere(String),
    /// There is no conversion with this transaction id (yet).
    #[error(
        "the notification has no click id, and there is no conversion with the transaction id \"{0}\" yet; the lookup is repeated for 24 hours"
    )]
    ConversionNotThere(String),
    /// A refund of a sale that is not known (yet); holds the sentence.
    #[error("{0}; the lookup is repeated for 24 hours")]
    RefundWithoutSale(String),
    /// Several conversions have this transaction id.
    #[error(
        "the notification has no click id, and several conversions have the transaction id \"{0}\"; have the network send the click id too"
    )]
    ConversionAmbiguous(String),
    /// The status word has no meaning (yet).
    #[error(
        "the status \"{0}\" has no meaning yet; add it to the statuses of this source, and waiting notifications are processed at once"
    )]
    StatusUnknown(String),

    /// An amount is invalid.
    #[error("{field}: {reason}")]
    InvalidAmount {
        /// The field.
        field: &'static str,
        /// A sentence.
        reason: String,
    },
    /// A currency is invalid; holds a sentence.
    #[error("{0}")]
    InvalidCurrency(String),
    /// A field is too long.
    #[error("{field} has {chars} characters; at most {max} are allowed")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The number of its characters.
        chars: usize,
        /// The most characters.
        max: usize,
    },

    /// It waited too long.
    #[error("it failed after waiting for {hours} hours: {last}")]
    GivenUp {
        /// How long it waited.
        hours: u64,
        /// The last reason, as a sentence.
        last: String,
    },
}

impl From<IdentityMissing> for Issue {
    fn from(missing: IdentityMissing) -> Self {
        Self::IdentityMissing(missing.0)
    }
}

impl Issue {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EmptyRequest => "empty_request",
            Self::TestPing => "test_ping",
            Self::NothingReported(_) => "nothing_reported",
            Self::StatusIgnored(_) => "status_ignored",
            Self::IgnoredBySettings(_) => "ignored_by_settings",
            Self::ClickIdMissing => "no_click_id",
            Self::IdentityMissing(_) => "no_transaction_id",
            Self::LiteralMacros(_) => "unreplaced_macro",
            Self::ForeignClickId(_) | Self::ForeignSession { .. } => "foreign_click_id",
            Self::ClickIdTooShort { .. } => "click_id_too_short",
            Self::ClickIdAmbiguous(_) | Self::SessionAmbiguous { .. } => "click_id_ambiguous",
            Self::ClickOfAnother(_) => "click_of_another_affiliate",
            Self::ClickNotThere(_) => "click_not_there",
            Self::ConversionNotThere(_) => "conversion_not_there",
            Self::RefundWithoutSale(_) => "refund_without_sale",
            Self::ConversionAmbiguous(_) => "conversion_ambiguous",
            Self::StatusUnknown(_) => "unknown_status",
            Self::InvalidAmount { .. } => "invalid_amount",
            Self::InvalidCurrency(_) => "invalid_currency",
            Self::TooLong { .. } => "too_long",
            Self::GivenUp { .. } => "given_up",
        }
    }

    /// The outcome of a code that an adapter reported itself. Mistakes in the set-up are refused, so that the network's
    /// log shows them.
    pub fn outcome_of_code(code: &str) -> Outcome {
        match code {
            "unreplaced_macro" | "no_click_id" | "unreadable_body" | "invalid_amount" => Outcome::Refused,
            _ => Outcome::Ignored,
        }
    }

    /// The outcome.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::EmptyRequest
            | Self::TestPing
            | Self::NothingReported(_)
            | Self::StatusIgnored(_)
            | Self::IgnoredBySettings(_) => Outcome::Ignored,
            Self::ClickNotThere(_)
            | Self::ConversionNotThere(_)
            | Self::RefundWithoutSale(_)
            | Self::StatusUnknown(_) => Outcome::Waiting,
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
