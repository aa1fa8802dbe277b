//! MyLead's notification: a GET request whose parameters have the names of the tokens, unless the URL in MyLead renames them.

use std::collections::BTreeMap;

use postrider_sdk::inbound::{Parameters, placeholder};
use postrider_sdk::prelude::*;
use serde::Deserialize;

use crate::macros::TOKENS;

/// The tokens that correspond to fields of a conversion.
const CLICK_ID: &str = "ml_sub1";
const TRANSACTION_ID: &str = "transaction_id";
const STATUS: &str = "status";
const CURRENCY: &str = "currency";
const PENNIES: &str = "payout";
const DECIMAL: &str = "payout_decimal";
/// All other tokens become attributes of the conversion.
const CONVERSION_FIELDS: [&str; 6] = [CLICK_ID, TRANSACTION_ID, STATUS, CURRENCY, PENNIES, DECIMAL];

/// The name of each token's parameter.
#[derive(Deserialize)]
#[serde(from = "BTreeMap<String, String>")]
pub struct Names {
    /// From the token to the parameter, only for renamed ones.
    renamed: BTreeMap<String, String>,
    /// With the payout from `[payout_decimal]`.
    with_decimal: inbound::Names,
    /// With the payout from `[payout]`.
    with_pennies: inbound::Names,
}

impl From<BTreeMap<String, String>> for Names {
    fn from(renamed: BTreeMap<String, String>) -> Self {
        let name = |token: &str| Some(renamed.get(token).map_or(token, String::as_str).to_owned());
        let with_decimal = inbound::Names {
            click_id: name(CLICK_ID),
            transaction_id: name(TRANSACTION_ID),
            status: name(STATUS),
            currency: name(CURRENCY),
            payout: name(DECIMAL),
            ..inbound::Names::default()
        };
        let with_pennies = inbound::Names { payout: name(PENNIES), ..with_decimal.clone() };
        Self { with_decimal, with_pennies, renamed }
    }
}

/// Every parameter has the name of its token.
impl Default for Names {
    fn default() -> Self {
        BTreeMap::new().into()
    }
}

impl Names {
    fn parameter<'a>(&'a self, token: &'a str) -> &'a str {
        self.renamed.get(token).map_or(token, String::as_str)
    }

    /// Two tokens with the same parameter, which would be indistinguishable, and names that are not tokens.
    pub fn issues(&self) -> Vec<ConfigIssue> {
        let mut taken = BTreeMap::new();
        let mut issues = Vec::new();
        for token in TOKENS.iter().map(|token| token.name) {
            let parameter = self.parameter(token);
            if let Some(earlier) = taken.insert(parameter, token) {
                // The user can correct the renamed token.
                let at = if self.renamed.contains_key(token) { token } else { earlier };
                let message = format!(
                    "The parameter '{parameter}' is used for both [{earlier}] and [{token}]; rename one of them."
                );
                issues.push(ConfigIssue::new(format!("/names/{at}"), message));
            }
        }
        let known = |name: &str| TOKENS.iter().any(|token| token.name == name);
        for name in self.renamed.keys().filter(|name| !known(name)) {
            let message = tokens::unknown("token of MyLead", name, TOKENS.iter().map(|token| token.name));
            issues.push(ConfigIssue::new(format!("/names/{name}"), message));
        }
        issues
    }
}

/// The conversion of a notification. Its payout is in the major unit, whichever of the two tokens the network sends.
pub fn read(names: &Names, request: &InboundRequest) -> InboundReport {
    let parameters = Parameters::read(request);
    match conversion(names, &parameters) {
        Ok(conversion) => InboundReport::of(vec![conversion]),
        Err(refusal) => InboundReport { conversions: Vec::new(), ignored: Some(refusal), reply: None },
    }
}

fn conversion(names: &Names, parameters: &Parameters) -> Result<ReportedConversion, Refusal> {
    let mut conversion = names.with_decimal.read(parameters)?;
    if conversion.payout.is_none() {
        let pennies = names.with_pennies.read(parameters)?.payout;
        conversion.payout = pennies.map(|pennies| to_decimal(names, pennies)).transpose()?;
    }
    let others = TOKENS.iter().map(|token| token.name).filter(|token| !CONVERSION_FIELDS.contains(token));
    conversion.attributes = others.filter_map(|token| attribute(names, parameters, token)).collect();
    Ok(conversion)
}

/// Converts `[payout]`, which is in pennies: 1250 is 12.50. The currency determines the number of decimals.
fn to_decimal(names: &Names, pennies: ReportedAmount) -> Result<ReportedAmount, Refusal> {
    let currency = pennies.currency.as_deref().unwrap_or_default();
    let penny = 10_i64.pow(6 - money::exponent(currency));
    let micros = pennies.text.parse::<i64>().ok().and_then(|count| count.checked_mul(penny));
    let Some(micros) = micros else {
        let shown: String = pennies.text.chars().take(60).collect();
        let message = format!(
            "'{}' is '{shown}', but [payout] is a whole number of pennies; use [payout_decimal] for decimal amounts",
            names.parameter(PENNIES)
        );
        return Err(Refusal { code: "invalid_amount".into(), message });
    };
    let text = money::decimal(&Money { micros, currency: currency.into() });
    Ok(ReportedAmount { text, ..pennies })
}

fn attribute(names: &Names, parameters: &Parameters, token: &str) -> Option<Field> {
    let value = parameters.get(names.parameter(token))?.trim();
    placeholder(value).is_none().then(|| Field { name: token.into(), value: value.into() })
}
