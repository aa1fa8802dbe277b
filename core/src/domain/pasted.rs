//! Pasted URLs: splitting what somebody copied from a tracker into a base and parameters.

use percent_encoding::percent_decode_str;

/// One parameter whose value is a macro of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MacroParameter {
    pub name: String,
    pub r#macro: String,
}

/// A pasted URL, taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pasted {
    pub base_url: String,
    pub parameters: Vec<MacroParameter>,
    /// Fixed values.
    pub custom: Vec<(String, String)>,
    /// Tokens that name no macro of ours: somebody must choose.
    pub unknown: Vec<(String, String)>,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not a postback URL; paste the whole address, starting with https://")]
pub struct NotAUrl(pub String);

/// The ways in which trackers mark a token, longest first.
const BRACKETS: [(&str, &str); 10] = [
    ("!!!", "!!!"),
    ("${", "}"),
    ("{{", "}}"),
    ("##", "##"),
    ("!!", "!!"),
    ("{", "}"),
    ("[", "]"),
    ("#", "#"),
    ("%", "%"),
    ("<", ">"),
];

/// Other systems' words for our macros.
const ALIASES: [(&str, &str); 24] = [
    ("external_transaction_id", "external_click_id"),
    ("external_id", "external_click_id"),
    ("clickid", "click_id"),
    ("publisher_id", "affiliate_id"),
    ("aff_id", "affiliate_id"),
    ("offerid", "offer_id"),
    ("program_id", "offer_id"),
    ("program_name", "offer_name"),
    ("transactionid", "transaction_id"),
    ("txid", "transaction_id"),
    ("order_id", "transaction_id"),
    ("sub_id", "sub1"),
    ("subid", "sub1"),
    ("sum", "payout"),
    ("payout_decimal", "payout"),
    ("commission", "payout"),
    ("sale_amount", "amount"),
    ("order_sum", "amount"),
    ("reason", "rejection_reason"),
    ("event", "event_name"),
    ("country_code", "country"),
    ("geo", "country"),
    ("device_type", "device"),
    ("uagent", "user_agent"),
];

/// Splits `text`. `is_macro` says which names the adapter knows.
pub fn split(text: &str, is_macro: impl Fn(&str) -> bool) -> Result<Pasted, NotAUrl> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let valid = (lower.starts_with("http://") || lower.starts_with("https://"))
        && !text.contains(char::is_whitespace)
        && text.split("//").nth(1).is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
    if !valid {
        return Err(NotAUrl(text.chars().take(200).collect()));
    }
    let (base_url, query) = text.split_once('?').unwrap_or((text, ""));
    let mut pasted = Pasted { base_url: base_url.to_owned(), ..Pasted::default() };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(raw));
        // A browser's address bar encodes braces; `%payout%` must be seen before it is decoded.
        match token(raw).or_else(|| token(&value)) {
            Some(inner) => match known(inner, &is_macro) {
                Some(found) => pasted.parameters.push(MacroParameter { name, r#macro: found }),
                None => pasted.unknown.push((name, value)),
            },
            // A token inside a longer value is not sent literally without somebody having seen it.
            None if value.contains(['{', '[', '}', ']']) => pasted.unknown.push((name, value)),
            None => pasted.custom.push((name, value)),
        }
    }
    Ok(pasted)
}

fn known(token: &str, is_macro: impl Fn(&str) -> bool) -> Option<String> {
    let name = token.trim().to_ascii_lowercase();
    if is_macro(&name) {
        return Some(name);
    }
    let (_, ours) = ALIASES.iter().find(|(alias, _)| *alias == name)?;
    is_macro(ours).then(|| (*ours).to_owned())
}

/// The inside of a token, when the whole value is one.
fn token(value: &str) -> Option<&str> {
    BRACKETS.iter().find_map(|(open, close)| {
        let inner = value.strip_prefix(open)?.strip_suffix(close)?;
        let named = inner.starts_with(|c: char| c.is_ascii_alphabetic())
            && inner.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.');
        named.then_some(inner)
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 6] = ["click_id", "external_click_id", "payout", "customer_name", "sub1", "offer_id"];

    fn split_ours(text: &str) -> Result<Pasted, NotAUrl> {
        split(text, |name| OURS.contains(&name))
    }

    #[test]
    fn the_guides_own_example_is_taken_apart() {
        let pasted = split_ours(
            "https://yourtracking.com/postback?event=sale&click_id={click_id}&payout={payout}&name={customer_name}",
        )
        .unwrap();
        assert_eq!(pasted.base_url, "https://yourtracking.com/postback");
        assert_eq!(pasted.custom, [("event".into(), "sale".into())]);
        let macros: Vec<_> = pasted.parameters.iter().map(|p| (p.name.as_str(), p.r#macro.as_str())).collect();
        assert_eq!(macros, [("click_id", "click_id"), ("payout", "payout"), ("name", "customer_name")]);
        assert!(pasted.unknown.is_empty());
    }

    #[test]
    fn every_way_of_marking_a_token_is_recognised() {
        for token in [
            "{payout}",
            "{{payout}}",
            "[payout]",
            "#payout#",
            "##payout##",
            "${payout}",
            "%payout%",
            "!!!payout!!!",
            "{PAYOUT}",
            "%7Bpayout%7D",
        ] {
            let pasted = split_ours(&format!("https://t.example/?p={token}")).unwrap();
            assert_eq!(pasted.parameters.len(), 1, "{token}");
        }
        let pasted =
            split_ours("https://t.example/?a={external_transaction_id}&b=[program_id]&c={nope}&d=%41+b&e").unwrap();
        assert_eq!(pasted.parameters[0].r#macro, "external_click_id");
        assert_eq!(pasted.parameters[1].r#macro, "offer_id");
        assert_eq!(pasted.unknown, [("c".into(), "{nope}".into())]);
        assert_eq!(pasted.custom, [("d".into(), "A b".into()), ("e".into(), String::new())]);
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["", "t.example/?a=1", "ftp://t.example", "https://", "https:///x", "https://t.example/ x"] {
            assert!(split_ours(text).is_err(), "{text}");
        }
    }
}
