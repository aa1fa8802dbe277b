//! `postrider explain`: why an event was sent to a postback, or why not. It calls the API of a running server, so an
//! affiliate can use it with its own key.

use std::path::Path;

use anyhow::bail;
use serde_json::Value;

use super::api::{ServerArgs, segment};

#[derive(clap::Args)]
pub struct ExplainArgs {
    /// The postback: pbk_…
    postback: String,
    /// An event (evt_…), a conversion (cnv_…) or a click
    subject: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub async fn run(args: ExplainArgs, settings_file: &Path) -> anyhow::Result<()> {
    let ExplainArgs { postback, subject, server } = args;
    let parameter = parameter_of(&subject);
    let path = format!("/api/v1/postbacks/{}/explanations?{parameter}={}", segment(&postback), segment(&subject));
    let explained = server.api(settings_file)?.get(&path).await?;
    let items = explained["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        bail!("{subject} has no events; they may have exceeded the retention");
    }
    for lines in items.iter().map(lines) {
        lines.iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

/// The parameter of the API for this kind of id. Only ids of clicks have no prefix.
fn parameter_of(subject: &str) -> &'static str {
    match subject.split_once('_').map(|(prefix, _)| prefix) {
        Some("evt") => "event_id",
        Some("cnv") => "conversion_id",
        _ => "click_id",
    }
}

fn lines(explained: &Value) -> Vec<String> {
    let field = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let of = |name: &str| field(explained, name);
    let event = explained["event_id"].as_str().unwrap_or("no event");
    let mut lines = vec![format!("{event}, {} at {}", of("action"), of("occurred_at")), format!("  {}", of("summary"))];
    if of("configuration") == "changed_since" {
        lines.push("  The configuration of that time is not known; this is the present one.".to_owned());
    }
    for check in explained["checks"].as_array().into_iter().flatten() {
        let (result, name) = (field(check, "result").replace('_', " "), field(check, "name").replace('_', " "));
        lines.push(format!("  {result:<12} {name:<17} {}", field(check, "detail")));
    }
    for change in explained["changes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("  To change this: {change}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_kind_of_an_id_is_its_prefix() {
        for (id, parameter) in [("evt_06a5", "event_id"), ("cnv_06a5", "conversion_id"), ("06a5", "click_id")] {
            assert_eq!(parameter_of(id), parameter);
        }
    }

    #[test]
    fn an_explanation_is_shown_in_lines() {
        let explained = json!({
            "event_id": "evt_1", "action": "conversion", "occurred_at": "2026-03-10T12:00:00.000Z",
            "summary": "It did not fire: the postback was disabled.", "configuration": "known",
            "checks": [
                {"name": "enabled", "result": "failed", "detail": "the postback was disabled"},
                {"name": "required_value", "result": "not_reached", "detail": "nothing"},
            ],
            "changes": ["enable the postback"],
        });
        assert_eq!(
            lines(&explained),
            [
                "evt_1, conversion at 2026-03-10T12:00:00.000Z",
                "  It did not fire: the postback was disabled.",
                "  failed       enabled           the postback was disabled",
                "  not reached  required value    nothing",
                "  To change this: enable the postback",
            ]
        );
    }
}
