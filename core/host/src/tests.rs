//! The host with the built-in adapters, and with hostile components.

mod hostile;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::limits::Limits;
use super::*;

/// A folder that is removed at the end.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("postrider-adapters-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn context() -> wire::Context {
    wire::Context { now: 1_795_183_500_000, attempt: 1, dry_run: false, idempotency_key: "dlv_1".into() }
}

pub(super) fn binding(config: serde_json::Value) -> wire::Binding {
    wire::Binding { id: "pbk_1".into(), config: config.to_string() }
}

fn field(name: &str, value: &str) -> wire::Field {
    wire::Field { name: name.into(), value: value.into() }
}

fn party(id: &str, name: &str) -> wire::Party {
    wire::Party { id: id.into(), name: name.into(), attributes: vec![field("referral_code", "AF12345")] }
}

fn usd(micros: i64) -> Option<wire::Money> {
    Some(wire::Money { micros, currency: "USD".into() })
}

pub(super) fn conversion() -> wire::Event {
    let click = wire::Click {
        id: "06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
        external_id: Some("ext 1/2".into()),
        at: 1_795_080_600_000,
        target_url: "https://shop.example/".into(),
        referrer: Some("https://blog.example/review?a=1".into()),
        ip: Some("203.0.113.7".into()),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64)".into()),
        country: Some("PL".into()),
        device: Some("desktop".into()),
        sub_ids: vec![field("sub1", "newsletter"), field("sub2", "zażółć")],
        attributes: vec![field("keyword", "email tool")],
    };
    let conversion = wire::Conversion {
        id: "cnv_1".into(),
        transaction_id: "order-1001".into(),
        revision: 2,
        goal: Some("sale".into()),
        status: wire::ConversionStatus::Approved,
        previous_status: Some(wire::ConversionStatus::Pending),
        payout: usd(12_500_000),
        revenue: usd(20_000_000),
        sale: usd(49_000_000),
        customer_name: Some("Grace Hopper".into()),
        customer_email: Some("grace@example.com".into()),
        product_name: Some("Pro yearly".into()),
        occurred_at: 1_795_183_500_000,
        attributes: vec![],
    };
    wire::Event {
        id: "evt_1".into(),
        action: wire::Action::Conversion,
        name: None,
        occurred_at: 1_795_183_500_000,
        affiliate: party("aff_1", "Ada Lovelace"),
        offer: Some(party("off_1", "Starter")),
        click: Some(click),
        conversion: Some(conversion),
        attributes: vec![],
    }
}

/// One host for all tests. Its folder is kept, so that the next run does not compile the adapters again.
pub(super) fn shared() -> &'static Host {
    static SHARED: LazyLock<Host> = LazyLock::new(|| {
        let folder = std::env::temp_dir().join("postrider-test-adapters");
        Host::start(&folder).expect("the host starts")
    });
    &SHARED
}

fn macro_url() -> Arc<Adapter> {
    built_in(shared())
}

fn built_in(host: &Host) -> Arc<Adapter> {
    host.adapter("macro-url").expect("it is built in")
}

#[test]
fn macro_url_renders_a_conversion_and_reads_the_answer() {
    let adapter = macro_url();
    let binding = binding(json!({
        "base_url": "https://t.example/pb?event=sale",
        "parameters": [
            {"name": "clickid", "macro": "external_click_id"},
            {"name": "sum", "macro": "payout"},
            {"name": "s2", "macro": "sub2"},
        ],
        "custom": [{"name": "source", "value": "postrider"}],
    }));
    let (ctx, event) = (context(), conversion());
    let mut session = adapter.session();
    let decision = session.decide(&ctx, &binding, &event).expect("it decides");
    assert_eq!(decision.verdict, wire::Verdict::Fire);
    let request = session.render(&ctx, &binding, &event).expect("it renders");
    let url =
        "https://t.example/pb?event=sale&clickid=ext%201%2F2&sum=12.50&s2=za%C5%BC%C3%B3%C5%82%C4%87&source=postrider";
    assert_eq!(request.url, url);
    assert_eq!(request.method, wire::HttpMethod::Get);
    let answer = |status| wire::Response { status, headers: vec![], body: b"OK".to_vec(), truncated: false };
    let mut classify = |status| session.classify(&ctx, &binding, &request, &answer(status)).expect("it classifies");
    assert_eq!(classify(204), wire::Outcome::Accepted(None));
    assert_eq!(classify(503), wire::Outcome::Retry(None));
    assert!(matches!(classify(404), wire::Outcome::Refused(_)));
}

#[test]
fn a_call_reports_its_cost() {
    let adapter = macro_url();
    let mut session = adapter.session();
    assert_eq!(session.cost(), Cost::default());
    let binding = binding(json!({"base_url": "https://t.example/"}));
    session.render(&context(), &binding, &conversion()).expect("it renders");
    let cost = session.cost();
    assert!((1..adapter.limits().fuel / 10).contains(&cost.fuel), "{cost:?}");
    assert!((1 << 16..=limits::MEMORY_BYTES).contains(&cost.memory_bytes), "{cost:?}");
    assert!(!cost.elapsed.is_zero());
    session.render(&context(), &binding, &conversion()).expect("it renders");
    assert!(session.cost().fuel < cost.fuel, "the configuration is parsed once");
}

