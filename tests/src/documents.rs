//! The documents of the repository: their fenced blocks, and a shell that runs them as a reader would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::process::program;

/// A fenced block: the text after the fence, and the lines.
pub struct Block {
    pub info: String,
    pub text: String,
}

/// The text of a document, by its path in the repository.
pub fn document(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The paths of all documents for readers outside of the project's code.
pub fn documents() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "packaging/README.md".to_owned()];
    let mut list = |folder: &str, is_one: &dyn Fn(&Path) -> bool| {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if is_one(&path) {
                let path = path.strip_prefix(root()).expect("below the root");
                found.push(path.to_str().expect("ASCII").to_owned());
            }
        }
    };
    list("docs", &|path| path.extension().is_some_and(|it| it == "md"));
    found.sort();
    found
}

pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            blocks.push(Block { info: info.to_owned(), text });
        }
    }
    blocks
}

/// The texts of the blocks of a language, of a document or a part of it.
pub fn blocks_of(document: &str, language: &str) -> Vec<String> {
    blocks(document).into_iter().filter(|it| it.info == language).map(|it| it.text).collect()
}

/// The part of a document from a heading to the next one of the same level.
pub fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let level = heading.split(' ').next().expect("a heading has a level");
    rest.split(&format!("\n{level} ")).next().expect("a split has a first part")
}

/// Runs shell commands in a folder, with `postrider` in the path and without settings of the developer.
pub fn shell(folder: &Path, commands: &str, environment: &[(&str, String)]) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let folder_of_program = program().parent().expect("it is in a folder");
    let mut shell = Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", folder_of_program.display()));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("POSTRIDER_")) {
        shell.env_remove(name);
    }
    shell.envs(environment.iter().map(|(name, value)| (*name, value)));
    shell.output().expect("bash runs")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
