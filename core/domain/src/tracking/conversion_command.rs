//! Commands: the changes of conversions that the API, people and networks request.

use crate::ids::ConversionId;

use super::conversion::Status;
use super::conversion_report::Report;

/// A change of one conversion.
#[derive(Clone, Debug)]
pub enum Command {
    /// Creates the conversion of the report's transaction, or changes its status and amounts.
    Report(Box<Report>),
    /// Changes the status of a known conversion.
    ChangeStatus {
        /// The conversion.
        id: ConversionId,
        /// The new status.
        status: Status,
        /// What a person adds to a rejection.
        note: Option<String>,
        /// Who sets it.
        by: By,
        /// By what a repeated notification of the same payment is recognised.
        payment_key: Option<String>,
    },
}

/// Who sets a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// A person, who may approve a conversion that is rejected, or that a rule of the program holds.
    Person,
    /// A source.
    Source {
        /// Whether it may approve a conversion that a source rejected.
        may_reopen: bool,
    },
}
