//! Has an adapter check a configuration.

use std::sync::Arc;

use serde_json::Value;

use crate::FieldIssue;
use domain::ids::AffiliateId;
use host::{Adapter, AdapterError};

use super::pool::{CallLine, Pool};

/// The issues of a configuration, with JSON pointers into the request body.
///
/// # Errors
///
/// The adapter could not check it.
pub(crate) async fn config_issues(
    pool: &Pool,
    owner: Option<AffiliateId>,
    adapter: &Arc<Adapter>,
    config: &Value,
) -> Result<Vec<FieldIssue>, AdapterError> {
    let (line, adapter, config) = (CallLine::of(owner, adapter), adapter.clone(), config.clone());
    let issues = pool.ask(line, move || adapter.check_config(&config)).await??;
    let at = |path: String| format!("/config{path}");
    Ok(issues.into_iter().map(|it| FieldIssue::new(at(it.path), "invalid_config", it.message)).collect())
}
