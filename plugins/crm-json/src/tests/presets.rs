//! Every preset works with its own examples, and its case in `cases/` is what it gives.
//!
//! `UPDATE_CASES=1 cargo test -p postrider-crm-json` writes the cases anew.

use std::path::{Path, PathBuf};

use super::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn presets() -> Vec<Value> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder("presets"))
        .expect("there are presets")
        .map(|entry| entry.expect("it is readable").path())
        .collect();
    paths.sort();
    let read = |path: &PathBuf| std::fs::read(path).expect("it is readable");
    paths.iter().map(|path| serde_json::from_slice(&read(path)).expect("it is JSON")).collect()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

/// The configuration with the fields' examples for what a person would answer.
fn filled(preset: &Value) -> Value {
    fn fill(value: &mut Value, fields: &[Value]) {
        match value {
            Value::String(written) => {
                for field in fields {
                    *written = written.replace(&format!("<<{}>>", text(field, "name")), text(field, "example"));
                }
                assert!(!written.contains("<<"), "{written} has a field that nobody is asked for");
            }
            Value::Array(values) => values.iter_mut().for_each(|value| fill(value, fields)),
            Value::Object(values) => values.values_mut().for_each(|value| fill(value, fields)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut config = preset["config"].clone();
    fill(&mut config, preset["fields"].as_array().expect("it has fields"));
    config
}

#[test]
fn every_preset_is_complete_and_valid() {
    let presets = presets();
    let ids: Vec<&str> = presets.iter().map(|preset| text(preset, "id")).collect();
    for wanted in ["hubspot", "salesforce", "pipedrive", "klaviyo", "slack", "ga4", "meta-capi", "webhook"] {
        assert!(ids.contains(&wanted), "{wanted}");
    }
    for preset in &presets {
        let id = text(preset, "id");
        assert!(folder("presets").join(format!("{id}.json")).is_file(), "{id} is in a file of another name");
        assert!(!text(preset, "name").is_empty() && text(preset, "source").starts_with("https://"), "{id}");
        let config = preset["config"].to_string();
        for field in preset["fields"].as_array().expect("it has fields") {
            assert!(config.contains(&format!("<<{}>>", text(field, "name"))), "{id} asks for what it does not use");
            assert!(!text(field, "title").is_empty() && !text(field, "help").is_empty(), "{id}");
        }
        assert_eq!(issues(filled(preset)), [], "{id}");
    }
}

#[test]
fn every_preset_survives_any_conversion() {
    for preset in &presets() {
        let config = config(filled(preset));
        for event in [named("O\"Neill \\ {{token}}"), rejected_without_click(), sample()] {
            let request = CrmJson::render(&context(), &config, &event);
            let body = request.unwrap_or_else(|error| panic!("{}: {error:?}", text(preset, "id"))).body;
            serde_json::from_slice::<Value>(&body.expect("it has a body").bytes).expect("it is JSON");
        }
    }
}

fn rejected_without_click() -> Event {
    let mut event = Event { click: None, ..sample() };
    let conversion = event.conversion.as_mut().expect("it has one");
    conversion.status = ConversionStatus::Rejected(Rejection { reason: "fraud".into(), detail: None });
    conversion.sale = None;
    conversion.payout = None;
    conversion.customer_name = None;
    conversion.customer_email = None;
    event
}

#[test]
fn every_preset_has_a_case() {
    for preset in &presets() {
        let id = text(preset, "id");
        let path = folder("cases").join(format!("preset-{id}.json"));
        let case = case(preset);
        if std::env::var_os("UPDATE_CASES").is_some() {
            let written = serde_json::to_string_pretty(&case).expect("it is JSON") + "\n";
            std::fs::write(&path, written).expect("it is writable");
        }
        let stored = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(serde_json::from_slice::<Value>(&stored).expect("it is JSON"), case, "{id}");
    }
}

fn case(preset: &Value) -> Value {
    let config = filled(preset);
    let request = render(config.clone(), &sample()).expect("it renders");
    let body = request.body.expect("it has a body");
    let headers: Vec<Value> =
        request.headers.iter().map(|header| json!({"name": header.name, "value": header.value})).collect();
    json!({
        "name": format!("{} gives this request for an approved conversion", text(preset, "name")),
        "call": "render",
        "config": config,
        "event": event(),
        "expect": {"ok": {
            "method": "post",
            "url": request.url,
            "headers": headers,
            "body": {"content-type": body.content_type, "text": String::from_utf8(body.bytes).expect("it is text")},
            "sign-with": request.sign_with,
        }},
    })
}

/// The sample event as cases write it.
fn event() -> Value {
    let event = sample();
    let fields = |fields: &[Field]| -> Vec<Value> {
        fields.iter().map(|field| json!({"name": field.name, "value": field.value})).collect()
    };
    let money =
        |money: &Option<Money>| money.as_ref().map(|money| json!({"micros": money.micros, "currency": money.currency}));
    let party = |party: &Party| json!({"id": party.id, "name": party.name, "attributes": fields(&party.attributes)});
    let click = event.click.as_ref().expect("it has one");
    let conversion = event.conversion.as_ref().expect("it has one");
    json!({
        "id": event.id,
        "action": "conversion",
        "name": event.name,
        "occurred-at": event.occurred_at,
        "affiliate": party(&event.affiliate),
        "offer": event.offer.as_ref().map(party),
        "click": {
            "id": click.id,
            "external-id": click.external_id,
            "at": click.at,
            "target-url": click.target_url,
            "referrer": click.referrer,
            "ip": click.ip,
            "user-agent": click.user_agent,
            "country": click.country,
            "device": click.device,
            "sub-ids": fields(&click.sub_ids),
            "attributes": fields(&click.attributes),
        },
        "conversion": {
            "id": conversion.id,
            "transaction-id": conversion.transaction_id,
            "revision": conversion.revision,
            "goal": conversion.goal,
            "status": "approved",
            "previous-status": "pending",
            "payout": money(&conversion.payout),
            "revenue": money(&conversion.revenue),
            "sale": money(&conversion.sale),
            "customer-name": conversion.customer_name,
            "customer-email": conversion.customer_email,
            "product-name": conversion.product_name,
            "occurred-at": conversion.occurred_at,
            "attributes": fields(&conversion.attributes),
        },
        "attributes": [],
    })
}
