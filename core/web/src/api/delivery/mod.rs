//! Operations on postbacks, adapters, templates, deliveries and destinations.

pub mod adapters;
pub mod deliveries;
pub mod destinations;
pub mod postbacks;
pub mod templates;
