//! Translates other systems' names for values into our macros: by rules where possible, otherwise by a list.

/// The macro for a token of this name. `is_macro`: whether a macro exists.
pub(super) fn ours(token: &str, is_macro: impl Fn(&str) -> bool) -> Option<String> {
    let known = |name: &str| is_macro(name).then(|| name.to_owned());
    if token.strip_prefix("secret.").is_some_and(|name| !name.is_empty()) {
        return Some(token.to_owned());
    }
    if THEIR_CLICK_ID.iter().any(|theirs| theirs.eq_ignore_ascii_case(token))
        && let Some(theirs) = known("external_click_id")
    {
        return Some(theirs);
    }
    candidates(token).iter().find_map(|name| {
        known(name)
            .or_else(|| known(alias(name)?))
            .or_else(|| known(&sub_id(name)?))
            .or_else(|| known(by_ending(name)?))
    })
}

/// The macro for a parameter of this name. A click id parameter in another system's URL means that system's click id.
pub(super) fn of_parameter(name: &str, is_macro: impl Fn(&str) -> bool) -> Option<String> {
    if name.starts_with("secret.") {
        return None;
    }
    let found = ours(name, &is_macro)?;
    let theirs = found == "click_id" && is_macro("external_click_id");
    Some(if theirs { "external_click_id".to_owned() } else { found })
}

/// The names of trackers (Binom, RedTrack, Voluum, Zeropark …) for their own click id in their postback URLs. Our macro
/// is written as two words.
const THEIR_CLICK_ID: [&str; 2] = ["clickid", "cid"];

/// The name in snake case, and then its last and its first part if it has dots: `lead.Sub1` gives `lead_sub1`, `sub1`,
/// `lead`. Each also with the underscore that some systems leave out.
fn candidates(token: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let mut names = vec![snake_case(token)];
    if let [first, .., last] = parts.as_slice() {
        names.extend([snake_case(last), snake_case(first)]);
    }
    names.into_iter().flat_map(|name| [Some(name.clone()), with_word_break(&name)]).flatten().collect()
}

/// `clickID`, `ClickId`, `CLICK_ID` and `click-id` become `click_id`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for c in name.trim().chars() {
        let c = if matches!(c, '-' | '.') { '_' } else { c };
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = c;
    }
    out
}

/// Names that no rule covers, by macro.
#[rustfmt::skip]
const ALIASES: [(&str, &[&str]); 30] = [
    ("external_click_id", &["external_transaction_id", "external_id", "ymid"]),
    ("click_id", &["cid", "clk", "click_ref", "clicktag", "reqid", "tracking_id", "tracking_uuid", "tracker", "visitor_id", "session_id", "postbackid", "conversions_tracking"]),
    ("sub1", &["epi", "afftrack"]),
    ("transaction_id", &["txid", "tx_id", "txn_id", "tid", "trans_id", "order_id", "order_number", "lead_id", "action_id", "sale_id", "invoice_id", "postback_id", "receipt"]),
    ("conversion_id", &["conv_id"]),
    ("affiliate_id", &["publisher_id", "pub_id", "aff_id", "partner_id", "webmaster_id"]),
    ("offer_id", &["program_id", "campaign_id", "off_id", "camp_id"]),
    ("offer_name", &["program_name", "campaign_name", "offer_title", "offer"]),
    ("payout", &["sum", "price", "rate", "rate_amount", "money", "cash", "cost", "reward", "payment", "payment_sum", "lead_price", "goal_value", "aff_value", "aff_rev", "cpa_amount", "rs_amount", "amount_affiliate", "sum_postback"]),
    ("revenue", &["revenue_amount"]),
    ("amount", &["order_sum", "amt", "total", "order_total", "order_value", "amount_of_sale", "amount_brutto", "val"]),
    ("status", &["state", "stage", "phase", "type"]),
    ("rejection_reason", &["reason", "sub_status", "status_detail", "reject_reason", "decline_reason"]),
    ("currency", &["cur", "curr"]),
    ("goal", &["event", "event_type", "goal_alias", "goal_title", "goal_name", "conversion_type", "transaction_type", "transtype", "action_tracker_name"]),
    ("timestamp", &["time", "unix_time", "unixtime", "utcunixtime", "event_time"]),
    ("event_date", &["iso8601", "datetime"]),
    ("conversion_date", &["date", "conversion_time", "conversion_datetime", "action_date", "transaction_date", "trans_date"]),
    ("click_date", &["click_time", "visittimestamp"]),
    ("payout_currency", &["commission_currency", "earnings_currency", "payment_currency"]),
    ("amount_currency", &["sale_currency", "order_currency", "sale_amount_currency", "order_amount_currency"]),
    ("country", &["country_code", "geo"]),
    ("device", &["device_type"]),
    ("ip", &["ip_address", "user_ip", "source_ip", "sourceip"]),
    ("user_agent", &["uagent", "ua", "useragent"]),
    ("referrer", &["referer"]),
    ("keyword", &["kw", "phrase"]),
    ("customer_email", &["email", "buyer_email"]),
    ("customer_name", &["full_name", "buyer_name"]),
    ("plan_name", &["product_name", "product"]),
];

