//! The known name that a caller probably meant.

/// The least similarity of a name that is suggested. With it, "stauts" finds "status", and "page" does not find "type".
const SIMILAR: f64 = 0.8;

/// The most similar of the known names; `None` if none is similar.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let scored = known.into_iter().map(|name| (strsim::jaro_winkler(&given, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILAR).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_the_name_and_another_word_does_not() {
        let known = ["limit", "cursor", "affiliate_id", "status", "from", "until"];
        for (given, wanted) in [
            ("stauts", Some("status")),
            ("affilate_id", Some("affiliate_id")),
            ("affiliateId", Some("affiliate_id")),
            ("form", Some("from")),
            ("Limit", Some("limit")),
            ("nosuchfilter", None),
            ("x", None),
        ] {
            assert_eq!(nearest(given, known), wanted, "{given}");
        }
        assert_eq!(nearest("limit", []), None);
    }
}
