//! Payout details: where an affiliate's money goes. They are validated by the JSON Schema of the payout method before
//! they are stored, and shown masked to everybody; only a payment file has them unmasked.

pub mod crypto;
pub mod iban;

use std::collections::BTreeMap;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use crate::delivery::adapter::schema_budget::{self, Cost};
use crate::ids::{AffiliateId, PayoutDetailsId};
use crate::people::masking;
use crate::timestamp::Timestamp;

/// The most issues that are reported at once.
const ISSUES: usize = 100;

/// The details that a payout method needs, by name. All values are text.
pub type Fields = BTreeMap<String, String>;

/// One affiliate's details for one payout method, as they are stored.
#[derive(Clone, Debug)]
pub struct PayoutDetails {
    /// Id of these details.
    pub id: PayoutDetailsId,
    /// The affiliate to be paid.
    pub affiliate_id: AffiliateId,
    /// Id of the payout method.
    pub method: String,
    /// The fields, sealed for this affiliate.
    pub sealed: String,
    /// The fields, masked for display.
    pub masked: Fields,
    /// When details for this method were first saved.
    pub created_at: Timestamp,
    /// When they last changed.
    pub updated_at: Timestamp,
}

/// Formats that the schema of a method may use, for checks beyond its patterns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// An IBAN with correct check digits.
    Iban,
    /// An IBAN of an account in the SEPA area.
    SepaIban,
    /// A BIC with 8 or 11 characters.
    Bic,
    /// An e-mail address.
    Email,
    /// Two letters of ISO 3166.
    Country,
    /// An address on Bitcoin's mainnet.
    Bitcoin,
    /// An Ethereum address.
    Ethereum,
    /// A Tron address.
    Tron,
}

text_enum!(Format {
    Iban => "iban",
    SepaIban => "sepa-iban",
    Bic => "bic",
    Email => "email",
    Country => "country",
    Bitcoin => "bitcoin-address",
    Ethereum => "ethereum-address",
    Tron => "tron-address",
});

impl Format {
    const ALL: [Self; 8] =
        [Self::Iban, Self::SepaIban, Self::Bic, Self::Email, Self::Country, Self::Bitcoin, Self::Ethereum, Self::Tron];

    /// Checks a normalised text. The error is a sentence that says what is wrong.
    pub fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Iban => iban::check(text),
            Self::SepaIban => iban::check_sepa(text),
            Self::Bic => check_bic(text),
            Self::Email => check_email(text),
            Self::Country => match text.as_bytes() {
                [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(()),
                _ => Err("write the two letters of the country (ISO 3166), such as US".into()),
            },
            Self::Bitcoin => crypto::check_bitcoin(text),
            Self::Ethereum => crypto::check_ethereum(text),
            Self::Tron => crypto::check_tron(text),
        }
    }

    /// Removes spaces and converts to capitals, for the formats that people write in several ways.
    fn normal(self, text: &str) -> String {
        match self {
            Self::Iban | Self::SepaIban | Self::Bic | Self::Country => {
                text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect()
            }
            _ => text.to_owned(),
        }
    }
}

fn check_bic(bic: &str) -> Result<(), String> {
    let bytes = bic.as_bytes();
    let fits = matches!(bytes.len(), 8 | 11)
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && bytes[..6].iter().all(u8::is_ascii_uppercase);
    if fits { Ok(()) } else { Err("a BIC has 8 or 11 characters, such as COBADEFFXXX".into()) }
}

/// An address in a payment file must not begin like a formula: a spreadsheet would execute it, and an apostrophe before
/// it would make it a different address.
fn check_email(email: &str) -> Result<(), String> {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control());
    let fits = email.split_once('@').is_some_and(|(name, host)| {
        plain(name)
            && plain(host)
            && host.contains('.')
            && !host.contains('@')
            && !host.starts_with('.')
            && !host.ends_with('.')
            && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && !email.contains(['"', ',', ';', '<', '>', '\\'])
    });
    if fits { Ok(()) } else { Err("this is not a valid e-mail address; write one such as ada@example.com".into()) }
}