fn alias(name: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(_, theirs)| theirs.contains(&name)).map(|(ours, _)| *ours)
}

/// Sub ids consist of a word and a number: `s2`, `aff_sub3`, `subid4`, `ml_sub5`, `sub_id_6`. Without a number they
/// mean `sub1`.
fn sub_id(name: &str) -> Option<String> {
    const NUMBERED: [&str; 9] = ["s", "sid", "sub", "subid", "subaff", "data", "afp", "param", "clickref"];
    const ALONE: [&str; 4] = ["sub", "subid", "subaff", "sid"];
    let letters: String = name.chars().filter(|c| *c != '_').collect();
    let word = letters.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &letters[word.len()..];
    let word = ["aff", "ml", "pub", "lead"].iter().find_map(|owner| word.strip_prefix(owner)).unwrap_or(word);
    match number.parse::<u32>() {
        Ok(number @ 1..=10) if NUMBERED.contains(&word) => Some(format!("sub{number}")),
        Err(_) if ALONE.contains(&word) => Some("sub1".into()),
        _ => None,
    }
}

/// `clickid` becomes `click_id`, `offername` becomes `offer_name`.
fn with_word_break(name: &str) -> Option<String> {
    const LAST_WORDS: [&str; 6] = ["id", "name", "date", "code", "reason", "email"];
    let first = LAST_WORDS.iter().find_map(|last| Some((name.strip_suffix(last)?, *last)))?;
    (!first.0.is_empty() && !first.0.ends_with('_')).then(|| format!("{}_{}", first.0, first.1))
}

/// The macro that the end of a longer name suggests: `action_status`, `offer_currency`, `order_commission`.
fn by_ending(name: &str) -> Option<&'static str> {
    let letters: String = name.chars().filter(|c| *c != '_').collect();
    let theirs = ["ext", "external", "aff", "affiliate", "pub", "publisher", "partner"];
    if let Some(whose) = letters.strip_suffix("clickid") {
        return Some(if theirs.contains(&whose) { "external_click_id" } else { "click_id" });
    }
    let payout = ["payout", "commission", "earnings"];
    let decorated = ["amount", "decimal", "sum"];
    if payout
        .iter()
        .any(|word| letters.ends_with(word) || letters.strip_prefix(word).is_some_and(|rest| decorated.contains(&rest)))
    {
        return Some("payout");
    }
    let endings = [
        ("currency", "currency"),
        ("status", "status"),
        ("saleamount", "amount"),
        ("orderamount", "amount"),
        ("rejectionreason", "rejection_reason"),
    ];
    endings.iter().find(|(ending, _)| letters.ends_with(ending)).map(|(_, ours)| *ours)
}

