//! A pasted URL as a draft, with remarks about what was read from it.

use domain::delivery::pasted::ClickIdMeaning;
use engine::Error;
use engine::app::App;
use engine::delivery::postbacks::{self, Parsed};
use engine::delivery::templates;
use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::parameters::Parameter;
use super::{Note, OfferedAdapter};
use crate::shell::texts::text;

/// The adapter of URLs in any notation.
const GENERIC: &str = "macro-url";

/// The most templates that are offered for one URL.
const RECOGNISED: usize = 3;

/// The draft of a pasted URL, and remarks about it.
pub async fn draft_of(app: &App, pasted: &str) -> Result<(Draft, Vec<Note>), Error> {
    let parsed = postbacks::parse(app, pasted, ClickIdMeaning::Tracker, true).await?;
    let notes = notes_of(&parsed, pasted);
    let Parsed { pasted: parts, suggestions, .. } = parsed;
    let pair = |name: &str, key: &str, value: &str| json!({ "name": name, key: value });
    let secrets: Map<String, Value> = parts.secrets.into_iter().map(|(name, key)| (name, Value::from(key))).collect();
    let config = json!({
        "base_url": parts.base_url,
        "parameters": parts.parameters.iter().map(|it| pair(&it.name, "macro", &it.r#macro)).collect::<Value>(),
        "custom": parts.custom.iter().map(|(name, value)| pair(name, "value", value)).collect::<Value>(),
        "secrets": secrets,
    });
    let mut draft = Draft::of_adapter(app, GENERIC, config).await?;
    let unknown = parts.unknown.into_iter().zip(suggestions).filter(|((name, _), _)| name != "base_url");
    draft.parameters.extend(unknown.map(|((name, token), suggestion)| Parameter {
        is_sent: true,
        name,
        token,
        suggestion: suggestion.unwrap_or_default(),
        ..Parameter::default()
    }));
    draft.config["parameters"] = super::parameters::to_config(&draft.parameters);
    draft.name = host_of(pasted);
    Ok((draft, notes))
}

/// The host of a URL, as a name for the postback.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', ':']).next().unwrap_or_default().trim_start_matches("www.").to_owned()
}

fn notes_of(parsed: &Parsed, pasted: &str) -> Vec<Note> {
    let mut notes = Vec::new();
    for template in templates::recognise(pasted).into_iter().take(RECOGNISED) {
        let title = text("editor.looks_like").with("name", &template.name);
        let template = OfferedAdapter::of_template(&template.id, &template.name);
        let about = text("editor.looks_like_text");
        notes.push(Note { kind: "info", icon: "badge-check", title, text: about, adapter: Some(template) });
    }
    let note = |kind, icon, title, text| Note { kind, icon, title, text, adapter: None };
    for it in &parsed.networks {
        let adapter = OfferedAdapter::new(&it.adapter, &it.title, pasted);
        let title = text("editor.network_words").with("network", &it.title);
        let about = text("editor.network_words_text").with("network", &it.title);
        notes.push(Note { adapter: Some(adapter), ..note("info", "badge-check", title, about) });
    }
    for ((name, value), suggestion) in parsed.pasted.unknown.iter().zip(&parsed.suggestions) {
        let title = text("editor.unknown_token").with("token", value);
        let about = match suggestion {
            Some(nearest) => text("editor.did_you_mean").with("macro", nearest).with("name", name),
            None => text("editor.choose_value").with("name", name),
        };
        notes.push(note("warn", "circle-question-mark", title, about));
    }
    for name in parsed.pasted.secrets.keys() {
        let title = text("editor.looks_secret").with("name", name);
        notes.push(note("info", "lock", title, text("editor.looks_secret_text")));
    }
    for name in &parsed.pasted.tracker_click_ids {
        let title = text("editor.tracker_click_id").with("name", name);
        notes.push(note("info", "info", title, text("editor.tracker_click_id_text")));
    }
    notes
}
