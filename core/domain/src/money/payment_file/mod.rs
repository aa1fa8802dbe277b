//! Payment files: a batch in the format of a bank, of PayPal, or for people. Pure text: the same batch gives the same
//! file with the same message id, so that a bank that gets it twice can refuse the second.

mod latin;
mod pain001;
mod tables;

use crate::amounts::{Currency, Money};
use crate::ids::{AffiliateId, WithdrawalId};
use crate::timestamp::Timestamp;

use super::payout_details::Fields;
use super::payout_method::{FileFormat, PayoutMethod, minor_unit_micros};
use super::withdrawal_batch::{BatchError, WithdrawalBatch};

/// One withdrawal to be paid, with its details unsealed.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The withdrawal.
    pub id: WithdrawalId,
    /// The affiliate to be paid.
    pub affiliate_id: AffiliateId,
    /// The affiliate's name.
    pub affiliate_name: String,
    /// The amount to be paid: without the fee.
    pub net: Money,
    /// The payout details.
    pub details: Fields,
}

/// A file for download.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentFile {
    /// The file's name.
    pub name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub text: String,
}

/// Writes the file for `payments`, which are the open withdrawals of the batch. Fails if there are none, if `format`
/// needs a detail that a payment lacks, or if a SEPA file has no payer or another currency than EUR.
pub fn write(
    batch: &WithdrawalBatch,
    method: &PayoutMethod,
    format: FileFormat,
    payments: &[Payment],
    now: Timestamp,
) -> Result<PaymentFile, BatchError> {
    if payments.is_empty() {
        return Err(BatchError::Settled(batch.id));
    }
    for name in needs(format) {
        if payments.iter().any(|payment| !payment.details.contains_key(*name)) {
            return Err(wrong_format(format, method, format!("their payout details have no {name}")));
        }
    }
    let (text, ending, content_type) = match format {
        FileFormat::Pain001 => {
            if batch.currency.code() != "EUR" {
                return Err(wrong_format(format, method, format!("SEPA pays EUR, not {}", batch.currency)));
            }
            let payer = method.payer.as_ref().ok_or_else(|| BatchError::PayerMissing(method.id.clone()))?;
            (pain001::write(batch, payer, payments, now), "xml", "application/xml; charset=utf-8")
        }
        FileFormat::Paypal => (tables::paypal(payments), "csv", CSV),
        FileFormat::Crypto => (tables::crypto(payments), "csv", CSV),
        FileFormat::Csv => (tables::everything(&method.schema, payments), "csv", CSV),
    };
    Ok(PaymentFile { name: format!("{}-{}.{ending}", batch.id, format), content_type, text })
}

const CSV: &str = "text/csv; charset=utf-8";

fn needs(format: FileFormat) -> &'static [&'static str] {
    match format {
        FileFormat::Pain001 => &["account_holder", "iban"],
        FileFormat::Paypal => &["email"],
        FileFormat::Crypto => &["asset", "address"],
        FileFormat::Csv => &[],
    }
}

fn wrong_format(format: FileFormat, method: &PayoutMethod, reason: String) -> BatchError {
    BatchError::WrongFormat { format: format.as_str(), method: method.id.clone(), reason }
}

/// Exactly as many decimals as the currency has: `12.50`, but `1250` for yen.
fn plain(micros: i128, currency: Currency) -> String {
    let units = micros / i128::from(minor_unit_micros(currency));
    let scale = 10_i128.pow(currency.decimals());
    match currency.decimals() {
        0 => units.to_string(),
        decimals => format!("{}.{:0width$}", units / scale, units % scale, width = decimals as usize),
    }
}

#[cfg(test)]
mod epc;
#[cfg(test)]
mod tests;
