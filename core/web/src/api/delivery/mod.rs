//! Operations on postbacks, adapters, templates, deliveries and destinations.

pub mod adapters;
pub mod deliveries;
pub mod destinations;
pub mod explanations;
pub mod postback_approval;
pub mod postback_list;
pub mod postback_versions;
pub mod postbacks;
pub mod previews;
pub mod retry_jobs;
pub mod templates;
