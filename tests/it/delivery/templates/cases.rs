//! The examples of the catalogue, run through the adapters of its postbacks and sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::delivery::approval::Approval;
use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::{FiringStatus, Rule, Scope};
use domain::delivery::template::{Direction, Template};
use domain::ids::PostbackId;
use domain::inbound::source::SourceSettings;
use domain::program::buyer_visibility::BuyerVisibility;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use engine::delivery::{samples, templates, wire};
use host::{Adapter, Host, wire as contract};
use postrider_tests::app::START_MS;
use postrider_tests::client::text;
use postrider_tests::process::adapter_cache;
use serde_json::{Value, json};

#[test]
fn every_configuration_is_accepted_by_its_adapter() {
    let host = Adapters::start();
    for template in templates::all() {
        let adapter = host.of(template);
        let issues = adapter.check_config(&filled(template).unwrap()).expect("the adapter runs");
        let issues: Vec<_> = issues.iter().map(|issue| format!("{}: {}", issue.path, issue.message)).collect();
        assert_eq!(issues, [""; 0], "{}", template.id);
    }
}

#[test]
fn every_outbound_example_is_rendered_as_expected() {
    let host = Adapters::start();
    for template in templates::all().iter().filter(|it| it.direction == Direction::Outbound) {
        let adapter = host.of(template);
        let request = render(&adapter, template);
        assert_eq!(shown(&request), template.case["request"], "{}", template.id);
    }
}

/// A second sale of a click is money, so nobody finds out by chance what happens to it.
#[test]
fn every_source_without_a_transaction_id_says_what_a_second_sale_does() {
    for template in templates::all().iter().filter(|it| it.direction == Direction::Inbound) {
        let Some(fields) = template.config["fields"].as_object() else { continue };
        let is_said = template
            .notes
            .iter()
            .any(|it| ["second sale", "separate sale", "second call"].iter().any(|words| it.contains(words)));
        assert!(fields.contains_key("transaction_id") || is_said, "{}: {:?}", template.id, template.notes);
    }
}

/// A sale of 100 EUR on an offer that pays 12.50 USD.
#[test]
fn no_template_sends_an_amount_with_the_currency_of_another() {
    let host = Adapters::start();
    let money = |micros, currency: &str| Some(contract::Money { micros, currency: currency.into() });
    for template in templates::all().iter().filter(|it| it.direction == Direction::Outbound) {
        let request = render_with(&host.of(template), template, |event| {
            let conversion = event.conversion.as_mut().expect("a sample conversion");
            conversion.sale = money(100_000_000, "EUR");
            conversion.payout = money(12_500_000, "USD");
            conversion.revenue = money(20_000_000, "USD");
            conversion.attributes.retain(|it| it.name != "plan_price");
        });
        let request = shown(&request).to_string();
        let words: Vec<&str> = request.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').collect();
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
        let names_currency = has(&["EUR", "USD"]);
        for (amount, currency) in [(["100.00", "10000"], "EUR"), (["12.50", "1250"], "USD"), (["20.00", "2000"], "USD")]
        {
            let is_alone = has(&amount) && names_currency && !has(&[currency]);
            assert!(!is_alone, "{}: {amount:?} without {currency}: {request}", template.id);
        }
    }
}

#[test]
fn every_inbound_example_is_read_as_expected() {
    let host = Adapters::start();
    for template in templates::all().iter().filter(|it| it.direction == Direction::Inbound) {
        let adapter = host.of(template);
        let report = read(&adapter, template);
        let conversions: Vec<_> = report.conversions.iter().map(conversion).collect();
        // Null: nothing can be read from it, and the adapter gives its own reason.
        let wanted = &template.case["report"]["conversions"];
        if wanted.is_null() {
            let names_a_click =
                |it: &contract::ReportedConversion| it.click_id.is_some() || it.transaction_id.is_some();
            assert!(!report.conversions.iter().any(names_a_click), "{}: {conversions:?}", template.id);
        } else {
            assert_eq!(json!(conversions), *wanted, "{}: {:?}", template.id, report.ignored);
        }
    }
}

#[test]
fn every_setting_of_a_source_is_understood() {
    for template in templates::all().iter().filter(|it| it.direction == Direction::Inbound) {
        let case: BTreeMap<String, String> = serde_json::from_value(template.case["fields"].clone()).unwrap();
        let optional = template.fields.iter().filter(|field| field.optional);
        let optional = optional.map(|field| (field.name.clone(), field.example.clone()));
        for fields in [case.clone(), case.into_iter().chain(optional).collect()] {
            let (_, _, settings) = templates::source_of(&template.id, &fields).expect("its case fills it");
            let settings: SourceSettings = serde_json::from_value(settings).expect("settings of a source");
            assert_eq!(settings.issues(), [], "{}", template.id);
        }
    }
}

pub struct Adapters {
    host: Host,
}

impl Adapters {
    pub fn start() -> Self {
        Self { host: Host::start(&adapter_cache()).expect("the host starts") }
    }

    /// The adapter of a template, with the template's configuration.
    pub fn of(&self, template: &Template) -> Arc<Adapter> {
        let found = self.host.adapter(&template.adapter);
        let adapter = found.unwrap_or_else(|| panic!("{}: no adapter {}", template.id, template.adapter));
        let schema: Value = serde_json::from_str(&adapter.descriptor().config_schema).expect("a schema");
        let known = schema["properties"].as_object().expect("of an object");
        let configured = template.config.as_object().expect("an object");
        for name in configured.keys() {
            assert!(known.contains_key(name), "{}: {} knows no {name}", template.id, template.adapter);
        }
        adapter
    }
}