/// Something that is wrong with the fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    /// JSON pointer to the field; empty if the fields as a whole are wrong.
    pub path: String,
    /// A sentence for people.
    pub message: String,
}

/// The compiled schema of a payout method.
pub struct Schema<'a> {
    document: &'a Value,
    validator: Validator,
    cost: Cost,
}

impl<'a> Schema<'a> {
    /// Compiles a schema, which must describe an object whose members are text with a title. The error is a sentence
    /// that says what is wrong with the schema.
    pub fn parse(document: &'a Value) -> Result<Self, String> {
        if document["type"] != "object" || document["additionalProperties"] != false {
            return Err("it needs \"type\": \"object\" and \"additionalProperties\": false".into());
        }
        let properties = document["properties"].as_object().filter(|it| !it.is_empty());
        for (name, property) in properties.ok_or("it needs \"properties\"")? {
            if property["type"] != "string" || property["title"].as_str().is_none_or(str::is_empty) {
                return Err(format!("the property {name} needs \"type\": \"string\" and a \"title\""));
            }
        }
        let cost = schema_budget::check(document)?;
        let mut options = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .with_pattern_options(schema_budget::patterns());
        for format in Format::ALL {
            options = options.with_format(format.as_str(), move |text: &str| format.check(text).is_ok());
        }
        let validator = options.build(document).map_err(|error| format!("it is not a valid JSON Schema: {error}"))?;
        Ok(Self { document, validator, cost })
    }

    /// The fields in their normal form, without empty ones; or everything that is wrong with them, up to 100 issues.
    pub fn accept(&self, given: &Fields) -> Result<Fields, Vec<Issue>> {
        let mut fields = Fields::new();
        for (name, text) in given {
            let format = self.property(name)["format"].as_str().and_then(Format::from_word);
            let text = format.map_or_else(|| text.trim().to_owned(), |format| format.normal(text.trim()));
            // A form also sends fields that were left empty.
            if !text.is_empty() {
                fields.insert(name.clone(), text);
            }
        }
        let mut issues: Vec<_> = fields.iter().filter_map(|(name, text)| unfit(name, text)).collect();
        let value = Value::from_iter(fields.iter().map(|(name, text)| (name.clone(), Value::from(text.clone()))));
        match self.cost.admits(&value) {
            Ok(()) => issues.extend(self.validator.iter_errors(&value).take(ISSUES).map(issue)),
            Err(max) => {
                issues.push(Issue { path: String::new(), message: format!("there are more than {max} fields") });
            }
        }
        if issues.is_empty() { Ok(fields) } else { Err(issues) }
    }

    /// The fields, masked for display. Choices from a list, banks and countries are not masked.
    pub fn mask(&self, fields: &Fields) -> Fields {
        let shown = |name: &str| {
            let property = self.property(name);
            let is_choice = ["enum", "oneOf", "const"].iter().any(|word| !property[*word].is_null());
            is_choice || matches!(property["format"].as_str(), Some("bic" | "country"))
        };
        let mask =
            |(name, text): (&String, &String)| (name.clone(), if shown(name) { text.clone() } else { masked(text) });
        fields.iter().map(mask).collect()
    }

    fn property(&self, name: &str) -> &Value {
        &self.document["properties"][name]
    }
}

/// `DE89370400440532013000` → `DE89 **** 3000`.
fn masked(text: &str) -> String {
    const SHOWN: usize = 4;
    let characters: Vec<char> = text.chars().collect();
    match text {
        _ if text.contains('@') => masking::mask_email(text),
        _ if characters.len() >= 3 * SHOWN && !text.contains(char::is_whitespace) => {
            let (start, end) = (&characters[..SHOWN], &characters[characters.len() - SHOWN..]);
            format!("{} **** {}", String::from_iter(start), String::from_iter(end))
        }
        _ => masking::mask_name(text),
    }
}

