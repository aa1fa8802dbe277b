//! Pages of postbacks and of the templates that they are made from, the log of deliveries, retry jobs, and why an event was sent
//! or not.

pub mod editor;
pub mod log;
pub mod postbacks;
pub mod retry_jobs;
pub mod templates;
pub mod why_not;
