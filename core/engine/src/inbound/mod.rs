//! Requests of networks. [`receive`] is the whole way of a request: guard, store, parse, match, record, answer.

pub mod decoration;
mod matching;
mod parse;
pub mod receive;
mod record;
pub mod requests;
pub mod source_adapter;
pub mod source_keys;
pub mod sources;
mod stop;
pub(crate) mod unstored;
