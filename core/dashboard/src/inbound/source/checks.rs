//! What to check if no notification arrives: the three usual causes, the likeliest first.

use domain::inbound::guards::NotAdmitted;
use domain::inbound::source::Source;
use engine::delivery::templates;
use engine::inbound::activity::Activity;
use engine::inbound::visible_source::VisibleSource;
use serde::Serialize;

use crate::shell::texts::{Text, text};

/// The codes of requests without a usable click id.
const CLICK_CODES: [&str; 6] = [
    "no_click_id",
    "foreign_click_id",
    "unreplaced_macro",
    "click_id_too_short",
    "click_id_ambiguous",
    "click_not_there",
];
#[derive(Debug, Serialize)]
pub struct Check {
    title: Text,
    help: Vec<Text>,
    copies: Vec<Copied>,
    /// What the requests say about this cause, and its colour.
    evidence: Option<Text>,
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct Copied {
    name: Option<String>,
    value: String,
}

/// The checks of a source, with the URLs that are pasted into its network and their places.
pub fn all(visible: &VisibleSource, activity: &Activity, urls: &[(Option<String>, String)]) -> Vec<Check> {
    let source = &visible.source;
    vec![address(visible, urls), click_id(source, activity), guards(source, activity)]
}

fn count(activity: &Activity, codes: &[&str]) -> u64 {
    let of_codes = activity.arrivals.iter().filter(|it| it.code.as_deref().is_some_and(|code| codes.contains(&code)));
    of_codes.map(|it| it.count).sum()
}

fn evidence(found: u64, key: &str) -> (Option<Text>, &'static str) {
    match found {
        0 => (None, "off"),
        _ => (Some(text(key).count("count", found)), "bad"),
    }
}

fn address(visible: &VisibleSource, urls: &[(Option<String>, String)]) -> Check {
    let copies = urls.iter().map(|(name, value)| Copied { name: name.clone(), value: value.clone() });
    let mut help = vec![text("source_check.address_help")];
    if visible.key.is_none() {
        help.push(text("source_check.address_masked"));
    }
    Check { title: text("source_check.address"), help, copies: copies.collect(), evidence: None, kind: "off" }
}

fn click_id(source: &Source, activity: &Activity) -> Check {
    let (evidence, kind) = evidence(count(activity, &CLICK_CODES), "source_check.click_evidence");
    let template = source.template.as_deref().and_then(|id| templates::get(id).ok());
    let (help, copied) = match (source.appended_session(), template.and_then(|it| it.click_parameter.as_deref())) {
        (Some(parameter), _) => (text("source_check.session_appended").with("parameter", parameter), None),
        (None, Some(parameter)) => (text("source_check.click_parameter"), Some(format!("{parameter}={{click_id}}"))),
        (None, None) => (text("source_check.click_by_hand"), None),
    };
    Check {
        title: text("source_check.click"),
        help: vec![help, text("source_check.click_returned")],
        copies: copied.map(|value| Copied { name: None, value }).into_iter().collect(),
        evidence,
        kind,
    }
}

fn guards(source: &Source, activity: &Activity) -> Check {
    let guards = &source.settings.guards;
    let mut help = Vec::new();
    if !guards.networks.is_empty() {
        let networks: Vec<_> = guards.networks.iter().map(ToString::to_string).collect();
        help.push(text("source_check.networks").with("networks", networks.join(", ")));
    }
    if let Some(token) = &guards.token {
        help.push(text("source_check.token").with("parameter", &token.parameter));
    }
    let signatures = [guards.hmac.as_ref().map(|it| it.place()), guards.hash.as_ref().map(|it| it.place())];
    for place in signatures.into_iter().flatten() {
        help.push(text("source_check.signature").with("header", place.name()));
    }
    if guards.encryption.is_some() {
        help.push(text("source_check.encryption"));
    }
    let refused = count(activity, &NotAdmitted::CODES);
    let (evidence, kind) = match (help.is_empty(), refused) {
        (true, 0) => {
            help.push(text("source_check.no_guards"));
            (None, "off")
        }
        (false, 0) => (Some(text("source_check.none_refused")), "ok"),
        _ => evidence(refused, "source_check.guard_evidence"),
    };
    Check { title: text("source_check.guards"), help, copies: Vec::new(), evidence, kind }
}

#[cfg(test)]
mod tests {
    use domain::ids::AffiliateId;
    use domain::inbound::notification::Outcome;
    use domain::inbound::source::SourceKey;
    use domain::timestamp::Timestamp;
    use storage::inbound::inbound_activity::Arrivals;

    use super::*;

    #[test]
    fn a_check_shows_the_requests_that_its_cause_refused() {
        let at = Timestamp::from_millis(0);
        let source = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        let visible = VisibleSource { source, key: None };
        let kinds = |code: &str| {
            let arrivals =
                vec![Arrivals { hour: at, outcome: Outcome::Refused, code: Some(code.into()), count: 1, last_at: at }];
            let activity =
                Activity { from: at, last_at: Some(at), arrivals, is_capped: false, unknown_statuses: Vec::new() };
            let checks = all(&visible, &activity, &[(None, "https://x.example".into())]);
            checks.iter().map(|it| it.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds("foreign_click_id"), ["off", "bad", "off"]);
        assert_eq!(kinds("token_wrong"), ["off", "off", "bad"]);
    }
}
