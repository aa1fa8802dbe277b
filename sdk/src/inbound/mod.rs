//! Notifications of networks: their parameters, in any encoding, and their contents.
//!
//! Nothing is interpreted here: words, amounts and dates remain the network's own, because only the source's
//! settings define their meaning. Only values without information are recognized: an empty value, a macro that the
//! network did not replace, a test.

mod names;
mod parameters;
mod placeholder;

pub use names::Names;
pub use parameters::Parameters;
pub use placeholder::{Placeholder, placeholder};
