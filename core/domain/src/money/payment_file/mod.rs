//! Payment files: a batch as a bank, PayPal or a person wants it. Pure text from facts; the same batch gives the same
//! file with the same message id, so that a bank which gets it twice can refuse the second.

mod latin;
mod pain001;
mod tables;

use crate::amounts::{Currency, Money};
use crate::ids::{AffiliateId, WithdrawalId};
use crate::timestamp::Timestamp;

use super::payout_details::Fields;
use super::payout_method::{FileFormat, PayoutMethod, minor_unit_micros};
use super::withdrawal_batch::{BatchError, WithdrawalBatch};

/// One withdrawal to be paid, with its details opened.
#[derive(Clone, Debug)]
pub struct Payment {
    pub id: WithdrawalId,
    pub affiliate_id: AffiliateId,
    pub affiliate_name: String,
    pub net: Money,
    pub details: Fields,
}

/// A file to be downloaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentFile {
    pub name: String,
    pub content_type: &'static str,
    pub text: String,
}

/// Writes `payments`, which are those of the batch that are still to be paid.
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
            return Err(wrong_format(format, method, format!("their details have no {name}")));
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

/// With exactly as many decimals as the currency has: `12.50`, but `1250` yen.
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
