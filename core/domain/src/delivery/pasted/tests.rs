//! Pasted URLs and their parts.

use super::*;

const OURS: [&str; 6] = ["click_id", "external_click_id", "payout", "customer_name", "sub1", "offer_id"];

fn split_ours(text: &str) -> Result<Pasted, NotAUrl> {
    split(text, |name| OURS.contains(&name))
}

#[test]
fn the_example_of_the_guide_is_split() {
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
fn every_token_notation_is_recognized() {
    for token in [
        "%7Bpayout%7D",
        "%257Bpayout%257D",
        "[=payout=]",
        "%E2%80%9C{payout}%E2%80%9D",
        "xxPAYOUTxx",
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
fn text_that_is_not_a_url_is_refused() {
    for text in ["", "t.example/?a=1", "ftp://t.example", "https://", "https:///x", "https://t.example/ x"] {
        assert!(split_ours(text).is_err(), "{text}");
    }
}

/// Every macro of macro-url.
const ALL: &str = "click_id external_click_id sub1 sub2 sub3 sub4 sub5 sub6 sub7 sub8 sub9 sub10 affiliate_id \
    affiliate_name referral_code offer_id offer_name conversion_id transaction_id goal status previous_status \
    rejection_reason payout revenue amount payout_minor revenue_minor amount_minor currency customer_name customer_email \
    plan_name plan_price purchase_id purchase_date event_id action event_name revision event_date click_date \
    conversion_date timestamp ip country device user_agent referrer keyword page";

fn split_all(text: &str) -> Pasted {
    split(text, |name| ALL.split_whitespace().any(|it| it == name)).expect("it is a URL")
}

#[derive(serde::Deserialize)]
struct Network {
    url: String,
    /// Parameter to macro.
    parameters: std::collections::BTreeMap<String, String>,
    /// Values that a person must choose or fill in.
    unknown: Vec<String>,
}

/// Each documented outbound URL of networks, trackers and ad platforms, and a URL for every token syntax.
#[test]
fn the_urls_of_real_networks_are_split() {
    let networks: Vec<Network> = serde_json::from_str(include_str!("networks.json")).expect("it is a table");
    for network in networks {
        let pasted = split_all(&network.url);
        let parameters = pasted.parameters.into_iter().map(|it| (it.name, it.r#macro)).collect();
        let unknown: Vec<String> = pasted.unknown.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((network.parameters, network.unknown), (parameters, unknown), "{}", network.url);
        for (name, value) in pasted.custom {
            let marks = value.contains(['{', '}', '[', ']', '<', '>', '#', '%', '!', '$', '(', ')']);
            assert!(!marks, "{name}={value} of {} would be sent as it is", network.url);
        }
    }
}

#[test]
fn macros_in_the_path_and_inside_values_stay_in_place() {
    let pasted =
        split_all("https://t.example/%7BclickId%7D/[offerid].php?id=c-{subid2}%20&u={goal}x{nope}&f=1&p=[payout]");
    assert_eq!(pasted.base_url, "https://t.example/{external_click_id}/{offer_id}.php?id=c-{sub2}%20");
    assert_eq!(pasted.unknown, [("u".into(), "{goal}x{nope}".to_owned())]);
    assert_eq!(pasted.custom, [("f".into(), "1".into())]);
    assert_eq!(pasted.parameters, [MacroParameter { name: "p".into(), r#macro: "payout".into() }]);
    let blank = split_all("https://t.example/<account>/pb?c={click_id}");
    assert_eq!(blank.base_url, "https://t.example/<account>/pb");
    assert_eq!(blank.unknown, [("base_url".into(), "<account>".to_owned())]);
}

#[test]
fn angle_brackets_are_macros_only_without_other_notations() {
    let macros = |url| split_all(url).parameters.into_iter().map(|it| it.r#macro).collect::<Vec<_>>();
    assert_eq!(macros("https://t.example/?a=<click_id>&b=<payout>"), ["click_id", "payout"]);
    assert_eq!(macros("https://t.example/?a={click_id}&b=<payout>"), ["click_id"], "a blank to fill in");
    assert_eq!(macros("https://t.example/?a=x&amp;b=%3Cpayout%3E"), ["payout"], "from a page's source");
}

#[test]
fn fixed_values_that_macro_url_cannot_take_stay_in_the_url() {
    let long = "k".repeat(101);
    let many: Vec<String> = (0..22).map(|n| format!("n{n}=1")).collect();
    let pasted = split_all(&format!("https://t.example/pb?key={long}&{}", many.join("&")));
    assert_eq!(pasted.base_url, format!("https://t.example/pb?key={long}&n20=1&n21=1"));
    assert_eq!(pasted.custom.len(), 20);
    assert!(pasted.unknown.is_empty());
}

#[test]
fn a_url_from_the_source_of_a_page_or_from_a_manual_is_split() {
    for url in [
        "https://t.example/pb?cid={clickid}&amp;payout={payout}&amp;currency={currency}",
        "https://t.example/pb?cid={clickid}&#038;payout={payout}&#38;currency={currency}",
        "https://t.example/pb?cid={clickid}&payout={payout}¤cy={currency}",
        "https://t.example/pb?cid={clickid}&payout={payout}%C2%A4cy={currency}",
    ] {
        let pasted = split_all(url);
        let pairs: Vec<_> = pasted.parameters.iter().map(|it| (it.name.as_str(), it.r#macro.as_str())).collect();
        assert_eq!(pairs, [("cid", "external_click_id"), ("payout", "payout"), ("currency", "currency")], "{url}");
        assert!(pasted.unknown.is_empty() && pasted.custom.is_empty(), "{url}");
    }
}

#[test]
fn hostile_input_is_harmless() {
    for part in ["{", "{{", "[[[", "!!", "${(", "{a", "%", "ż{ż}", "#", "<", "&amp;"] {
        split_all(&format!("https://t.example/{0}?a={0}&b={0}", part.repeat(20_000)));
    }
}

#[test]
fn placeholder_words_in_capitals_are_left_to_a_person() {
    let pasted =
        split("https://t.example/p?cid=REPLACE&tx=OPTIONAL&c=CLICK_ID&cur=USD&e=LEADGEN&cb=__PAYOUT__", |name| {
            matches!(name, "click_id" | "payout")
        });
    let pasted = pasted.expect("it is a URL");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(pasted.unknown, [pair("cid", "REPLACE"), pair("tx", "OPTIONAL"), pair("c", "CLICK_ID")]);
    assert_eq!(pasted.custom, [pair("cur", "USD"), pair("e", "LEADGEN")]);
    assert_eq!(pasted.parameters, [MacroParameter { name: "cb".into(), r#macro: "payout".into() }]);
}

#[test]
fn blanks_and_fragments_are_ignored() {
    let pasted = split_all(" https://t.example/{ offer_id }?c={ click_id }&d={{ payout}}&e=1#frag{goal} ");
    assert_eq!(pasted.base_url, "https://t.example/{offer_id}");
    let macros: Vec<_> = pasted.parameters.iter().map(|it| it.r#macro.as_str()).collect();
    assert_eq!(macros, ["click_id", "payout"]);
    assert_eq!(pasted.custom, [("e".to_owned(), "1".to_owned())]);
    assert_eq!(split_all("https://t.example/p#a").base_url, "https://t.example/p");
    assert_eq!(split_all("https://t.example/p?s=#s2#").parameters[0].r#macro, "sub2");
}

#[test]
fn a_trackers_click_id_is_the_external_click_id() {
    for (url, wanted) in [
        ("https://track.example/click.php?cnv_id={clickid}&payout={payout}", "external_click_id"),
        ("https://track.example/postback?clickid={clickId}&sum={payout}", "external_click_id"),
        ("https://track.example/?cid={cid}", "external_click_id"),
        ("https://yourtracking.com/postback?click_id={click_id}", "click_id"),
    ] {
        assert_eq!(split_all(url).parameters[0].r#macro, wanted, "{url}");
    }
}

#[test]
fn a_key_can_be_made_a_secret() {
    let mut pasted =
        split_all("https://t.example/pb?key=a1b2&Access-Token=t&access.token=u&event=sale&cid={cid}&token=");
    pasted.seal_keys();
    let fixed: Vec<_> = pasted.custom.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fixed, ["event", "token"]);
    let secrets: Vec<_> = pasted.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(secrets, [("Access_Token", "t"), ("access_token", "u"), ("key", "a1b2")]);
    assert_eq!(
        pasted.parameters[2],
        MacroParameter { name: "Access-Token".into(), r#macro: "secret.Access_Token".into() }
    );
    let again = split_all("https://t.example/{secret.key}/pb?k={secret.other}");
    assert_eq!(
        (again.base_url.as_str(), again.parameters[0].r#macro.as_str()),
        ("https://t.example/{secret.key}/pb", "secret.other")
    );
}

#[test]
fn parameters_of_the_template_are_removed() {
    let pasted = "https://ad.example/conversion.php?aid=1&amp;pid=&visitor_id=${SUBID}&tid=2#x";
    assert_eq!(without_parameters(pasted, &["visitor_id"]), "https://ad.example/conversion.php?aid=1&pid=&tid=2");
    assert_eq!(without_parameters("https://ad.example/?c={c}", &["c", "d"]), "https://ad.example/");
    assert_eq!(without_parameters("https://ad.example/c", &["c"]), "https://ad.example/c");
    assert_eq!(token_in("https://ad.example/?a=1&b=${SUBID}"), Some("${SUBID}"));
    assert_eq!(token_in("https://ad.example/?a=1"), None);
}

#[test]
fn macros_in_a_longer_value_stay_in_the_url() {
    let pasted = split_all("https://t.example/p?s={goal}x{status}&t=c-[sub3]&u=a{b");
    assert_eq!(pasted.base_url, "https://t.example/p?s={goal}x{status}&t=c-{sub3}");
    assert_eq!(pasted.unknown, [("u".into(), "a{b".into())]);
}

#[test]
fn an_unknown_token_is_understood_by_its_parameter_name() {
    let pasted = split_all(
        "https://t.example/p?txid={id}&payout=#{pay.theyGetInDollars}&clickid=[cmc_tid]&status={{x.y}}&time={when}&z={id}",
    );
    let macros: Vec<_> = pasted.parameters.iter().map(|it| (it.name.as_str(), it.r#macro.as_str())).collect();
    let wanted = [
        ("txid", "transaction_id"),
        ("payout", "payout"),
        ("clickid", "external_click_id"),
        ("status", "status"),
        ("time", "timestamp"),
    ];
    assert_eq!(macros, wanted);
    assert_eq!(pasted.unknown, [("z".into(), "{id}".into())]);
    // A blank is not translated by its parameter's name, and a parameter's name does not give access to a secret.
    let pasted = split_all("https://t.example/p?c={click_id}&status=<your_status>&secret.k={x}");
    let unknown: Vec<_> = pasted.unknown.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(unknown, ["status", "secret.k"]);
}

#[test]
fn a_click_id_is_the_trackers_unless_the_url_has_both() {
    let meant = |url: &str| {
        let mut pasted = split_all(url);
        pasted.mean_tracker_click_ids();
        (
            pasted.base_url,
            pasted.parameters.into_iter().map(|it| it.r#macro).collect::<Vec<_>>(),
            pasted.tracker_click_ids,
        )
    };
    let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    for (url, base_url, macros, replaced) in [
        ("https://t.example/?a={click_id}", "https://t.example/", &["external_click_id"][..], &["a"][..]),
        (
            "https://t.example/{click_id}?p={payout}",
            "https://t.example/{external_click_id}",
            &["payout"],
            &["base_url"],
        ),
        (
            "https://t.example/?a={click_id}&b={external_click_id}",
            "https://t.example/",
            &["click_id", "external_click_id"],
            &[],
        ),
        (
            "https://t.example/{external_click_id}?a={click_id}",
            "https://t.example/{external_click_id}",
            &["click_id"],
            &[],
        ),
        ("https://t.example/?a={clickid}&b=click_id", "https://t.example/", &["external_click_id"], &[]),
    ] {
        assert_eq!(meant(url), (base_url.to_owned(), names(macros), names(replaced)), "{url}");
    }
}
