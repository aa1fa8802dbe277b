//! Fuzzes the parser of pasted postback URLs: any text is refused or parsed, and recognized parts keep their values.

#![cfg_attr(fuzzing, no_main)]

use domain::delivery::pasted::{self as pasting, Pasted};
use postrider_sdk::macros;
use url::Url;

postrider_fuzz::target!(pasted);

fn pasted(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(parsed) = split(text) else { return };
    for parameter in &parsed.parameters {
        assert!(is_macro(&parameter.r#macro), "{parameter:?} is not a macro of Postrider");
    }
    its_host_is_the_pasted_one(text, &parsed);
    recognized_urls_are_recognized_again(&parsed);
}

fn split(text: &str) -> Result<Pasted, pasting::NotAUrl> {
    pasting::split(text, is_macro)
}

fn is_macro(name: &str) -> bool {
    macros::find(name).is_some()
}

/// Checks that no macro is part of the host. Otherwise a visitor could send buyers' data to any address.
fn its_host_is_the_pasted_one(text: &str, parsed: &Pasted) {
    let Ok(pasted) = Url::parse(&text.trim().replace("&amp;", "&")) else { return };
    let base = Url::parse(&parsed.base_url).expect("the parsed base URL is a URL");
    assert_eq!(pasted.origin(), base.origin(), "{}", parsed.base_url);
    assert_eq!((pasted.username(), pasted.password()), (base.username(), base.password()));
}

fn recognized_urls_are_recognized_again(parsed: &Pasted) {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for parameter in &parsed.parameters {
        query.append_pair(&parameter.name, &format!("{{{}}}", parameter.r#macro));
    }
    for (name, value) in &parsed.custom {
        query.append_pair(name, value);
    }
    let written = format!("https://tracker.example/?{}", query.finish());
    let again = split(&written).expect("it is a URL");
    assert_eq!(again.parameters, parsed.parameters, "{written}");
    assert_eq!(again.custom, parsed.custom, "{written}");
    assert_eq!(again.unknown, [], "{written}");
}
