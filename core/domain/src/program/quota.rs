//! Quotas: limits for what one person or affiliate may have and do.

use std::time::Duration;

use crate::people::auth_error::seconds;

/// A limit is reached.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuotaError {
    /// The affiliate has too many postbacks.
    #[error(
        "this affiliate has {limit} postbacks, which is the limit; archive one, or ask the operator to raise postbacks_per_affiliate"
    )]
    Postbacks {
        /// The limit.
        limit: u32,
    },
    /// The affiliate has too many sources.
    #[error(
        "this affiliate has {limit} sources, which is the limit; archive one, or ask the operator to raise sources_per_affiliate"
    )]
    Sources {
        /// The limit.
        limit: u32,
    },
    /// The affiliate has too many links.
    #[error(
        "this affiliate has {limit} links, which is the limit; use one of them with sub ids, or ask the operator to raise links_per_affiliate"
    )]
    Links {
        /// The limit.
        limit: u32,
    },
    /// The holder has too many API keys.
    #[error(
        "this holder has {limit} API keys, which is the limit; revoke one, or ask the operator to raise api_keys_per_person"
    )]
    ApiKeys {
        /// The limit.
        limit: u32,
    },
    /// The person has too many saved views.
    #[error("you have {limit} saved views, which is the limit; delete one")]
    SavedViews {
        /// The limit.
        limit: u32,
    },
    /// Too many test requests.
    #[error("at most {per_minute} test requests are allowed per minute; try again in {}", seconds(.wait))]
    Tests {
        /// The limit per minute.
        per_minute: u32,
        /// When the next one is allowed.
        wait: Duration,
    },
    /// Too many manual retries.
    #[error(
        "at most {per_minute} retries of deliveries and inbound requests are allowed per minute; try again in {}", seconds(.wait)
    )]
    Retries {
        /// The limit per minute.
        per_minute: u32,
        /// When the next one is allowed.
        wait: Duration,
    },
}

impl QuotaError {
    /// How long to wait, for limits per minute.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Tests { wait, .. } | Self::Retries { wait, .. } => Some(*wait),
            _ => None,
        }
    }
}

impl QuotaError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Postbacks { .. } => "too_many_postbacks",
            Self::Sources { .. } => "too_many_sources",
            Self::Links { .. } => "too_many_links",
            Self::ApiKeys { .. } => "too_many_api_keys",
            Self::SavedViews { .. } => "too_many_saved_views",
            Self::Tests { .. } => "too_many_tests",
            Self::Retries { .. } => "too_many_retries",
        }
    }
}
