//! Quotas: how much one person or affiliate may have and do.

use std::time::Duration;

use crate::people::auth_error::whole_seconds;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuotaError {
    #[error(
        "there are {limit} postbacks of this affiliate, and no more are allowed; archive one, or ask the operator to raise postbacks_per_affiliate"
    )]
    Postbacks { limit: u32 },
    #[error(
        "there are {limit} sources of this affiliate, and no more are allowed; archive one, or ask the operator to raise sources_per_affiliate"
    )]
    Sources { limit: u32 },
    #[error(
        "there are {limit} links of this affiliate, and no more are allowed; use one of them with sub ids, or ask the operator to raise links_per_affiliate"
    )]
    Links { limit: u32 },
    #[error(
        "there are {limit} API keys of this holder, and no more are allowed; revoke one, or ask the operator to raise api_keys_per_person"
    )]
    ApiKeys { limit: u32 },
    #[error("{per_minute} requests to destinations may be tested in a minute; try again in {} seconds", whole_seconds(*.wait))]
    Tests { per_minute: u32, wait: Duration },
    #[error(
        "{per_minute} deliveries and reports may be tried again in a minute; try again in {} seconds", whole_seconds(*.wait)
    )]
    Retries { per_minute: u32, wait: Duration },
}

impl QuotaError {
    /// Of what is limited in time: how long to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Tests { wait, .. } | Self::Retries { wait, .. } => Some(*wait),
            _ => None,
        }
    }
}

impl QuotaError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Postbacks { .. } => "too_many_postbacks",
            Self::Sources { .. } => "too_many_sources",
            Self::Links { .. } => "too_many_links",
            Self::ApiKeys { .. } => "too_many_api_keys",
            Self::Tests { .. } => "too_many_tests",
            Self::Retries { .. } => "too_many_retries",
        }
    }
}
