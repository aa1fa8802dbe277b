//! `postrider openapi`: prints the OpenAPI description, which is committed as `schemas/openapi.json`.

use std::io::Write;

pub fn run() -> anyhow::Result<()> {
    // A `Value` sorts its keys, so the committed file changes only where the API changes.
    let description = web::router::describe();
    writeln!(std::io::stdout(), "{description:#}")?;
    Ok(())
}
