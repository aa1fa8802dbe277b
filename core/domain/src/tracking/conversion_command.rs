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
        /// A source reports the status. Otherwise a person sets it, and may approve a conversion that a rule of the program holds.
        reported: bool,
    },
}