#[test]
fn an_unsupported_call_is_an_error() {
    let mut session = macro_url().session();
    let binding = binding(json!({"base_url": "https://t.example/"}));
    let click = conversion().click.expect("it has one");
    let error = session.decorate_click(&context(), &binding, &click).expect_err("it only sends");
    assert_eq!(error.code(), "adapter_unsupported");
}

#[test]
fn one_instance_serves_changing_configurations() {
    let mut session = macro_url().session();
    for page in ["one", "two", "one"] {
        let binding = binding(json!({"base_url": format!("https://t.example/{page}")}));
        let request = session.render(&context(), &binding, &conversion()).expect("it renders");
        assert_eq!(request.url, format!("https://t.example/{page}"));
    }
}

#[test]
fn configurations_are_checked_by_schema_and_by_the_adapter() {
    let adapter = macro_url();
    let paths = |config| -> Vec<String> {
        adapter.check_config(&config).expect("it checks").into_iter().map(|issue| issue.path).collect()
    };
    let good = json!({"base_url": "https://t.example/{click_id}", "parameters": [{"name": "a", "macro": "goal"}]});
    assert_eq!(paths(good), [""; 0]);
    assert_eq!(paths(json!({})), ["/base_url"]);
    assert_eq!(paths(json!("text")), [""]);
    let both = json!({
        "base_url": "ftp://t.example",
        "method": "PUT",
        "custom": [{"name": "ok", "value": "x".repeat(101)}],
    });
    assert_eq!(paths(both), ["/custom/0/value", "/method"]);
    let parameters =
        json!([{"name": "a", "macro": "goal"}, {"name": "b", "macro": "click_id"}, {"name": "a", "macro": "nope"}]);
    let unknown = json!({"base_url": "https://t.example", "parameters": parameters});
    assert_eq!(paths(unknown), ["/parameters/2/macro", "/parameters/2/name"]);
    let one_hundred_emoji =
        json!({"base_url": "https://t.example", "custom": [{"name": "e", "value": "😀".repeat(100)}]});
    assert_eq!(paths(one_hundred_emoji), [""; 0]);
}

#[test]
fn a_value_never_appears_in_an_issue() {
    let config =
        json!({"base_url": "https://t.example", "method": "s3cret", "custom": [{"name": "k", "value": 5318008}]});
    let issues = macro_url().check_config(&config).expect("it checks");
    assert_eq!(issues.len(), 2, "{issues:?}");
    assert!(
        issues.iter().all(|issue| !issue.message.contains("s3cret") && !issue.message.contains("5318008")),
        "{issues:?}"
    );
}

#[test]
fn an_oversized_configuration_never_reaches_the_adapter() {
    let config = json!({"base_url": "x".repeat(limits::CONFIG_BYTES)});
    let error = macro_url().check_config(&config).expect_err("it is too large");
    assert_eq!(error.code(), "adapter_config_too_large");
}

#[test]
fn compiled_code_is_reused_and_damage_is_detected() {
    let scratch = Scratch::new("cache");
    Host::start(&scratch.0).expect("the host starts");
    let file =
        std::fs::read_dir(&scratch.0).expect("the folder exists").next().expect("a file").expect("readable").path();
    let first = std::fs::metadata(&file).expect("it exists").modified().expect("has a time");
    Host::start(&scratch.0).expect("the host starts");
    assert_eq!(std::fs::metadata(&file).expect("it exists").modified().expect("has a time"), first, "written once");
    let mut bytes = std::fs::read(&file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).expect("writable");
    Host::start(&scratch.0).expect("the host starts");
    assert_ne!(std::fs::read(&file).expect("readable"), bytes, "the damaged file is replaced");
}

#[test]
fn adapters_run_without_a_pool() {
    let engine = wasmtime::Engine::new(&engine::on_demand()).expect("it starts");
    let scratch = Scratch::new("on-demand");
    let wasm = include_bytes!("../../../plugins/dist/macro-url.wasm");
    let component =
        load::load(&engine, &cache::Cache::open(&scratch.0), load::Origin::Trusted, wasm).expect("it loads");
    let adapter = Adapter::new(component, digest(wasm), Limits::default(), true).expect("it describes itself");
    assert_eq!(adapter.descriptor().id, "macro-url");
}

#[test]
fn a_full_pool_is_busy_and_recovers() {
    let scratch = Scratch::new("pool");
    let adapter = built_in(&Host::start(&scratch.0).expect("the host starts"));
    let binding = binding(json!({"base_url": "https://t.example/"}));
    let (ctx, event) = (context(), conversion());
    let mut sessions: Vec<Session> = (0..limits::INSTANCES).map(|_| adapter.session()).collect();
    for session in &mut sessions {
        session.render(&ctx, &binding, &event).expect("there is room");
    }
    let error = adapter.session().render(&ctx, &binding, &event).expect_err("there is no room");
    assert_eq!(error, AdapterError::Busy);
    sessions.clear();
    adapter.session().render(&ctx, &binding, &event).expect("there is room again");
}
