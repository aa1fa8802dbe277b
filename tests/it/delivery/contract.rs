//! One contract for every adapter in plugins/dist and every template: for any input they answer, twice the same,
//! within a tenth of their budget, and only to their own hosts.
//!
//! POSTRIDER_TEST_COMPONENTS names another folder of components than plugins/dist: tests/run rebuilds them.

mod generated;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use engine::delivery::cases::Case;
use host::{Adapter, AdapterError, Host, Session, wire};
use postrider_tests::plugins;
use postrider_tests::process::adapter_cache;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// The share of the limit that a case of a built-in adapter may use: the rest is a reserve for real events.
const HEADROOM: u64 = 10;

/// An adapter in plugins/dist, with its cases and the configurations of its working cases.
struct Subject {
    adapter: Arc<Adapter>,
    cases: Vec<Case>,
    configs: Vec<Value>,
}

static SUBJECTS: LazyLock<BTreeMap<String, Subject>> = LazyLock::new(|| {
    let host = Host::start(&adapter_cache()).expect("the host starts");
    let mut subjects: BTreeMap<String, Subject> =
        plugins::plugins().into_iter().map(|slug| (slug.clone(), subject(&host, &slug))).collect();
    for (adapter, config) in configs_of_templates() {
        subjects.get_mut(&adapter).expect("templates use adapters that there are").configs.push(config);
    }
    subjects
});

fn subject(host: &Host, slug: &str) -> Subject {
    let folder = std::env::var_os("POSTRIDER_TEST_COMPONENTS").map(PathBuf::from);
    let file = folder.unwrap_or_else(|| repository().join("plugins/dist")).join(format!("{slug}.wasm"));
    let wasm = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let adapter = host.load(&wasm).unwrap_or_else(|error| panic!("{slug}: {error}"));
    let folder = repository().join("plugins").join(slug).join("cases");
    let cases = Case::load_all(&folder).unwrap_or_else(|error| panic!("{slug}: {error}"));
    let mut configs: Vec<Value> = Vec::new();
    for case in &cases {
        let is_good = adapter.check_config(case.config()).is_ok_and(|issues| issues.is_empty());
        if is_good && !configs.contains(case.config()) {
            configs.push(case.config().clone());
        }
    }
    Subject { adapter, cases, configs }
}

/// Each template's configuration with the fields of its own example, by adapter.
fn configs_of_templates() -> Vec<(String, Value)> {
    let mut configs = Vec::new();
    for entry in std::fs::read_dir(repository().join("plugins/templates")).expect("there is a catalogue") {
        let text = std::fs::read(entry.expect("it is readable").path()).expect("it is readable");
        let templates: Vec<Value> = serde_json::from_slice(&text).expect("a list of templates");
        for template in templates {
            let mut config = template["config"].clone();
            fill(&mut config, &template["case"]["fields"]);
            configs.push((template["adapter"].as_str().expect("it names its adapter").to_owned(), config));
        }
    }
    configs
}

