//! `postrider adapter install`, `list`, `disable`, `enable`, `upgrade`: they call the API of a running server.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::check::read_component;
use crate::cli::api::{ServerArgs, segment, text};

#[derive(clap::Args)]
pub struct InstallArgs {
    /// The component
    file: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(clap::Args)]
pub struct VersionArgs {
    /// The adapter's id
    id: String,
    /// The version, for example 0.2.0
    version: String,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(clap::Args)]
pub struct UpgradeArgs {
    /// The adapter's id
    id: String,
    /// The version to move its postbacks to
    #[arg(long, value_name = "VERSION")]
    to: String,
    /// Move the postbacks; without this option the command only shows the changes
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub async fn install(args: InstallArgs, settings_file: &Path) -> anyhow::Result<()> {
    let wasm = read_component(&args.file)?;
    let api = args.server.api(settings_file)?;
    let (is_new, installed) = api.create("/api/v1/adapters", "application/wasm", wasm).await?;
    let adapter = format!("{} {}", text(&installed, "id")?, text(&installed, "version")?);
    if is_new {
        println!("Installed {adapter}");
    } else {
        println!("{adapter} is already installed, with the same bytes; nothing changed");
    }
    Ok(())
}

pub async fn list(args: ServerArgs, settings_file: &Path) -> anyhow::Result<()> {
    let adapters = args.api(settings_file)?.get("/api/v1/adapters").await?;
    for adapter in adapters["items"].as_array().into_iter().flatten() {
        for version in adapter["versions"].as_array().into_iter().flatten() {
            println!("{}", row(version));
        }
    }
    Ok(())
}

/// One line with id, version, origin, state and reason.
fn row(version: &Value) -> String {
    let field = |name: &str| version[name].as_str().unwrap_or_default();
    let origin = field("origin").replace('_', " ");
    let state = field("status").replace('_', " ");
    let line = format!("{:<20} {:<10} {origin:<10} {state:<15} {}", field("id"), field("version"), field("reason"));
    line.trim_end().to_owned()
}

pub async fn disable(args: VersionArgs, settings_file: &Path) -> anyhow::Result<()> {
    change(args, "disable", settings_file).await
}

pub async fn enable(args: VersionArgs, settings_file: &Path) -> anyhow::Result<()> {
    change(args, "enable", settings_file).await
}

async fn change(args: VersionArgs, verb: &str, settings_file: &Path) -> anyhow::Result<()> {
    let VersionArgs { id, version, server } = args;
    let path = format!("/api/v1/adapters/{}/versions/{}/{verb}", segment(&id), segment(&version));
    let changed = server.api(settings_file)?.post(&path, json!({})).await?;
    println!("{}", row(&changed));
    Ok(())
}

pub async fn upgrade(args: UpgradeArgs, settings_file: &Path) -> anyhow::Result<()> {
    let path = format!("/api/v1/adapters/{}/upgrade", segment(&args.id));
    let body = json!({"to": args.to, "dry_run": !args.apply});
    let upgrade = args.server.api(settings_file)?.post(&path, body).await?;
    let postbacks = upgrade["postbacks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for postback in postbacks {
        upgrade_lines(postback).iter().for_each(|line| println!("{line}"));
    }
    let moved = postbacks.iter().filter(|postback| postback["moved"] == true).count();
    match (args.apply, postbacks.len()) {
        (_, 0) => println!("No postback uses another version of {}", args.id),
        (true, count) => println!("{moved} of {count} postbacks moved to {}", args.to),
        (false, count) => {
            println!("Nothing is changed yet; --apply moves those of {count} postbacks that have no issue")
        }
    }
    if upgrade["more"] == true {
        println!("There are more postbacks; run the command again for the next ones");
    }
    Ok(())
}

/// The result of the upgrade for one postback, with the issues of the new version and the first different request.
fn upgrade_lines(postback: &Value) -> Vec<String> {
    let field = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let of = |name: &str| field(postback, name);
    let mut lines = vec![format!(
        "{:<8} {} {}, from {}: {}",
        of("result"),
        of("postback_id"),
        of("name"),
        of("from"),
        of("summary")
    )];
    for issue in postback["issues"].as_array().into_iter().flatten() {
        lines.push(format!("         {}: {}", field(issue, "path"), field(issue, "message")));
    }
    if let difference @ Value::Object(_) = &postback["first_difference"] {
        lines.push(format!("         {} of {}", field(difference, "what"), field(difference, "event_id")));
        lines.push(format!("           before {}", field(difference, "before")));
        lines.push(format!("           after  {}", field(difference, "after")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgraded_postback_is_shown_in_lines() {
        let postback = json!({
            "postback_id": "pbk_1", "name": "Tracker", "from": "1.0.0", "result": "differs",
            "summary": "1 of 7 events render differently", "issues": [{"path": "/url", "message": "is too long"}],
            "first_difference": {"event_id": "evt_1", "what": "url", "before": "https://a", "after": "https://b"},
        });
        assert_eq!(
            upgrade_lines(&postback),
            [
                "differs  pbk_1 Tracker, from 1.0.0: 1 of 7 events render differently",
                "         /url: is too long",
                "         url of evt_1",
                "           before https://a",
                "           after  https://b",
            ]
        );
    }
}
