//! The reasons why the processing of a request or notification ends early.

use sea_orm::DbErr;

use crate::Error;
use domain::inbound::inbound_request::OutcomeDetails;
use domain::inbound::notification::{Issue, Outcome};
use domain::tracking::conversion_error::ConversionError;

/// Why the processing ends early.
pub enum Stop {
    /// The request or notification has an outcome, which is stored.
    Outcome(OutcomeDetails),
    /// The database failed. The request stays waiting.
    Database(DbErr),
    /// Another part of the server failed. The request stays waiting.
    Failed(Error),
}

impl From<OutcomeDetails> for Stop {
    fn from(outcome: OutcomeDetails) -> Self {
        Self::Outcome(outcome)
    }
}

impl From<Issue> for Stop {
    fn from(issue: Issue) -> Self {
        Self::Outcome(issue.into())
    }
}

impl From<DbErr> for Stop {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// An error of the conversion is an outcome, because the network or the operator must correct the notification.
impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let refused = |code: &str| Self::Outcome(OutcomeDetails::new(Outcome::Refused, code, error.to_string()));
        match &error {
            Error::Conversion(ConversionError::UnknownClick(id)) => Issue::ClickNotThere(id.clone()).into(),
            Error::Conversion(it @ ConversionError::RefundWithoutSale(_)) => {
                Issue::RefundWithoutSale(it.to_string()).into()
            }
            Error::Conversion(it) => refused(it.code()),
            Error::IllegalMove(it) => refused(it.code()),
            _ => Self::Failed(error),
        }
    }
}

impl Stop {
    /// The outcome, or the error of the server.
    pub fn outcome(self) -> Result<OutcomeDetails, Error> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            Self::Database(error) => Err(error.into()),
            Self::Failed(error) => Err(error),
        }
    }
}
