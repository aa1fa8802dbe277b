//! Masking: removes a buyer's data from texts for readers who may not see it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Stands for a hidden value.
pub(crate) const MASK: &str = "***";
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const LOOSE: &AsciiSet = &STRICT.remove(b'@');

/// Replaces every `value` in `text`, in any case and however it is encoded: plain, percent-encoded, as a form or in
/// JSON.
pub fn mask(text: &str, values: &[&str]) -> String {
    let mut masked = text.to_owned();
    for value in values.iter().filter(|value| !value.is_empty()) {
        for form in written_forms(value) {
            masked = replace_ignoring_case(&masked, &form);
        }
    }
    masked
}

/// `ada@example.com` → `a***@example.com`.
pub fn mask_email(email: &str) -> String {
    match email.split_once('@') {
        Some((name, host)) => format!("{}{MASK}@{host}", name.chars().next().map(String::from).unwrap_or_default()),
        None => MASK.to_owned(),
    }
}

/// `Ada Lovelace` → `A***`.
pub fn mask_name(name: &str) -> String {
    format!("{}{MASK}", name.chars().next().map(String::from).unwrap_or_default())
}

/// Removes personal data from a query, a form, JSON or any other text: every value whose name suggests personal data,
/// and everything that looks like an e-mail address.
pub fn hide_people(text: &str) -> String {
    if let Ok(mut value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) = serde_json::from_str(text) {
        hide_in_json(&mut value);
        return value.to_string();
    }
    let hide_pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_personal(&decoded(name)) => format!("{name}={MASK}"),
        _ if has_email(&decoded(pair)) => match pair.split_once('=') {
            Some((name, _)) => format!("{name}={MASK}"),
            None => MASK.to_owned(),
        },
        _ => pair.to_owned(),
    };
    text.split('&').map(hide_pair).collect::<Vec<_>>().join("&")
}

fn hide_in_json(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if is_personal(name) && !field.is_null() {
                    *field = MASK.into();
                } else {
                    hide_in_json(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_in_json),
        Value::String(text) if has_email(text) => *text = MASK.to_owned(),
        _ => {}
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Whether the name of a field suggests personal data, or its value contains an e-mail address.
pub fn is_personal_pair(name: &str, value: &str) -> bool {
    is_personal(name) || has_email(value)
}

/// Whether the name of a field suggests personal data.
pub fn is_personal(name: &str) -> bool {
    const PARTS: [&str; 12] = [
        "mail",
        "phone",
        "mobile",
        "firstname",
        "lastname",
        "surname",
        "fullname",
        "customername",
        "buyer",
        "address",
        "birth",
        "username",
    ];
    const WHOLE: [&str; 11] =
        ["name", "tel", "ip", "customer", "lead", "zip", "street", "customerid", "clientip", "userip", "visitorip"];
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    WHOLE.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

fn has_email(text: &str) -> bool {
    text.split(['=', ' ', ',', ';', '<', '>', '"']).any(is_email)
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
}

/// Replaces the sentence about a refused address, because the address would let an affiliate explore the operator's
/// internal network. `code` is the code of the error.
pub fn hide_address(code: Option<&str>, sentence: Option<String>) -> Option<String> {
    match code {
        Some("address_refused") => {
            Some("the destination has no public address; only public addresses can be called".to_owned())
        }
        _ => sentence,
    }
}

fn written_forms(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut forms = vec![
        value.to_owned(),
        utf8_percent_encode(value, STRICT).to_string(),
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string(),
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        utf8_percent_encode(value, LOOSE).to_string(),
        json.trim_matches('"').to_owned(),
    ];
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

/// Ignores ASCII case, because hex digits of percent-encoding and e-mail addresses come in either case.
fn replace_ignoring_case(text: &str, wanted: &str) -> String {
    let (low, low_wanted) = (text.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = low[from..].find(&low_wanted) {
        out.push_str(&text[from..from + at]);
        out.push_str(MASK);
        from += at + low_wanted.len();
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buyer_is_masked_in_every_encoding() {
        let values = ["ada+shop@example.com", "Ada \"Countess\" Lovelace"];
        for text in [
            "https://t.example/?e=ada%2Bshop%40example.com&n=Ada%20%22Countess%22%20Lovelace",
            "https://t.example/?e=ada%2bshop%40example.com",
            "e=ada%2Bshop%40example.com&n=Ada+%22Countess%22+Lovelace",
            r#"{"e":"Ada+Shop@Example.com","n":"Ada \"Countess\" Lovelace"}"#,
            "thanks, ada+shop@example.com",
        ] {
            let masked = mask(text, &values).to_lowercase();
            assert!(
                !masked.contains("shop@") && !masked.contains("lovelace") && !masked.contains("shop%40"),
                "{masked}"
            );
        }
        assert_eq!(mask("https://t.example/?p=5.00", &values), "https://t.example/?p=5.00");
        assert_eq!(mask_email("ada@example.com"), "a***@example.com");
        assert_eq!(mask_name("Ada Lovelace"), "A***");
    }

    #[test]
    fn personal_data_is_removed_from_requests_of_networks() {
        for (text, wanted) in [
            ("subid=06a5&email=a%40b.example&sum=5", "subid=06a5&email=***&sum=5"),
            ("subid=06a5&aff_sub=ada%40b.example", "subid=06a5&aff_sub=***"),
            ("First_Name=Ada&offer_name=Shop", "First_Name=***&offer_name=Shop"),
            ("just ada@b.example", "***"),
            (
                r#"{"id":"1","customer_email":"a@b.example","nested":{"phone":5,"note":"from a@b.example"}}"#,
                r#"{"customer_email":"***","id":"1","nested":{"note":"***","phone":"***"}}"#,
            ),
            ("", ""),
        ] {
            assert_eq!(hide_people(text), wanted);
        }
    }
}
