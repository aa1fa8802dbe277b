//! Payout methods: the ways in which affiliates are paid. They are data, not code: a JSON Schema describes the payout
//! details that a method needs, a table by currency holds its minimums and fees.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Currency, Money, Percent};
use crate::timestamp::Timestamp;

use super::payout_details::Schema;
use super::payout_details::iban;

/// A payout method as it is stored.
#[derive(Clone, Debug)]
pub struct PayoutMethod {
    /// Up to 40 lower-case letters, digits and hyphens; never changes: `paypal`.
    pub id: String,
    /// The name that people see.
    pub name: String,
    /// How long a payment takes, as a text for affiliates.
    pub processing_time: String,
    /// JSON Schema of the payout details.
    pub schema: serde_json::Value,
    /// The currencies that the method pays in, with the terms of each.
    pub currencies: BTreeMap<Currency, Terms>,
    /// The default format of its payment files.
    pub file: FileFormat,
    /// The account that pays; required for pain.001 files.
    pub payer: Option<Payer>,
    /// Whether affiliates can request withdrawals by this method.
    pub enabled: bool,
    /// Whether the method came with the program.
    pub built_in: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The format of a payment file. `pain001`: ISO 20022 pain.001.001.09, for SEPA credit transfers. `paypal`: the CSV
/// file that PayPal's Payouts page imports. `crypto`: CSV with asset, address, amount and currency. `csv`: CSV with all
/// payout details, one payment per line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// ISO 20022 pain.001.001.09, for SEPA credit transfers.
    Pain001,
    /// The CSV file that PayPal's Payouts page imports.
    Paypal,
    /// CSV with asset, address, amount and currency.
    Crypto,
    /// CSV with all payout details, one payment per line.
    Csv,
}

text_enum!(FileFormat { Pain001 => "pain001", Paypal => "paypal", Crypto => "crypto", Csv => "csv" });

/// The terms of a payout method in one currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = PayoutMethodTerms)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The minimum amount of a withdrawal.
    pub minimum: Amount,
    /// The fee of a withdrawal.
    #[serde(default)]
    pub fee: Fee,
}

/// The fee of a withdrawal; it is deducted from the amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fee {
    /// The fixed part, in the currency of the withdrawal.
    #[serde(default)]
    pub fixed: Amount,
    /// A percentage of the amount, added to the fixed part.
    #[serde(default)]
    pub percent: Percent,
}

/// The account that a bank's payment file is paid from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payer {
    /// The account holder, up to 70 characters.
    #[schema(example = "Example GmbH", min_length = 1, max_length = 70)]
    pub name: String,
    /// IBAN of an account in the SEPA area; spaces are allowed.
    #[schema(example = "DE89370400440532013000")]
    pub iban: String,
    /// BIC of the bank, with 8 or 11 characters; optional.
    #[serde(default)]
    pub bic: Option<String>,
}

impl Payer {
    /// Trims the name and normalises IBAN and BIC (capitals, no spaces). The error is a sentence that says which of the
    /// three is invalid.
    pub fn checked(self) -> Result<Self, String> {
        let compact = |text: &str| -> String {
            text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect()
        };
        let iban = compact(&self.iban);
        iban::check_sepa(&iban)?;
        let name = self.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 70 {
            return Err("the payer's name must have 1 to 70 characters".into());
        }
        let bic = self.bic.map(|bic| compact(&bic)).filter(|bic| !bic.is_empty());
        if let Some(bic) = &bic {
            super::payout_details::Format::Bic.check(bic)?;
        }
        Ok(Self { name, iban, bic })
    }
}

/// 100 %, in millionths of a percent.
const WHOLE_PERCENT: i128 = 100_000_000;

/// The currency's minor unit in micros: 10,000 for USD (one cent), 1,000,000 for JPY. Banks and PayPal pay whole minor
/// units.
pub fn minor_unit_micros(currency: Currency) -> i64 {
    10_i64.pow(6 - currency.decimals())
}

