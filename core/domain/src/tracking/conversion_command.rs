//! Commands: the changes of conversions that the API, people and networks request.

use crate::ids::ConversionId;

use super::conversion::Status;
use super::conversion_report::Report;

#[derive(Clone, Debug)]
pub enum Command {
    /// Creates the conversion of the report's transaction, or changes its status and amounts.
    Report(Box<Report>),
    ChangeStatus {
        id: ConversionId,
        status: Status,
        /// A source reports the status. Otherwise a person sets it, and may approve what a rule of the program holds.
        reported: bool,
    },
}