/// Whether the name of a parameter suggests a key or password.
pub(super) fn is_key(parameter: &str) -> bool {
    const KEYS: [&str; 15] = [
        "key",
        "token",
        "secret",
        "secure",
        "password",
        "passwd",
        "pass",
        "auth",
        "hash",
        "apikey",
        "securitycode",
        "verificationtoken",
        "securitytoken",
        "securitykey",
        "pwd",
    ];
    const LAST: [&str; 4] = ["accesstoken", "authtoken", "apikey", "postbackkey"];
    let letters: String = parameter.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    KEYS.contains(&letters.as_str()) || LAST.iter().any(|last| letters.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(token: &str) -> Option<String> {
        const OURS: [&str; 24] = [
            "click_id",
            "external_click_id",
            "sub1",
            "sub2",
            "sub3",
            "sub5",
            "sub6",
            "sub10",
            "affiliate_id",
            "offer_id",
            "offer_name",
            "transaction_id",
            "conversion_id",
            "goal",
            "status",
            "rejection_reason",
            "payout",
            "revenue",
            "amount",
            "currency",
            "timestamp",
            "country",
            "event_name",
            "payout_minor",
        ];
        ours(token, |name| OURS.contains(&name))
    }

    #[test]
    fn names_are_recognized_in_every_spelling() {
        for token in ["click_id", "CLICK_ID", "Click_Id", "click-id", "url.clickid"] {
            assert_eq!(found(token).as_deref(), Some("click_id"), "{token}");
        }
        for token in ["clickid", "clickId", "ClickID", "CLICKID", "cid", "CID", "external_click_id"] {
            assert_eq!(found(token).as_deref(), Some("external_click_id"), "{token}");
        }
        assert_eq!(ours("clickid", |name| name == "click_id").as_deref(), Some("click_id"), "the only click id macro");
        assert_eq!(found("transactionID").as_deref(), Some("transaction_id"));
        assert_eq!(found("offerid").as_deref(), Some("offer_id"));
        assert_eq!(found("payout_minor").as_deref(), Some("payout_minor"));
    }

    #[test]
    fn sub_ids_are_words_with_numbers() {
        for (token, expected) in [
            ("s2", "sub2"),
            ("S2", "sub2"),
            ("aff_sub", "sub1"),
            ("aff_sub2", "sub2"),
            ("subid", "sub1"),
            ("subid2", "sub2"),
            ("sub_id", "sub1"),
            ("sub_id_10", "sub10"),
            ("SubId1", "sub1"),
            ("ml_sub3", "sub3"),
            ("sid5", "sub5"),
            ("lead.Sub1", "sub1"),
            ("afftrack", "sub1"),
            ("clickRef2", "sub2"),
            ("data1", "sub1"),
        ] {
            assert_eq!(found(token).as_deref(), Some(expected), "{token}");
        }
        for token in ["s", "s11", "sub0", "s99999999999", "param"] {
            assert_eq!(found(token), None, "{token}");
        }
    }

    #[test]
    fn longer_names_are_recognized_by_their_end() {
        for (token, expected) in [
            ("aff_click_id", "external_click_id"),
            ("S_CLICK_ID", "click_id"),
            ("offer_currency", "currency"),
            ("conv_status", "status"),
            ("affiliate_earnings", "payout"),
            ("CommissionAmount", "payout"),
            ("payout_decimal", "payout"),
            ("order.commission", "payout"),
            ("payment.sum", "payout"),
            ("commission_currency", "currency"),
            ("sale_amount", "amount"),
            ("click.publisher.clickId", "click_id"),
            ("link.query.clickid", "click_id"),
            ("order.amount", "amount"),
        ] {
            assert_eq!(found(token).as_deref(), Some(expected), "{token}");
        }
        for token in ["nope", "id", "name", "date_of_birth", "status_code_x", "commission_groups", ""] {
            assert_eq!(found(token), None, "{token}");
        }
    }
}
