//! Fuzzes requests of networks: the adapters in the real host read any request, and the settings of sources interpret the
//! result. Every result is accepted or has a code, and no text is longer than the maximum that is stored.
//!
//! The input is three lines: method and content type, the query, the body.

#![cfg_attr(fuzzing, no_main)]

use std::collections::HashSet;
use std::sync::LazyLock;

use domain::amounts::{Amount, Currency};
use domain::ids::{InboundRequestId, SourceId};
use domain::inbound::inbound_request::{InboundRequest, RawRequest};
use domain::inbound::notification::{ClickReference, Issue, Notification, Outcome};
use domain::inbound::source::SourceSettings;
use domain::timestamp::Timestamp;
use engine::delivery::wire;
use host::{AdapterError, Host, limits, wire as contract};
use postrider_sdk as sdk;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_795_183_500_000);

/// The built-in adapters that read notifications, each with a configuration.
static READERS: LazyLock<Vec<(std::sync::Arc<host::Adapter>, contract::Binding)>> = LazyLock::new(|| {
    let host = Host::start(&std::env::temp_dir().join("postrider-fuzz-adapters")).expect("the host starts");
    let fields = json!({"fields": {"click_id": "click_id", "transaction_id": "txid", "status": "status",
            "payout": "payout", "currency": "currency", "occurred_at": "time"}});
    [("macro-url", fields), ("mylead", json!({})), ("affrank", json!({}))]
        .into_iter()
        .map(|(id, config)| {
            let adapter = host.adapter(id).expect("it is built in");
            (adapter, contract::Binding { id: "src_1".into(), config: config.to_string() })
        })
        .collect()
});

static SETTINGS: LazyLock<Vec<SourceSettings>> = LazyLock::new(|| {
    [
        json!({}),
        json!({"statuses": {"1": "approved", "2": {"status": "rejected", "reason": "fraud"}, "3": "ignored"},
            "amounts": {"unit": "minor", "decimal": ",", "currency": "JPY"}, "time_zone": "+02:00"}),
    ]
    .into_iter()
    .map(|settings| serde_json::from_value(settings).expect("good settings"))
    .collect()
});

postrider_fuzz::target!(reported);

fn reported(input: &[u8]) {
    let raw = request(input);
    let request = wire::inbound_request(&raw);
    sdk_reads_within_bounds(&request);
    for (adapter, binding) in READERS.iter() {
        let context = wire::context(NOW, 1, false, "inr_1".into());
        match adapter.session().parse_inbound(&context, binding, &request) {
            Ok(report) => check_report(report),
            // An adapter can refuse the request or exceed the limits of output. A call that the host stops is a defect.
            Err(AdapterError::Refused { .. } | AdapterError::OutputTooLarge { .. }) => {}
            Err(error) => panic!("{}: {error}", error.code()),
        }
    }
    let stored = InboundRequest::arrived(InboundRequestId::new(NOW), SourceId::new(NOW), None, raw, NOW);
    let shown = stored.shown(&["s3cret".into()], true).raw;
    assert!(!String::from_utf8_lossy(&shown.body).contains("s3cret") && !shown.query.contains("s3cret"));
}

fn request(input: &[u8]) -> RawRequest {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let head = String::from_utf8_lossy(line());
    let (method, kind) = head.split_once(' ').unwrap_or((&head, ""));
    RawRequest {
        method: if method == "POST" { "POST" } else { "GET" }.into(),
        path: "/in/key".into(),
        query: String::from_utf8_lossy(line()).into_owned(),
        headers: vec![("content-type".into(), kind.chars().take(1024).collect())],
        body: line().to_vec(),
        truncated: false,
        remote_ip: "203.0.113.7".parse().ok(),
    }
}

