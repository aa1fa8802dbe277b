//! `postrider-plugin-encode IN OUT`: makes a component of a core module that was built against the SDK.
//!
//! There is no WASI adapter here on purpose: a module that needs one is not a pure function, and the
//! encoder refuses it with the name of the import.

use std::path::PathBuf;

use anyhow::{Context, bail};
use wit_component::ComponentEncoder;

fn main() -> anyhow::Result<()> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, component] = paths.as_slice() else {
        bail!("usage: postrider-plugin-encode <core module> <component>");
    };
    let bytes = std::fs::read(module).with_context(|| format!("{} cannot be read", module.display()))?;
    let encoded = ComponentEncoder::default()
        .module(&bytes)
        .and_then(|encoder| encoder.validate(true).encode())
        .with_context(|| format!("{} is not a module for a Postrider adapter", module.display()))?;
    std::fs::write(component, encoded).with_context(|| format!("{} cannot be written", component.display()))
}