/// The configuration with the values of the template's case.
pub fn filled(template: &Template) -> Result<Value, String> {
    let fields: BTreeMap<String, String> =
        serde_json::from_value(template.case["fields"].clone()).map_err(|error| error.to_string())?;
    template.fill(&fields).map(|filled| filled.config).map_err(|problems| format!("{problems:?}"))
}

/// A postback of a template that fires for the event of the template's case.
pub fn postback(template: &Template, adapter_version: String, config: Value, now: Timestamp) -> Postback {
    let firing_status = FiringStatus::from_word(&text(&template.case, "event")).expect("a status");
    let rule = Rule {
        scope: Scope { affiliate_id: None, offer_id: None },
        action: Action::Conversion,
        firing_status,
        rejection_reasons: vec![],
        delay: None,
    };
    Postback {
        id: PostbackId::new(now),
        name: template.name.clone(),
        template: Some(template.id.clone()),
        adapter: template.adapter.clone(),
        adapter_version,
        config,
        secret_origins: vec![],
        rule,
        ordering: Ordering::default(),
        enabled: true,
        owner: None,
        approval: Approval::NotRequired,
        refusal_reason: None,
        verified_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
        saved_by: None,
        archived_at: None,
    }
}

fn render(adapter: &Arc<Adapter>, template: &Template) -> contract::Request {
    render_with(adapter, template, |_| {})
}

/// The request for the sample event, after `change`.
fn render_with(
    adapter: &Arc<Adapter>,
    template: &Template,
    change: impl FnOnce(&mut contract::Event),
) -> contract::Request {
    let now = Timestamp::from_millis(START_MS);
    let version = adapter.descriptor().version.clone();
    let postback = postback(template, version, filled(template).expect("its case fills it"), now);
    let mut event = wire::event(BuyerVisibility::All.show(samples::event_for(&postback.rule, now)));
    name_ids(&mut event);
    change(&mut event);
    let context = wire::context(now, 1, true, "test".to_owned());
    let binding = contract::Binding { id: postback.id.to_string(), config: postback.config.to_string() };
    let rendered = adapter.session().render(&context, &binding, &event);
    rendered.unwrap_or_else(|error| panic!("{}: {error}", template.id))
}

/// Replaces values with a new id each time by one that the cases can contain.
fn name_ids(event: &mut contract::Event) {
    const ID: &str = "06bq3x8k2m7v1d5r9t4w6y8z0a";
    event.id = format!("evt_{ID}");
    event.affiliate.id = format!("aff_{ID}");
    event.offer.as_mut().expect("it has an offer").id = format!("off_{ID}");
    event.click.as_mut().expect("it has a click").id = ID.to_owned();
    event.conversion.as_mut().expect("it has a conversion").id = format!("cnv_{ID}");
}

/// A request in the format of the cases.
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

fn read(adapter: &Arc<Adapter>, template: &Template) -> contract::InboundReport {
    let inbound = &template.case["inbound"];
    let field = |(name, value): (String, String)| contract::Field { name, value };
    let query = inbound["query"].as_str().unwrap_or_default();
    let (content_type, body) = match (inbound["form"].as_str(), &inbound["json"]) {
        (Some(form), _) => ("application/x-www-form-urlencoded", form.as_bytes().to_vec()),
        (None, Value::Null) => ("", vec![]),
        (None, body) => ("application/json", body.to_string().into_bytes()),
    };
    let request = contract::InboundRequest {
        method: if inbound["method"] == "POST" { contract::HttpMethod::Post } else { contract::HttpMethod::Get },
        path: "/in/key".to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().map(field).collect(),
        headers: vec![field(("content-type".to_owned(), content_type.to_owned()))],
        body,
        remote_ip: Some("203.0.113.7".to_owned()),
    };
    let config = filled(template).expect("its case fills it").to_string();
    let binding = contract::Binding { id: "src_test".to_owned(), config };
    let context = wire::context(Timestamp::from_millis(START_MS), 1, false, "test".to_owned());
    let report = adapter.session().parse_inbound(&context, &binding, &request);
    report.unwrap_or_else(|error| panic!("{}: {error}", template.id))
}

/// A notification in the format of the cases: absent fields were not sent.
fn conversion(reported: &contract::ReportedConversion) -> Value {
    let words = [
        ("click_id", &reported.click_id),
        ("transaction_id", &reported.transaction_id),
        ("goal", &reported.goal),
        ("status", &reported.status),
        ("rejection_reason", &reported.rejection_reason),
        ("occurred_at", &reported.occurred_at),
    ];
    let amounts = [("payout", &reported.payout), ("revenue", &reported.revenue), ("sale", &reported.sale)];
    let words = words.into_iter().filter_map(|(name, word)| Some((name.to_owned(), json!(word.as_ref()?))));
    let amounts = amounts.into_iter().filter_map(|(name, amount)| {
        let amount = amount.as_ref()?;
        Some((name.to_owned(), json!({"text": amount.text, "currency": amount.currency})))
    });
    let attributes: serde_json::Map<_, _> =
        reported.attributes.iter().map(|it| (it.name.clone(), json!(it.value))).collect();
    let attributes = (!attributes.is_empty()).then(|| ("attributes".to_owned(), Value::Object(attributes)));
    Value::Object(words.chain(amounts).chain(attributes).collect())
}
