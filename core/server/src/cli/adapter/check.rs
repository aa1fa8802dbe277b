//! `postrider adapter check`: shows what a component declares, or the reason why it can't be an adapter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::project::Project;
use super::{grouped, host, shown};
use host::{limits, wire};

#[derive(clap::Args)]
pub struct CheckArgs {
    /// A component, or an adapter's folder
    #[arg(default_value = ".")]
    path: PathBuf,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let file = if args.path.is_dir() { Project::open(&args.path)?.component()? } else { args.path.clone() };
    let wasm = read_component(&file)?;
    let host = host()?;
    let adapter = host.load(&wasm).with_context(|| format!("{} can't be an adapter", shown(&file)))?;
    let descriptor = adapter.descriptor();
    let schema: Value = serde_json::from_str(&descriptor.config_schema)?;
    let problems = problems(descriptor, &schema);
    ensure!(problems.is_empty(), "{} is not ready:\n  {}", shown(&file), problems.join("\n  "));
    print_summary(&file, &wasm, descriptor, &schema);
    Ok(())
}

/// Reads a component. A file that is too large is refused before it is read.
pub fn read_component(file: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::metadata(file).with_context(|| format!("{} can't be read", shown(file)))?.len();
    let max = limits::COMPONENT_BYTES as u64;
    ensure!(bytes <= max, "{} has {} bytes, {} are allowed", shown(file), grouped(bytes), grouped(max));
    std::fs::read(file).with_context(|| format!("{} can't be read", shown(file)))
}

/// Reasons why people could not use an adapter that the host accepts.
fn problems(descriptor: &wire::Descriptor, schema: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let can = |capability| descriptor.capabilities.contains(capability);
    if can(wire::Capabilities::OUTBOUND) && descriptor.hosts.is_empty() {
        problems.push("it sends but declares no hosts; list them in `hosts`, or \"*\" for any".to_owned());
    }
    if descriptor.capabilities == wire::Capabilities::empty() {
        problems.push("it has no capability; declare outbound, inbound or click".to_owned());
    }
    if can(wire::Capabilities::OUTBOUND) && descriptor.rules.actions.is_empty() {
        problems.push("it sends but its rules name no action".to_owned());
    }
    for property in nameless_properties("", schema) {
        problems.push(format!("the setting {property} has neither title nor description, so a form cannot name it"));
    }
    problems
}

/// The JSON pointers of settings without a title and without a description, below the pointer `parent`.
pub fn nameless_properties(parent: &str, schema: &Value) -> Vec<String> {
    let mut nameless = Vec::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{parent}/{name}");
        if property.get("title").or(property.get("description")).is_none() {
            nameless.push(pointer.clone());
        }
        nameless.extend(nameless_properties(&pointer, property));
    }
    if let Some(items) = schema.get("items") {
        nameless.extend(nameless_properties(&format!("{parent}/*"), items));
    }
    nameless
}

fn print_summary(file: &Path, wasm: &[u8], descriptor: &wire::Descriptor, schema: &Value) {
    println!("{} {}: {}", descriptor.id, descriptor.version, descriptor.title);
    if !descriptor.summary.is_empty() {
        println!("  {}", descriptor.summary);
    }
    let line = |name: &str, text: String| println!("  {name:<13} {text}");
    let size = format!("{} of {} bytes", grouped(wasm.len() as u64), grouped(limits::COMPONENT_BYTES as u64));
    line("component", format!("{}, {size}", shown(file)));
    line("contract", "postrider:adapter 0.1; it imports nothing but the log".to_owned());
    line("capabilities", capabilities(descriptor));
    line("rules", rules(&descriptor.rules));
    let hosts = descriptor.hosts.iter().map(|host| if host == "*" { "any" } else { host }).collect::<Vec<_>>();
    line("hosts", if hosts.is_empty() { "none".to_owned() } else { hosts.join(", ") });
    line("settings", settings(schema));
    line("macros", descriptor.macros.len().to_string());
}

fn capabilities(descriptor: &wire::Descriptor) -> String {
    let known = [
        (wire::Capabilities::OUTBOUND, "outbound"),
        (wire::Capabilities::INBOUND, "inbound"),
        (wire::Capabilities::CLICK, "click"),
    ];
    let words = known.into_iter().filter(|(flag, _)| descriptor.capabilities.contains(*flag)).map(|(_, word)| word);
    words.collect::<Vec<_>>().join(", ")
}

fn rules(rules: &wire::RulePolicy) -> String {
    let action = |action: &wire::Action| match action {
        wire::Action::Impression => "impression",
        wire::Action::Click => "click",
        wire::Action::Conversion => "conversion",
        wire::Action::CustomEvent => "event",
    };
    let actions = rules.actions.iter().map(action).collect::<Vec<_>>().join(", ");
    let mut words = vec![format!("on {actions}")];
    words.extend(rules.statuses.then(|| "by status".to_owned()));
    words.extend(rules.rejection_reasons.then(|| "by rejection reason".to_owned()));
    words.push(format!("delay {} to {}", span(rules.min_delay), span(rules.max_delay)));
    words.join("; ")
}

fn span(duration_ms: u64) -> String {
    let seconds = Duration::from_millis(duration_ms).as_secs();
    match seconds {
        0 => "0".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("{} d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

fn settings(schema: &Value) -> String {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
    let describe = |(name, property): (&String, &Value)| {
        let mut notes = Vec::new();
        notes.extend(required(name).then_some("required"));
        notes.extend((property["writeOnly"] == true).then_some("secret"));
        if notes.is_empty() { name.clone() } else { format!("{name} ({})", notes.join(", ")) }
    };
    let settings: Vec<_> = schema["properties"].as_object().into_iter().flatten().map(describe).collect();
    if settings.is_empty() { "none".to_owned() } else { settings.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_without_a_name_are_found_at_any_depth() {
        let schema = json!({"properties": {
            "url": {"title": "URL"},
            "secret": {"type": "string"},
            "pairs": {"description": "Pairs", "items": {"properties": {"name": {}, "value": {"title": "Value"}}}},
        }});
        assert_eq!(nameless_properties("", &schema), ["/pairs/*/name", "/secret"]);
    }

    #[test]
    fn durations_are_shown_in_their_largest_whole_unit() {
        for (duration_ms, text) in
            [(0, "0"), (120_000, "2 min"), (90_000, "90 s"), (7_200_000, "2 h"), (2_592_000_000, "30 d")]
        {
            assert_eq!(span(duration_ms), text);
        }
    }
}
