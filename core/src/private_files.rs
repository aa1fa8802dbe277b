//! Files and folders for the server's own user only: they hold keys and the names of buyers.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

/// One that is there already stays as it is.
pub fn create_dir(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the data folder {} can't be made; set POSTRIDER_DATA_DIR", path.display()))
}

/// An empty file that was not there before.
pub fn create(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A file with one line that was not there before.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    writeln!(create(path)?, "{text}")
}
