//! The results of a batch from a bank or PayPal, as a CSV file with one withdrawal per line. A line that can't be read
//! is reported by its number; the other lines are not affected.

use crate::ids::WithdrawalId;

use super::csv;
use super::withdrawal::Status;
use super::withdrawal_batch::BatchError;

/// One line of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultLine {
    /// The number of the line, counted from 1.
    pub number: usize,
    /// The id as it was written, cut to 64 characters.
    pub withdrawal_id: String,
    /// The withdrawal and its new status, or why the line can't be used.
    pub result: Result<(WithdrawalId, Status), LineError>,
}

/// Why a line can't be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineError {
    /// Not the id of a withdrawal; holds the text, cut to 64 characters.
    #[error("\"{0}\" is not the id of a withdrawal; it should look like wdr_06a5xk2m7q8r9stvwxyz012345")]
    InvalidId(String),
    /// Not a known status; holds the text, cut to 64 characters.
    #[error("\"{0}\" is not a valid status; write paid, failed or returned")]
    UnknownStatus(String),
    /// Paid, without a reference.
    #[error("a paid withdrawal needs a reference; fill in the column \"reference\"")]
    ReferenceMissing,
    /// Failed or returned, without a reason.
    #[error("a failed or returned payment needs a reason; fill in the column \"reason\"")]
    ReasonMissing,
    /// A reference or reason is too long or has control characters.
    #[error("reference and reason may have at most {NOTE_MAX_CHARS} characters, without control characters")]
    TooLong,
    /// The withdrawal is not in the batch; holds its id.
    #[error("withdrawal {0} is not in this batch")]
    NotInBatch(String),
    /// The withdrawal can't take this status.
    #[error("{0}")]
    IllegalStep(#[from] super::withdrawal::IllegalStep),
}

impl LineError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidId(_) => "invalid_id",
            Self::UnknownStatus(_) => "unknown_status",
            Self::ReferenceMissing => "reference_missing",
            Self::ReasonMissing => "reason_missing",
            Self::TooLong => "invalid_field",
            Self::NotInBatch(_) => "not_in_batch",
            Self::IllegalStep(_) => "illegal_step",
        }
    }
}

/// The most characters of a reference or a reason.
pub const NOTE_MAX_CHARS: usize = 200;
const MAX_LINES: usize = 20_000;

/// The columns may have any order, and the names that banks and PayPal use for them.
const ID: [&str; 6] = ["withdrawal_id", "end_to_end_id", "endtoendid", "customer_id", "reference_id", "id"];
const STATUS: [&str; 2] = ["status", "state"];
const REFERENCE: [&str; 4] = ["reference", "external_reference", "transaction_id", "txid"];
const REASON: [&str; 3] = ["reason", "error", "message"];

/// Reads the results from CSV. Fails if the file as a whole is unreadable: not CSV, empty, more than 20,000 lines, or
/// without the columns for id and status.
pub fn read(text: &str) -> Result<Vec<ResultLine>, BatchError> {
    let records = csv::read(text)
        .map_err(|error| BatchError::UnreadableResults(format!("the file is not valid CSV: {error}")))?;
    let (heading, records) = records.split_first().ok_or_else(|| {
        let wanted = "the file is empty; send CSV with the columns withdrawal_id, status, reference, reason";
        BatchError::UnreadableResults(wanted.into())
    })?;
    if records.len() > MAX_LINES {
        return Err(BatchError::UnreadableResults(format!(
            "the file has {} lines; send at most {MAX_LINES} at once",
            records.len()
        )));
    }
    let column = |names: &[&str]| {
        let wanted = |cell: &String| names.contains(&cell.to_lowercase().replace([' ', '-'], "_").as_str());
        heading.cells.iter().position(wanted)
    };
    let required = |names: &[&str]| {
        column(names).ok_or_else(|| {
            let found = heading.cells.join(", ");
            BatchError::UnreadableResults(format!(
                "the first line must name the columns; \"{}\" is missing in: {found}",
                names[0]
            ))
        })
    };
    let (id, status) = (required(&ID)?, required(&STATUS)?);
    let (reference, reason) = (column(&REFERENCE), column(&REASON));
    let lines = records.iter().map(|record| {
        let cell = |at: usize| record.cells.get(at).map(|it| it.trim_start_matches('\'').trim()).unwrap_or_default();
        let optional = |at: Option<usize>| at.map(cell).filter(|it| !it.is_empty());
        ResultLine {
            number: record.line,
            withdrawal_id: cell(id).chars().take(64).collect(),
            result: parse(cell(id), cell(status), optional(reference), optional(reason)),
        }
    });
    Ok(lines.collect())
}

fn parse(
    id: &str,
    status: &str,
    reference: Option<&str>,
    reason: Option<&str>,
) -> Result<(WithdrawalId, Status), LineError> {
    let shortened = |text: &str| text.chars().take(64).collect::<String>();
    let id = id.parse().map_err(|_| LineError::InvalidId(shortened(id)))?;
    if [reference, reason]
        .into_iter()
        .flatten()
        .any(|it| it.chars().count() > NOTE_MAX_CHARS || it.contains(char::is_control))
    {
        return Err(LineError::TooLong);
    }
    let status = match status.to_lowercase().as_str() {
        "paid" | "completed" | "success" | "accp" | "acsc" => {
            Status::Paid { reference: reference.ok_or(LineError::ReferenceMissing)?.to_owned() }
        }
        "failed" | "denied" | "blocked" | "rejected" | "rjct" => {
            Status::Failed { reason: reason.ok_or(LineError::ReasonMissing)?.to_owned() }
        }
        "returned" => Status::Returned { reason: reason.ok_or(LineError::ReasonMissing)?.to_owned() },
        _ => return Err(LineError::UnknownStatus(shortened(status))),
    };
    Ok((id, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "wdr_06a5xk2m7q8r9stvwxyz012345";

    #[test]
    fn each_line_has_its_own_result() {
        let text = format!(
            "Status;Withdrawal ID;Reference;Reason\r\npaid;{A};TX-1;\r\n\r\nfailed;{A};;\"account; closed\"\r\nPAID;{A};;\r\nfailed;{A};;\r\nmaybe;{A};;\r\npaid;nonsense;TX;\r\n"
        );
        let lines = read(&text).unwrap();
        let verdicts: Vec<_> = lines
            .iter()
            .map(|it| {
                let code = match &it.result {
                    Ok((_, status)) => status.note().unwrap_or_default().to_owned(),
                    Err(error) => error.code().to_owned(),
                };
                (it.number, code)
            })
            .collect();
        let wanted = [
            (2, "TX-1"),
            (4, "account; closed"),
            (5, "reference_missing"),
            (6, "reason_missing"),
            (7, "unknown_status"),
            (8, "invalid_id"),
        ];
        assert_eq!(verdicts, wanted.map(|(line, code)| (line, code.to_owned())));
    }

    #[test]
    fn a_file_without_required_columns_is_refused() {
        for (text, part) in [
            ("", "empty"),
            ("status,reference\npaid,1", "\"withdrawal_id\" is missing"),
            ("id,reference\n1,1", "\"status\" is missing"),
            ("id,status\n\"1,paid", "never closed"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
