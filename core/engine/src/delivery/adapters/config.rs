//! Whether a configuration is right, as its adapter says.

use std::sync::Arc;

use serde_json::Value;

use crate::FieldIssue;
use domain::ids::AffiliateId;
use host::{Adapter, AdapterError};

use super::pool::{Line, Pool};

/// Everything wrong with a configuration of this owner, at its place in what was sent.
pub async fn config_issues(
    pool: &Pool,
    owner: Option<AffiliateId>,
    adapter: &Arc<Adapter>,
    config: &Value,
) -> Result<Vec<FieldIssue>, AdapterError> {
    let (line, adapter, config) = (Line::of(owner, adapter), adapter.clone(), config.clone());
    let issues = pool.ask(line, move || adapter.check_config(&config)).await??;
    let at = |path: String| format!("/config{path}");
    Ok(issues.into_iter().map(|it| FieldIssue::new(at(it.path), "invalid_config", it.message)).collect())
}
