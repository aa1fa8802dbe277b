//! Sources, and the requests of networks to them. [`receive`] has all steps of a request: guard, store, parse, match,
//! record, answer.

pub mod activity;
pub(crate) mod decoration;
mod matching;
mod parse;
pub mod receive;
mod record;
pub mod replays;
pub mod requests;
pub(crate) mod source_adapter;
pub mod source_keys;
mod source_settings;
pub mod sources;
mod stop;
pub(crate) mod unstored;
pub mod visible_source;
