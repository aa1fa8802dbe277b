//! A network's names for values are recognized in a pasted URL, as far as the catalogue has them.

use domain::delivery::template::{Direction, Template};
use engine::delivery::templates;
use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(the_urls_of_the_catalogue_are_recognized_when_pasted);

/// The URLs of a template as its network documents them, and the names of the parameters with a known meaning.
fn documented(template: &Template) -> Vec<(String, Vec<String>)> {
    match template.direction {
        Direction::Inbound => {
            let fields = template.config["fields"].as_object().into_iter().flatten();
            let told: Vec<_> = fields.filter_map(|(_, name)| name.as_str().map(str::to_owned)).collect();
            let url = |text: &String| text.replace("{source_url}", "https://tracker.example/postback");
            let also = template.also_paste.iter().map(|it| &it.url);
            template.paste.iter().chain(also).map(|it| (url(it), told.clone())).collect()
        }
        // The user's own part is in the case; the rest is the tracker's.
        Direction::Outbound => {
            let config = super::filled(template).expect("its case fills it");
            let Some(base_url) = config["base_url"].as_str() else { return Vec::new() };
            let parameters = config["parameters"].as_array().into_iter().flatten();
            let ours = parameters.filter(|it| !it["macro"].as_str().unwrap_or_default().starts_with("secret."));
            let told: Vec<_> = ours.map(|it| (it["name"].as_str().unwrap(), it["macro"].as_str().unwrap())).collect();
            let pairs: Vec<_> = told.iter().map(|(name, token)| format!("{name}={{{token}}}")).collect();
            let separator = if base_url.contains('?') { "&" } else { "?" };
            let url = format!("{base_url}{separator}{}", pairs.join("&"));
            vec![(url, told.iter().map(|(name, _)| (*name).to_owned()).collect())]
        }
    }
}

async fn the_urls_of_the_catalogue_are_recognized_when_pasted(db: Database) {
    let t = TestApp::start(db).await;
    let (mut pasted, mut misunderstood) = (0, Vec::new());
    for template in templates::all() {
        for (url, told) in documented(template) {
            let parsed = t.admin.post("/api/v1/postbacks/parse", &json!({"url": url})).await.expect(200);
            pasted += 1;
            for unknown in parsed["unknown"].as_array().expect("a list") {
                let is_blank = unknown["value"].as_str().is_some_and(is_capitals);
                if told.iter().any(|name| unknown["name"] == **name) && !is_blank {
                    misunderstood.push(format!("{}: {unknown} of {url}", template.id));
                }
            }
            let found = |list: &Value| list.as_array().map_or(0, Vec::len);
            assert!(
                found(&parsed["parameters"]) + found(&parsed["unknown"]) > 0 || told.is_empty() || !url.contains('?')
            );
        }
    }
    assert!(pasted > 150, "{pasted} URLs");
    assert_eq!(misunderstood, [""; 0]);
}

/// `CLICK_ID` may be a literal word: there, the user must decide.
fn is_capitals(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