impl Terms {
    /// The fee of a withdrawal of `amount`. The exact sum of both parts is rounded once: down to the currency's minor
    /// unit, in favour of the affiliate, so it can be nothing.
    pub fn fee_of(&self, amount: Money) -> Money {
        let unit = i128::from(minor_unit_micros(amount.currency));
        let percent = i128::from(self.fee.percent.micros()) * i128::from(amount.micros);
        let exact = i128::from(self.fee.fixed.micros()) * WHOLE_PERCENT + percent;
        let micros = exact / (unit * WHOLE_PERCENT) * unit;
        Money { micros: i64::try_from(micros).unwrap_or(i64::MAX), currency: amount.currency }
    }
}

impl PayoutMethod {
    /// The compiled schema of the payout details; the error is a sentence that says why the schema is invalid.
    pub fn schema(&self) -> Result<Schema<'_>, String> {
        Schema::parse(&self.schema)
    }
}

/// Whether `text` can be the id of a method: 1 to 40 lower-case letters, digits and hyphens.
pub fn is_id(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    plain && (1..=40).contains(&text.len())
}

/// A payout method as written in a data file.
#[derive(Clone, Debug, Deserialize)]
pub struct Definition {
    /// See [`PayoutMethod::id`].
    pub id: String,
    /// The name that people see.
    pub name: String,
    /// How long a payment takes, as a text for affiliates.
    pub processing_time: String,
    /// The default format of its payment files.
    pub file: FileFormat,
    /// The currencies that the method pays in, with the terms of each.
    pub currencies: BTreeMap<Currency, Terms>,
    /// JSON Schema of the payout details.
    pub schema: serde_json::Value,
}

impl Definition {
    /// An enabled method without a payer, created at `now`.
    pub fn into_method(self, built_in: bool, now: Timestamp) -> PayoutMethod {
        PayoutMethod {
            id: self.id,
            name: self.name,
            processing_time: self.processing_time,
            schema: self.schema,
            currencies: self.currencies,
            file: self.file,
            payer: None,
            enabled: true,
            built_in,
            created_at: now,
            updated_at: now,
        }
    }
}

/// The methods that every installation has from the start.
pub fn built_in() -> Vec<Definition> {
    serde_json::from_str(include_str!("../../payout-methods.json")).expect("a test reads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_method_is_valid() {
        let methods = built_in();
        assert_eq!(methods.len(), 6);
        for method in methods {
            if let Err(error) = Schema::parse(&method.schema) {
                panic!("{}: {error}", method.id);
            }
            for (currency, terms) in &method.currencies {
                let minimum = terms.minimum.of(*currency);
                assert!(terms.fee_of(minimum).micros < minimum.micros, "{}: the fee exceeds {minimum}", method.id);
            }
        }
    }

    #[test]
    fn a_fee_is_rounded_down_once_to_the_minor_unit() {
        for (fixed, percent, amount, fee) in [
            ("0.30", "2.5", "10.00 USD", "0.55 USD"),
            ("0.30", "2.5", "10.20 USD", "0.55 USD"), // 0.555
            ("0.30", "2.5", "1000 JPY", "25.00 JPY"), // 25.3
            ("0.30", "2.5", "10.00 KWD", "0.55 KWD"),
            ("0.30", "2.5", "10.02 KWD", "0.55 KWD"), // 0.5505
            // Both parts together reach the next cent, neither does alone.
            ("0.005", "0.5", "1.00 USD", "0.01 USD"),
            // A rounded share would reach it.
            ("0.009999", "0.00005", "1.00 USD", "0.00 USD"), // 0.0099995
            ("0", "0.5", "1.99 USD", "0.00 USD"),
            ("0", "100", "1.99 USD", "1.99 USD"),
            ("0", "100", "1000000000 USD", "1000000000.00 USD"),
        ] {
            let terms = format!(r#"{{"minimum": "1", "fee": {{"fixed": "{fixed}", "percent": "{percent}"}}}}"#);
            let terms: Terms = serde_json::from_str(&terms).unwrap();
            let (micros, currency) = amount.split_once(' ').unwrap();
            let amount = micros.parse::<Amount>().unwrap().of(currency.parse().unwrap());
            assert_eq!(terms.fee_of(amount).to_string(), fee, "{fixed} and {percent} % of {amount}");
        }
    }
}