/// The code of the SDK that the adapters use, compiled here so that its coverage is measured.
fn sdk_reads_within_bounds(request: &contract::InboundRequest) {
    let fields = |fields: &[contract::Field]| {
        fields.iter().map(|it| sdk::Field { name: it.name.clone(), value: it.value.clone() }).collect()
    };
    let parameters = sdk::inbound::Parameters::read(&sdk::InboundRequest {
        method: sdk::HttpMethod::Post,
        path: request.path.clone(),
        query: fields(&request.query),
        headers: fields(&request.headers),
        body: request.body.clone(),
        remote_ip: request.remote_ip.clone(),
    });
    let name = |name: &str| Some(name.to_owned());
    let names = sdk::inbound::Names {
        click_id: name("click_id"),
        transaction_id: name("txid"),
        status: name("status"),
        payout: name("payout"),
        currency: name("currency"),
        ..Default::default()
    };
    let report = names.report(&parameters);
    assert!(report.conversions.len() <= 1);
    for field in &request.query {
        sdk::inbound::placeholder(&field.value);
    }
}

/// Checks the bounds of a report, and that every source's settings accept it or refuse it with a code.
fn check_report(report: contract::InboundReport) {
    assert!(report.conversions.len() <= limits::REPORTED);
    if let Some(ignored) = &report.ignored {
        assert!(ignored.code.chars().count() <= limits::CODE_CHARS);
        assert!(ignored.message.chars().count() <= limits::SENTENCE_CHARS);
    }
    for reported in report.conversions {
        for settings in SETTINGS.iter() {
            match interpret(settings, wire::notification(reported.clone())) {
                Ok(()) => {}
                Err(issue) => check_issue(&issue),
            }
        }
    }
}

/// Calls the domain in the same order as engine/inbound.
fn interpret(settings: &SourceSettings, notification: Notification) -> Result<(), Issue> {
    let (notification, notes) = notification.validated()?;
    assert!(notes.iter().all(|note| !note.flag().is_empty() && note.to_string().chars().count() <= 1_000));
    for (word, max) in [(&notification.click_id, 512), (&notification.transaction_id, 200), (&notification.status, 100)]
    {
        let Some(word) = word else { continue };
        assert!((1..=max).contains(&word.chars().count()) && !word.contains('\0'), "{word:?}");
    }
    let meaning = match &notification.status {
        Some(word) => settings.meaning(word).ok_or_else(|| Issue::StatusUnknown(word.clone()))?,
        None => settings.meaning_of_none(),
    };
    meaning.status(notification.rejection_reason.as_deref());
    if let Some(text) = &notification.click_id {
        match ClickReference::read(text, NOW)? {
            ClickReference::Whole(id) => assert_eq!(id.to_string(), text.to_ascii_lowercase()),
            ClickReference::Prefix(first, last) => assert!(first <= last, "{text}"),
        }
    }
    if let Some(text) = &notification.occurred_at {
        settings.read_time(text);
    }
    let usd: Currency = "USD".parse().expect("a currency");
    for amount in [&notification.payout, &notification.revenue, &notification.sale].into_iter().flatten() {
        let currency = amount.currency()?.or(settings.amounts.currency).unwrap_or(usd);
        let read = settings.amounts.read("payout", (&amount.text, amount.notation.unit), currency)?;
        assert!(read.amount <= Amount::MAX, "{amount:?}");
    }
    Ok(())
}

/// Checks that an issue has a documented code and a bounded sentence.
fn check_issue(issue: &Issue) {
    static DOCUMENTED: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        HashSet::from([
            "test_ping",
            "status_ignored",
            "no_click_id",
            "unreplaced_macro",
            "foreign_click_id",
            "click_id_too_short",
            "unknown_status",
            "invalid_amount",
            "invalid_currency",
            "too_long",
        ])
    });
    assert!(DOCUMENTED.contains(issue.code()), "{} is not documented", issue.code());
    assert_ne!(issue.outcome(), Outcome::Accepted);
    assert!(issue.to_string().chars().count() <= 2_000, "{issue}");
}
