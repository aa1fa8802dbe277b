//! Payout methods: ways in which affiliates are paid. Data, not code: what details one needs is a JSON Schema, what it
//! pays and costs is a table by currency.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Currency, Money, Percent};
use crate::timestamp::Timestamp;

use super::payout_details::Schema;
use super::payout_details::iban;

#[derive(Clone, Debug)]
pub struct PayoutMethod {
    /// A word in small letters that people choose once: `paypal`.
    pub id: String,
    pub name: String,
    /// For affiliates: how long it takes.
    pub processing_time: String,
    /// What the details must look like.
    pub schema: serde_json::Value,
    /// What it pays in, and on which terms.
    pub currencies: BTreeMap<Currency, Terms>,
    /// What its batches are exported as unless something else is asked for.
    pub file: FileFormat,
    /// Whose account pays; a bank's file must say it.
    pub payer: Option<Payer>,
    pub enabled: bool,
    pub built_in: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a payment file looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    /// ISO 20022 pain.001.001.09, for SEPA credit transfers.
    Pain001,
    /// What PayPal's Payouts page takes.
    Paypal,
    /// Address, amount and currency.
    Crypto,
    /// Everything, one payment a line.
    Csv,
}

text_enum!(FileFormat { Pain001 => "pain001", Paypal => "paypal", Crypto => "crypto", Csv => "csv" });

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The least that can be withdrawn.
    pub minimum: Amount,
    #[serde(default)]
    pub fee: Fee,
}

/// What a withdrawal costs; it is taken from the amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fee {
    #[serde(default)]
    pub fixed: Amount,
    /// Of the amount.
    #[serde(default)]
    pub percent: Percent,
}

/// The account that a bank's file is paid from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Payer {
    #[schema(example = "Example GmbH", max_length = 70)]
    pub name: String,
    #[schema(example = "DE89370400440532013000")]
    pub iban: String,
    #[serde(default)]
    pub bic: Option<String>,
}

impl Payer {
    /// With an IBAN that can be written into a file.
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

/// Banks and PayPal pay whole minor units: cents of a dollar, yen.
pub fn minor_unit_micros(currency: Currency) -> i64 {
    10_i64.pow(6 - currency.decimals())
}

impl Terms {
    /// Rounded half up to what can be paid.
    pub fn fee_of(&self, amount: Money) -> Money {
        let unit = minor_unit_micros(amount.currency);
        let exact = self.fee.fixed.micros() + self.fee.percent.share_of(amount).micros;
        Money { micros: (exact + unit / 2) / unit * unit, currency: amount.currency }
    }
}

impl PayoutMethod {
    pub fn schema(&self) -> Result<Schema<'_>, String> {
        Schema::parse(&self.schema)
    }
}

/// A word in small letters, as ids of methods are.
pub fn is_id(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    plain && (1..=40).contains(&text.len())
}

/// A method as a data file has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Definition {
    pub id: String,
    pub name: String,
    pub processing_time: String,
    pub file: FileFormat,
    pub currencies: BTreeMap<Currency, Terms>,
    pub schema: serde_json::Value,
}

impl Definition {
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
    fn every_built_in_method_can_be_used() {
        let methods = built_in();
        assert_eq!(methods.len(), 6);
        for method in methods {
            if let Err(error) = Schema::parse(&method.schema) {
                panic!("{}: {error}", method.id);
            }
            for (currency, terms) in &method.currencies {
                let least = terms.minimum.of(*currency);
                assert!(terms.fee_of(least).micros < least.micros, "{}: the fee leaves nothing of {least}", method.id);
            }
        }
    }

    #[test]
    fn a_fee_is_rounded_to_what_can_be_paid() {
        let terms: Terms =
            serde_json::from_str(r#"{"minimum": "1", "fee": {"fixed": "0.30", "percent": "2.5"}}"#).unwrap();
        let fee = |amount: &str, currency: &str| {
            terms.fee_of(amount.parse::<Amount>().unwrap().of(currency.parse().unwrap())).to_string()
        };
        assert_eq!(fee("10.00", "USD"), "0.55 USD");
        assert_eq!(fee("10.20", "USD"), "0.56 USD", "0.555 is rounded half up");
        assert_eq!(fee("1000", "JPY"), "25.00 JPY");
        assert_eq!(fee("10.00", "KWD"), "0.55 KWD");
    }
}
