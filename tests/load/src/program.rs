//! The program under test, built as `cargo build --release` builds it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

/// Builds `postrider` in release; cargo does nothing if it is up to date, so an outdated program is never measured.
pub fn build() -> anyhow::Result<PathBuf> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "-p", "postrider", "-p", "postrider-load", "--bin", "postrider"]);
    let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("cargo can't be run")?;
    ensure!(status.success(), "postrider does not build");
    // target/<profile>/postrider-load, or target/<profile>/deps/… in a test.
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .find(|it| it.join("CACHEDIR.TAG").exists())
        .context("this program is not in cargo's target folder; use --program")?;
    let program = target.join("release").join("postrider");
    ensure!(program.exists(), "{} is missing after the build; use --program", program.display());
    Ok(program)
}
