//! URLs that a person copied from HTML: from the source of a page, or from a manual whose software took a part of a
//! parameter's name for a character.

/// `&` as HTML writes it, without the `&` at its beginning.
const AMPERSANDS: [&str; 4] = ["amp;", "#038;", "#38;", "#x26;"];

/// The characters that HTML makes of the beginning of a parameter's name, plain and encoded, and that beginning:
/// `&currency=` is shown as `¤cy=`.
const NAMES: [(&str, &str, &str); 7] = [
    ("¤", "%C2%A4", "curren"),
    ("×", "%C3%97", "times"),
    ("¶", "%C2%B6", "para"),
    ("§", "%C2%A7", "sect"),
    ("¬", "%C2%AC", "not"),
    ("®", "%C2%AE", "reg"),
    ("©", "%C2%A9", "copy"),
];

/// The URL as it was before HTML: with [`plain_ampersands`], and with the whole names of its parameters.
pub(crate) fn from_html(url: &str) -> String {
    let url = plain_ampersands(url);
    let Some((address, query)) = url.split_once('?') else { return url };
    let (mut out, mut at) = (format!("{address}?"), 0);
    while let Some(first) = query[at..].chars().next() {
        match beginning_of_name(&query[at..]) {
            Some((length, word)) => {
                out.extend(["&", word]);
                at += length;
            }
            None => {
                out.push(first);
                at += first.len_utf8();
            }
        }
    }
    out
}

/// The URL with `&` for `&amp;`, `&#038;`, `&#38;` and `&#x26;`, also if it was written twice: `&amp;amp;`.
pub(crate) fn plain_ampersands(url: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(url.len()), url);
    while let Some((before, after)) = rest.split_once('&') {
        out.extend([before, "&"]);
        rest = after;
        while let Some(after) = AMPERSANDS.iter().find_map(|written| without_beginning(rest, written)) {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The length of a character at the beginning of the text that was the beginning of a name, and that beginning.
fn beginning_of_name(text: &str) -> Option<(usize, &'static str)> {
    NAMES.iter().find_map(|(plain, encoded, word)| {
        let after = without_beginning(text, plain).or_else(|| without_beginning(text, encoded))?;
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        after.trim_start_matches(is_letter).starts_with('=').then_some((text.len() - after.len(), *word))
    })
}

fn without_beginning<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let found = text.get(..beginning.len())?;
    found.eq_ignore_ascii_case(beginning).then(|| &text[beginning.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_was_copied_from_html_is_the_url_before_it() {
        for (copied, wanted) in [
            ("https://t.example/?a=1&amp;b=2", "https://t.example/?a=1&b=2"),
            ("https://t.example/?a=1&AMP;amp;b=2&#038;c=3&#38;d=4&#X26;e=5", "https://t.example/?a=1&b=2&c=3&d=4&e=5"),
            ("https://t.example/?p={payout}¤cy={currency}", "https://t.example/?p={payout}&currency={currency}"),
            ("https://t.example/?p={payout}%c2%a4cy=USD", "https://t.example/?p={payout}&currency=USD"),
            ("https://t.example/?a=1×tamp={t}®ion=x§ion=2", "https://t.example/?a=1&timestamp={t}&region=x&section=2"),
            ("https://t.example/§ion=1?a=5¤&b=¤ cy", "https://t.example/§ion=1?a=5¤&b=¤ cy"),
            ("https://t.example/?name=amp;b&", "https://t.example/?name=amp;b&"),
        ] {
            assert_eq!(from_html(copied), wanted, "{copied}");
        }
    }
}