fn unfit(name: &str, text: &str) -> Option<Issue> {
    let message = if text.contains("***") {
        "this is a mask; send the whole detail"
    } else if text.chars().any(char::is_control) {
        "this has control characters or line breaks; write it in one line"
    } else {
        return None;
    };
    Some(Issue { path: format!("/{name}"), message: message.into() })
}

/// A missing field is reported with the path of that field, so that a form can show the issue there. No message repeats
/// the value.
fn issue(error: jsonschema::ValidationError<'_>) -> Issue {
    let path = error.instance_path().to_string();
    let message = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            return Issue { path: format!("{path}/{name}"), message: "this is required".into() };
        }
        ValidationErrorKind::Format { format } => {
            let text = error.instance().as_str().unwrap_or_default();
            let checked = Format::from_word(format).map(|format| format.check(text));
            checked.and_then(Result::err).unwrap_or_else(|| format!("this is not a {format}"))
        }
        ValidationErrorKind::OneOfNotValid { .. } => "this is not one of the choices".into(),
        _ => error.masked_with("this").to_string(),
    };
    Issue { path, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::payout_method::built_in;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn schema_of(method: &str) -> Value {
        built_in().into_iter().find(|it| it.id == method).expect("it is built in").schema
    }

    #[test]
    fn details_are_normalised_and_masked() {
        let document = schema_of("sepa");
        let schema = Schema::parse(&document).unwrap();
        let kept = schema
            .accept(&fields(&[
                ("account_holder", " Ada Lovelace "),
                ("iban", "de89 3704 0044 0532 0130 00"),
                ("bic", ""),
            ]))
            .unwrap();
        assert_eq!(kept, fields(&[("account_holder", "Ada Lovelace"), ("iban", "DE89370400440532013000")]));
        assert_eq!(schema.mask(&kept), fields(&[("account_holder", "A***"), ("iban", "DE89 **** 3000")]));
        assert_eq!(schema.accept(&schema.mask(&kept)).unwrap_err()[0].message, "this is a mask; send the whole detail");
    }

    #[test]
    fn an_address_must_belong_to_the_chosen_network() {
        let document = schema_of("crypto");
        let schema = Schema::parse(&document).unwrap();
        let on = |asset: &str, address: &str| schema.accept(&fields(&[("asset", asset), ("address", address)]));
        let tron = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
        let kept = on("usdt-tron", tron).unwrap();
        assert_eq!(schema.mask(&kept), fields(&[("asset", "usdt-tron"), ("address", "TR7N **** Lj6t")]));
        for asset in ["btc", "eth", "usdt-ethereum"] {
            let issues = on(asset, tron).unwrap_err();
            assert_eq!(issues[0].path, "/address", "{issues:?}");
            assert!(issues[0].message.contains("copy it from the wallet again"), "{issues:?}");
        }
        assert_eq!(on("doge", tron).unwrap_err()[0].message, "this is not one of the choices");
    }

    #[test]
    fn an_address_cannot_begin_like_a_formula() {
        for wrong in ["=cmd|' /C calc'!A0@example.com", "+1@example.com", "-a@example.com", "a@b", "a b@c.de", "@c.de"]
        {
            assert!(check_email(wrong).is_err(), "{wrong}");
        }
        for right in ["ada@example.com", "ada+paypal@example.co.uk", "_a@example.com"] {
            assert_eq!(check_email(right), Ok(()), "{right}");
        }
    }

    #[test]
    fn every_issue_has_the_path_of_its_field() {
        let document = schema_of("bank-international");
        let schema = Schema::parse(&document).unwrap();
        let issues =
            schema.accept(&fields(&[("account_number", "1234 5678"), ("bic", "x"), ("pin", "1234")])).unwrap_err();
        let paths: Vec<_> = issues.iter().map(|it| it.path.as_str()).collect();
        for path in ["/bic", "/account_holder", "/bank_name", "/country", ""] {
            assert!(paths.contains(&path), "{path} in {issues:?}");
        }
        assert!(issues.iter().all(|it| !it.message.contains("1234")), "{issues:?}");
    }
}
