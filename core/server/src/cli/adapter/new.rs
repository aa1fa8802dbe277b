//! `postrider adapter new`: creates a crate in `./SLUG` that builds and passes its cases without changes.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use host::limits;

#[derive(clap::Args)]
pub struct NewArgs {
    /// The adapter's id and folder, for example acme-ads
    slug: String,
    /// The SDK: its folder or a version; by default the SDK of the checkout of Postrider around the current folder
    #[arg(long, value_name = "PATH OR VERSION")]
    sdk: Option<String>,
}

/// The files of a new adapter. `{{slug}}`, `{{type}}`, `{{title}}` and `{{sdk}}` are replaced.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("scaffold/Cargo.toml.txt")),
    (".gitignore", include_str!("scaffold/gitignore.txt")),
    ("README.md", include_str!("scaffold/README.md.txt")),
    ("src/lib.rs", include_str!("scaffold/lib.rs.txt")),
    ("cases/approved.json", include_str!("scaffold/approved.json.txt")),
    ("cases/click.json", include_str!("scaffold/click.json.txt")),
    ("cases/no-account.json", include_str!("scaffold/no-account.json.txt")),
];

pub fn run(args: &NewArgs) -> anyhow::Result<()> {
    let slug = &args.slug;
    check(slug)?;
    let here = std::env::current_dir()?;
    let folder = Path::new(slug);
    // A dangling symbolic link counts as well.
    ensure!(folder.symlink_metadata().is_err(), "{slug} exists already; choose another name or remove it");
    let sdk = match &args.sdk {
        Some(given) => sdk_from(given)?,
        None => sdk_around(&here).with_context(|| {
            format!(
                "this folder is not in a checkout of Postrider, and the SDK is on no registry; name the folder sdk of a \
                 checkout: `postrider adapter new {slug} --sdk <folder>`"
            )
        })?,
    };
    for (name, text) in FILES {
        let filled = text
            .replace("{{slug}}", slug)
            .replace("{{type}}", &type_name(slug))
            .replace("{{title}}", &title(slug))
            .replace("{{sdk}}", &sdk);
        let path = folder.join(name);
        let parent = path.parent().context("every file has a folder")?;
        std::fs::create_dir_all(parent).with_context(|| format!("{} can't be created", parent.display()))?;
        std::fs::write(&path, filled).with_context(|| format!("{} can't be written", path.display()))?;
        println!("{}", path.display());
    }
    println!("Next: cd {slug}, then `postrider adapter build` and `postrider adapter test`");
    Ok(())
}

/// Slugs from which Rust would not accept the name of the crate or of the type.
const RESERVED: [&str; 22] = [
    "adapter",
    "alloc",
    "as",
    "async",
    "config",
    "context",
    "core",
    "crate",
    "descriptor",
    "event",
    "fn",
    "for",
    "impl",
    "match",
    "mod",
    "request",
    "self",
    "std",
    "super",
    "test",
    "type",
    "use",
];

fn check(slug: &str) -> anyhow::Result<()> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let well_formed = slug.chars().all(is_allowed)
        && slug.starts_with(|c: char| c.is_ascii_lowercase())
        && !slug.ends_with('-')
        && !slug.contains("--")
        && slug.len() <= limits::CODE_CHARS;
    ensure!(
        well_formed,
        "\"{slug}\" is not a valid name of an adapter; use up to {} lower-case letters, digits and single hyphens, beginning \
         with a letter, such as acme-ads",
        limits::CODE_CHARS
    );
    ensure!(
        !RESERVED.contains(&slug) && !slug.starts_with("postrider"),
        "\"{slug}\" is reserved by Rust or Postrider; name the adapter after its network, such as acme-ads"
    );
    Ok(())
}

fn sdk_from(given: &str) -> anyhow::Result<String> {
    let path = Path::new(given);
    if path.join("Cargo.toml").is_file() {
        return Ok(dependency_on(&path.canonicalize()?));
    }
    let version = given.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()));
    ensure!(version, "\"{given}\" is neither a folder with the SDK's Cargo.toml nor a version such as 0.1.0");
    Ok(format!("\"{given}\""))
}

/// The SDK of the checkout around `here`. The path is relative to the new folder, so the checkout can be moved.
fn sdk_around(here: &Path) -> Option<String> {
    let mut up = PathBuf::from("..");
    for folder in here.ancestors() {
        let manifest = std::fs::read_to_string(folder.join("sdk/Cargo.toml")).unwrap_or_default();
        if manifest.contains("name = \"postrider-sdk\"") {
            return Some(dependency_on(&up.join("sdk")));
        }
        up.push("..");
    }
    None
}

fn dependency_on(path: &Path) -> String {
    format!("{{ path = \"{}\" }}", path.display())
}

/// AcmeAds for acme-ads.
fn type_name(slug: &str) -> String {
    slug.split('-').map(capitalised).collect()
}

/// Acme Ads for acme-ads.
fn title(slug: &str) -> String {
    slug.split('-').map(capitalised).collect::<Vec<_>>().join(" ")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_makes_a_crate_a_type_and_a_title() {
        for slug in ["acme", "acme-ads", "a", "net7-2"] {
            assert!(check(slug).is_ok(), "{slug}");
        }
        let long = "a".repeat(limits::CODE_CHARS + 1);
        for slug in ["", "Acme", "acme_ads", "-a", "a-", "a--b", "7net", "../a", "a b", "fn", "postrider-x", &long] {
            assert!(check(slug).is_err(), "{slug}");
        }
        assert_eq!((type_name("acme-ads"), title("acme-ads")), ("AcmeAds".to_owned(), "Acme Ads".to_owned()));
    }

    #[test]
    fn the_sdk_is_a_path_or_a_version() {
        assert_eq!(sdk_from("0.1.0").expect("a version"), "\"0.1.0\"");
        assert!(sdk_from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk")).expect("a path").ends_with("/sdk\" }"));
        for wrong in ["", "latest", "/no/such/folder", "0.1."] {
            assert!(sdk_from(wrong).is_err(), "{wrong}");
        }
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        assert_eq!(sdk_around(&here).expect("this is a checkout"), "{ path = \"../../../../sdk\" }");
    }
}
