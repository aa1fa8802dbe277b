//! The answer of a source's page: whether its notifications arrive, in one sentence.

use domain::inbound::notification::Outcome;
use domain::inbound::source::Source;
use domain::timestamp::Timestamp;
use engine::inbound::activity::Activity;
use serde::Serialize;

use crate::inbound::Arrival;
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};

#[derive(Debug, Serialize)]
pub struct Answer {
    kind: &'static str,
    icon: &'static str,
    sentence: Text,
    detail: Option<Text>,
    link: Option<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    url: String,
    name: Text,
}

impl Answer {
    pub fn new(
        arrival: Arrival,
        source: &Source,
        activity: &Activity,
        last_refusal: Option<&(String, String)>,
        now: Timestamp,
    ) -> Self {
        let received: u64 = activity.arrivals.iter().map(|it| it.count).sum();
        let log = || Link { url: format!("/inbound-requests?source_id={}", source.id), name: text("source.see_log") };
        let of = |kind, icon, sentence| Self { kind, icon, sentence, detail: None, link: Some(log()) };
        let last_accepted = activity.last_of(Outcome::Accepted);
        let accepted = last_accepted.map(|at| text("source.last_accepted").time("at", at));
        match (arrival, activity.last_at) {
            (Arrival::Disabled, _) => Self {
                detail: Some(text("source.disabled_detail")),
                link: Some(Link { url: format!("/sources/{}/settings", source.id), name: text("source.to_settings") }),
                ..of("off", "circle-slash", text("source.disabled"))
            },
            (Arrival::Never, _) | (_, None) => Self {
                detail: Some(text("source.never_detail")),
                link: None,
                ..of("info", "circle-dashed", text("source.never"))
            },
            (Arrival::Silent, Some(at)) => Self {
                detail: accepted.or_else(|| Some(text("source.none_accepted"))),
                ..of("warn", "clock-alert", text("source.silent").span("span", now.since(at)))
            },
            (Arrival::Refused, Some(at)) => Self {
                detail: last_refusal.map(|(_, reason)| plain(as_sentence(reason))),
                link: Some(last_refusal.map_or_else(log, |(id, _)| Link {
                    url: format!("/inbound-requests/{id}"),
                    name: text("source.see_refused"),
                })),
                ..of("bad", "circle-x", text("source.refused").time("at", at))
            },
            (Arrival::Arriving, Some(at)) => Self {
                detail: accepted.or_else(|| Some(text("source.none_accepted"))),
                ..of("ok", "circle-check", text("source.arriving").time("at", at).with("count", received.to_string()))
            },
        }
    }
}
