//! Checks that the components committed in `plugins/dist` match their sources.
//!
//! `plugins/build` writes the digests, and `plugins/build --check` compares them in the shell. This file does the same for a
//! test, so that a component and its sources are always committed together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Digests {
    /// The digest of the component's bytes.
    pub component: String,
    /// The digest of all sources of the component: the plugin's folder and the SDK with the contract.
    pub sources: String,
}

/// The problems of the committed components, one sentence each; empty if there are none.
pub fn stale_components() -> Vec<String> {
    let committed = committed_digests();
    let mut problems = Vec::new();
    for slug in plugins() {
        match committed.get(&slug) {
            None => problems.push(format!("{slug} is not in digests.json; run plugins/build")),
            Some(digests) if digests.component != component(&slug) => {
                problems.push(format!("dist/{slug}.wasm is not the component in digests.json; run plugins/build"));
            }
            Some(digests) if digests.sources != sources(&slug) => {
                problems.push(format!("the sources of {slug} or of the SDK have changed; run plugins/build"));
            }
            Some(_) => {}
        }
    }
    problems
}

/// Every folder in `plugins/` with a library is an adapter.
pub fn plugins() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("plugins")).expect("the repository has plugins");
    let mut slugs: Vec<String> = entries
        .map(|entry| entry.expect("it is readable").path())
        .filter(|path| path.join("src/lib.rs").is_file())
        .map(|path| path.file_name().expect("it has a name").to_string_lossy().into_owned())
        .collect();
    slugs.sort();
    slugs
}

fn committed_digests() -> BTreeMap<String, Digests> {
    let text = std::fs::read(root().join("plugins/dist/digests.json")).expect("digests.json is committed");
    serde_json::from_slice(&text).expect("plugins/build wrote it")
}

fn component(slug: &str) -> String {
    digest_of(&root().join(format!("plugins/dist/{slug}.wasm")))
}

/// The digest over `<sha256>  <path>` lines in the order of the paths, as `sha256sum` prints them.
fn sources(slug: &str) -> String {
    let mut paths = Vec::new();
    for folder in [format!("plugins/{slug}"), "sdk".to_owned()] {
        source_files(Path::new(&folder), &mut paths);
    }
    paths.sort();
    let line = |path: &String| format!("{}  {path}\n", digest_of(&root().join(path)));
    hex(&paths.iter().map(line).collect::<String>().into_bytes())
}

fn source_files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(root().join(folder)).expect("the folder exists") {
        let entry = entry.expect("it is readable");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("it has a type").is_dir() {
            // Cases test a component and are not part of it.
            if entry.file_name() != "cases" {
                source_files(&path, found);
            }
        } else if path.extension().is_some_and(|kind| ["rs", "toml", "wit", "json"].iter().any(|known| kind == *known))
        {
            found.push(path.to_string_lossy().into_owned());
        }
    }
}

fn digest_of(path: &Path) -> String {
    hex(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_components_are_built_from_the_committed_sources() {
        assert_eq!(super::stale_components(), [""; 0]);
    }
}
