//! `postrider openapi`: the description that is committed as `schemas/openapi.json`.

use std::io::Write;

pub fn run() -> anyhow::Result<()> {
    // By way of a value, whose keys are in order: the committed file differs only where the API does.
    let description = serde_json::to_value(web::router::describe())?;
    writeln!(std::io::stdout(), "{description:#}")?;
    Ok(())
}