fn fill(value: &mut Value, fields: &Value) {
    match value {
        Value::String(text) => {
            for (name, field) in fields.as_object().into_iter().flatten() {
                *text = text.replace(&format!("{{{{{name}}}}}"), field.as_str().unwrap_or_default());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, fields)),
        Value::Object(members) => members.values_mut().for_each(|member| fill(member, fields)),
        _ => {}
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn context() -> wire::Context {
    wire::Context { now: 1_795_183_500_000, attempt: 1, dry_run: false, idempotency_key: "dlv_1".into() }
}

#[test]
fn every_adapter_describes_itself_for_a_person() {
    for (slug, Subject { adapter, configs, .. }) in SUBJECTS.iter() {
        let descriptor = adapter.descriptor();
        assert_eq!(descriptor.id, *slug);
        assert!(!descriptor.title.is_empty() && !descriptor.summary.is_empty(), "{slug} says what it is");
        assert!(!configs.is_empty(), "{slug} has a case with a good configuration");
        let schema: Value = serde_json::from_str(&descriptor.config_schema).expect("it is JSON");
        let nameless = nameless("", &schema);
        assert_eq!(nameless, [""; 0], "{slug}: a form needs words for every setting");
    }
}

fn nameless(at: &str, schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{at}/{name}");
        if property.get("title").is_none() {
            found.push(place.clone());
        }
        found.extend(nameless(&place, property));
    }
    found.extend(schema.get("items").map(|items| nameless(&format!("{at}/*"), items)).unwrap_or_default());
    found
}

#[test]
fn every_case_comes_out_as_expected_and_far_below_the_limit() {
    let mut problems = Vec::new();
    for (slug, Subject { adapter, cases, .. }) in SUBJECTS.iter() {
        assert!(!cases.is_empty(), "{slug} has cases");
        for case in cases {
            let name = format!("{slug}/{}", case.path.file_name().unwrap_or_default().to_string_lossy());
            let run = case.run(adapter);
            match &run.answer {
                Ok(answer) => problems.extend(case.compare(answer).into_iter().map(|line| format!("{name} {line}"))),
                Err(error) => problems.push(format!("{name}: {error}")),
            }
            if run.cost.fuel > adapter.limits().fuel / HEADROOM {
                problems.push(format!("{name}: {} steps are more than a tenth of the limit", run.cost.fuel));
            }
        }
    }
    assert_eq!(problems, [""; 0]);
}

#[test]
fn every_bad_configuration_is_refused_at_its_place() {
    for (slug, Subject { adapter, configs, .. }) in SUBJECTS.iter() {
        let paths = |config: &Value| -> Vec<String> {
            adapter.check_config(config).expect("it is judged").into_iter().map(|issue| issue.path).collect()
        };
        for config in configs {
            assert_eq!(paths(config), [""; 0], "{slug}: {config}");
            for name in config.as_object().expect("it is an object").keys() {
                let mut bad = config.clone();
                bad[name] = json!({"no": ["such", "thing"]});
                let place = format!("/{name}");
                let found = paths(&bad);
                assert!(found.iter().any(|path| path.starts_with(&place)), "{slug}: {found:?} for {bad}");
            }
            let mut bad = config.clone();
            bad["no_such_setting"] = json!(1);
            assert!(!paths(&bad).is_empty(), "{slug} takes what it does not know: {bad}");
        }
        for nonsense in [json!(null), json!([]), json!("text"), json!(17)] {
            assert!(!paths(&nonsense).is_empty(), "{slug} takes {nonsense}");
        }
    }
}

#[test]
fn adapters_answer_any_input_and_always_the_same() {
    // Strategies are deeply nested and need more stack than a test's thread has.
    let roomy = std::thread::Builder::new().stack_size(64 << 20).spawn(generate_and_ask).expect("a thread starts");
    roomy.join().expect("every answer is good");
}

fn generate_and_ask() {
    let ask = |call: &dyn Fn(&mut Session, &wire::Binding) -> String| {
        for (slug, Subject { adapter, configs, .. }) in SUBJECTS.iter() {
            for config in configs {
                let binding = wire::Binding { id: "pbk_1".into(), config: config.to_string() };
                let (mut first, mut second) = (adapter.session(), adapter.session());
                let (one, two) = (call(&mut first, &binding), call(&mut second, &binding));
                assert_eq!(one, two, "{slug} with {config}");
                assert!(!one.starts_with("DEFECT"), "{slug} with {config}: {one}\n{:?}", first.log());
                assert_eq!(first.log(), second.log(), "{slug} with {config}");
                let fuel = first.cost().fuel;
                assert!(fuel <= adapter.limits().fuel / 2, "{slug} with {config} took {fuel} steps");
            }
        }
    };
    let context = context();
    let mut runner =
        TestRunner::new(Config { cases: 64, failure_persistence: None, max_shrink_iters: 100, ..Config::default() });
    let event = |event| {
        ask(&|session, binding| told(session.decide(&context, binding, &event)));
        ask(&|session, binding| match session.render(&context, binding, &event) {
            Ok(request) => sent(session, &request),
            Err(error) => told::<()>(Err(error)),
        });
        if let Some(click) = &event.click {
            ask(&|session, binding| told(session.decorate_click(&context, binding, click)));
        }
        Ok(())
    };
    runner.run(&generated::event(), event).unwrap_or_else(|failure| panic!("{failure}"));
    let request = |request| {
        ask(&|session, binding| told(session.parse_inbound(&context, binding, &request)));
        Ok(())
    };
    runner.run(&generated::inbound_request(), request).unwrap_or_else(|failure| panic!("{failure}"));
    let response = |response| {
        let (method, url) = (wire::HttpMethod::Get, "https://tracker.example/".to_owned());
        let request = wire::Request { method, url, headers: vec![], body: None, sign_with: vec![] };
        ask(&|session, binding| told(session.classify(&context, binding, &request, &response)));
        Ok(())
    };
    runner.run(&generated::response(), response).unwrap_or_else(|failure| panic!("{failure}"));
}

/// A request that the host accepted has a host that the adapter declared.
fn sent(session: &Session, request: &wire::Request) -> String {
    let url = url::Url::parse(&request.url).expect("the host has looked at it");
    let host = url.host_str().unwrap_or_default();
    let hosts = &session.adapter().descriptor().hosts;
    let is_declared = hosts.iter().any(|declared| declared == "*" || declared == host);
    if is_declared { format!("{request:?}") } else { format!("DEFECT: {host} is not among {hosts:?}") }
}

/// An adapter may refuse, or return more than the host accepts; being stopped is a defect.
fn told<T: std::fmt::Debug>(answer: Result<T, AdapterError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error @ (AdapterError::Refused { .. } | AdapterError::OutputTooLarge { .. })) => error.to_string(),
        Err(error) => format!("DEFECT: {error} ({})", error.code()),
    }
}
