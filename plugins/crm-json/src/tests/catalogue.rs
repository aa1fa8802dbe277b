//! Every template of the catalogue that uses this adapter works with its own examples, even if values of the conversion are
//! missing. The tests of the server compare the request of each template with its case.

use super::*;

const FILES: [&str; 3] = [
    include_str!("../../../templates/ad-platforms.json"),
    include_str!("../../../templates/crms.json"),
    include_str!("../../../templates/trackers.json"),
];

/// Ids and configurations, with the fields' examples as the user's values.
fn templates() -> Vec<(String, Value)> {
    let read = |file: &str| serde_json::from_str::<Vec<Value>>(file).expect("it is a list");
    let ours = FILES.into_iter().flat_map(read).filter(|template| template["adapter"] == "crm-json");
    ours.map(|template| (template["id"].as_str().expect("it has one").to_owned(), filled(&template))).collect()
}

fn filled(template: &Value) -> Value {
    let text = |field: &Value, name: &str| field[name].as_str().expect("it is a text").to_owned();
    let mut config = template["config"].to_string();
    for field in template["fields"].as_array().expect("it has fields") {
        config = config.replace(&format!("{{{{{}}}}}", text(field, "name")), &text(field, "example"));
    }
    serde_json::from_str(&config).expect("examples need no escapes")
}

#[test]
fn every_template_is_valid() {
    let templates = templates();
    for wanted in ["hubspot", "salesforce", "pipedrive", "klaviyo", "slack", "ga4_mp", "meta_capi", "generic_webhook"] {
        assert!(templates.iter().any(|(id, _)| id == wanted), "{wanted}");
    }
    for (id, config) in templates {
        assert_eq!(issues(config), [], "{id}");
    }
}

#[test]
fn every_template_survives_any_conversion() {
    for (id, written) in templates() {
        let config = config(written);
        for event in [named("O\"Neill \\ {{token}}"), rejected_without_click(), sample()] {
            let request = CrmJson::render(&context(), &config, &event);
            let body = request.unwrap_or_else(|error| panic!("{id}: {error:?}")).body;
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
