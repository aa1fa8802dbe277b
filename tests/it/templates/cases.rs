//! The examples of the catalogue, through the adapters that its postbacks and sources use.

use std::collections::BTreeMap;
use std::sync::Arc;

use postrider::adapters::{Adapter, Host, wire as contract};
use postrider::clock::Timestamp;
use postrider::domain::event::Action;
use postrider::domain::postback::{Ordering, Postback};
use postrider::domain::rules::{FiringStatus, Rule, Scope};
use postrider::domain::template::{Direction, Template};
use postrider::ids::PostbackId;
use postrider::services::{samples, templates, wire};
use postrider_tests::app::START_MS;
use postrider_tests::client::text;
use postrider_tests::temp::TempDir;
use serde_json::{Value, json};

#[test]
fn every_configuration_is_what_its_adapter_takes() {
    let host = Adapters::start();
    for template in templates::all() {
        let Some(adapter) = host.that_can(template) else { continue };
        let issues = adapter.check_config(&filled(template).unwrap()).expect("the adapter runs");
        let issues: Vec<_> = issues.iter().map(|issue| format!("{}: {}", issue.path, issue.message)).collect();
        assert_eq!(issues, [""; 0], "{}", template.id);
    }
}

#[test]
fn every_outbound_example_is_rendered_as_it_says() {
    let host = Adapters::start();
    for template in templates::all().iter().filter(|it| it.direction == Direction::Outbound) {
        let Some(adapter) = host.that_can(template) else { continue };
        let request = render(&adapter, template);
        assert_eq!(shown(&request), template.case["request"], "{}", template.id);
    }
}

#[test]
fn every_inbound_example_is_read_as_it_says() {
    for template in templates::all().iter().filter(|it| it.direction == Direction::Inbound) {
        // The others read their network's own names, and have cases of their own.
        if template.adapter != "macro-url" {
            continue;
        }
        let read = read_as_configured(&filled(template).unwrap()["fields"], &template.case["inbound"]);
        let report = &template.case["report"];
        let wanted = if report.is_null() { json!({}) } else { report["conversions"][0].clone() };
        assert_eq!(read, wanted, "{}", template.id);
    }
}

pub struct Adapters {
    host: Host,
    _cache: TempDir,
}

impl Adapters {
    pub fn start() -> Self {
        let cache = TempDir::new("adapters");
        Self { host: Host::start(cache.path()).expect("the host starts"), _cache: cache }
    }

    /// The adapter of a template, if this build has it and it knows all that the template configures.
    pub fn that_can(&self, template: &Template) -> Option<Arc<Adapter>> {
        let adapter = self.host.adapter(&template.adapter)?;
        let schema: Value = serde_json::from_str(&adapter.descriptor().config_schema).expect("a schema");
        let known = schema["properties"].as_object().expect("of an object");
        let configured = template.config.as_object().expect("an object");
        configured.keys().all(|name| known.contains_key(name)).then_some(adapter)
    }
}

/// The configuration with the values of the template's case.
pub fn filled(template: &Template) -> Result<Value, String> {
    let fields: BTreeMap<String, String> =
        serde_json::from_value(template.case["fields"].clone()).map_err(|error| error.to_string())?;
    template.fill(&fields).map(|filled| filled.config).map_err(|problems| format!("{problems:?}"))
}

fn render(adapter: &Arc<Adapter>, template: &Template) -> contract::Request {
    let now = Timestamp::from_millis(START_MS);
    let firing_status = FiringStatus::from_word(&text(&template.case, "event")).expect("a status");
    let rule = Rule {
        scope: Scope { affiliate_id: None, offer_id: None },
        action: Action::Conversion,
        firing_status,
        rejection_reasons: vec![],
        delay: None,
    };
    let postback = Postback {
        id: PostbackId::new(now),
        name: template.name.clone(),
        template: Some(template.id.clone()),
        adapter: template.adapter.clone(),
        adapter_version: adapter.descriptor().version.clone(),
        config: filled(template).expect("its case fills it"),
        rule,
        ordering: Ordering::default(),
        enabled: true,
        owner: None,
        verified_at: None,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    let mut event = wire::event(&samples::event_for(&postback.rule, now), &postback);
    name_ids(&mut event);
    let context = wire::context(now, 1, true, "test".to_owned());
    let rendered = adapter.session().render(&context, &wire::binding(&postback), &event);
    rendered.unwrap_or_else(|error| panic!("{}: {error}", template.id))
}

/// Gives what has a new id each time one that the cases can know.
fn name_ids(event: &mut contract::Event) {
    const ID: &str = "06bq3x8k2m7v1d5r9t4w6y8z0a";
    event.id = format!("evt_{ID}");
    event.affiliate.id = format!("aff_{ID}");
    event.offer.as_mut().expect("it has an offer").id = format!("off_{ID}");
    event.click.as_mut().expect("it has a click").id = ID.to_owned();
    event.conversion.as_mut().expect("it has a conversion").id = format!("cnv_{ID}");
}

/// A request as the cases write it.
fn shown(request: &contract::Request) -> Value {
    let method = match request.method {
        contract::HttpMethod::Get => "GET",
        contract::HttpMethod::Post => "POST",
        contract::HttpMethod::Put => "PUT",
        contract::HttpMethod::Patch => "PATCH",
        contract::HttpMethod::Delete => "DELETE",
    };
    let mut shown = json!({"method": method, "url": request.url});
    if !request.headers.is_empty() {
        let headers = request.headers.iter().map(|it| (it.name.to_lowercase(), json!(it.value)));
        shown["headers"] = Value::Object(headers.collect());
    }
    if let Some(body) = &request.body {
        shown["content_type"] = json!(body.content_type);
        let content = String::from_utf8(body.bytes.clone()).expect("text");
        if body.content_type.contains("json") {
            shown["json"] = serde_json::from_str(&content).expect("JSON");
        } else {
            shown["body"] = json!(content);
        }
    }
    shown
}

/// What the parameters of a request say by a configuration's `fields`.
fn read_as_configured(fields: &Value, request: &Value) -> Value {
    let mut parameters = BTreeMap::new();
    for part in ["query", "form"] {
        let pairs = request[part].as_str().unwrap_or_default();
        parameters.extend(url::form_urlencoded::parse(pairs.as_bytes()).into_owned());
    }
    for (name, value) in request["json"].as_object().into_iter().flatten() {
        parameters.insert(name.clone(), value.as_str().expect("text").to_owned());
    }
    let parameter = |field: &str| parameters.get(fields[field].as_str()?).cloned();
    let mut read = json!({});
    for field in fields.as_object().expect("an object").keys().filter(|field| *field != "currency") {
        let Some(value) = parameter(field) else { continue };
        read[field] = match field.as_str() {
            "payout" | "revenue" | "sale" => json!({"text": value, "currency": parameter("currency")}),
            _ => json!(value),
        };
    }
    read
}
