//! Sources, and the requests of networks to them. [`receive`] has all steps of a request: guard, store, parse, match,
//! record, answer.

pub mod decoration;
mod matching;
mod parse;
pub mod receive;
mod record;
pub mod requests;
pub mod source_adapter;
pub mod source_keys;
mod source_settings;
pub mod sources;
mod stop;
pub(crate) mod unstored;
pub mod visible_source;
