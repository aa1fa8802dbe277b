//! `postrider openapi`: the description that is committed as `schemas/openapi.json`.

use std::io::Write;

pub fn run() -> anyhow::Result<()> {
    let text = crate::web::openapi::describe().to_pretty_json()?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
