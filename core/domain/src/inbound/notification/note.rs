//! Notes: what a notification said that was not used as it was, although the notification was processed.

use crate::amounts::Amount;
use crate::ids::ConversionId;

/// A remark on a processed notification: a stable flag, and a sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Note {
    /// The click was found by the beginning of its id.
    #[error("the network cut the click id off; the click was found because no other click begins with it")]
    TruncatedId,
    /// A field was left out.
    #[error("{field} was left out: {reason}")]
    LeftOut {
        /// The field.
        field: &'static str,
        /// Why, as a clause.
        reason: String,
    },
    /// A text was cut.
    #[error("{field} had {chars} characters and was cut to {max}")]
    Shortened {
        /// The field.
        field: &'static str,
        /// The number of its characters.
        chars: usize,
        /// How many were kept.
        max: usize,
    },
    /// An amount was rounded.
    #[error("{field}: \"{text}\" was rounded to {amount}, because six decimals are kept")]
    Rounded {
        /// The field.
        field: &'static str,
        /// The text, cut to 40 characters.
        text: String,
        /// The amount.
        amount: Amount,
    },
    /// A rejection names a sale that is not known, and the click has approved ones.
    #[error(
        "no sale has the transaction id \"{transaction_id}\", so the rejection was recorded as a sale of its own, and {} of the same click {} approved; if the network refunds sales under other ids, tell the source which parameter has the id of the sale (reversal_parameter), or reject the sale yourself",
        list(.approved), if .approved.len() == 1 { "stays" } else { "stay" }
    )]
    UnmatchedRejection {
        /// The transaction id.
        transaction_id: String,
        /// The approved conversions of the click.
        approved: Vec<ConversionId>,
    },
}

fn list(ids: &[ConversionId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Note {
    /// A field that was left out.
    pub fn left_out(field: &'static str, reason: impl Into<String>) -> Self {
        Self::LeftOut { field, reason: reason.into() }
    }

    /// The stable flag.
    pub fn flag(&self) -> &'static str {
        match self {
            Self::TruncatedId => "truncated_id",
            Self::LeftOut { .. } => "left_out",
            Self::Shortened { .. } => "shortened",
            Self::Rounded { .. } => "rounded",
            Self::UnmatchedRejection { .. } => "unmatched_rejection",
        }
    }
}
