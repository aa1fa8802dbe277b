//! Reports that networks send us: their parameters, however they came, and what they say.
//!
//! Nothing is interpreted here: words, amounts and dates stay the network's, because only the source's
//! settings say what they mean. What is recognised is that something says nothing: an empty value, a macro that the
//! network did not replace, a test.

mod names;
mod parameters;
mod placeholder;

pub use names::Names;
pub use parameters::Parameters;
pub use placeholder::{Placeholder, placeholder};
