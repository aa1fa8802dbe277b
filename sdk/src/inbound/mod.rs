//! Notifications of networks: reads their parameters from a query, a form or JSON, and maps them to a conversion.
//!
//! It does not interpret words, amounts and dates, because the source's settings define their meaning. It recognizes only
//! values without information: an empty value, a macro that the network did not replace, a test value.

mod multipart;
mod names;
mod parameters;
mod placeholder;

pub use names::Names;
pub use parameters::{Parameters, pairs};
pub use placeholder::{Placeholder, placeholder};
