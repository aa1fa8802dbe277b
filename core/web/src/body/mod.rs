//! Bodies of requests: how JSON becomes the type that a handler asks for. An unknown field, or a list in place of an
//! object, is an error that names the field. So is a name that occurs twice in an object.

mod json;
mod patch;
pub(crate) mod patch_schemas;
pub(crate) mod sentences;
pub(crate) mod strict;

pub use json::parse;
pub use patch::Patch;

use serde::de::DeserializeOwned;
use serde_json::Value;

use engine::Error;

use sentences::BodyError;
use strict::Strict;

/// Reads a body.
///
/// # Errors
/// The first field that is unknown, missing or invalid.
pub fn read<T: DeserializeOwned>(body: Value) -> Result<T, Error> {
    read_at("", body)
}

/// Reads the part of a body at the JSON pointer `place`.
///
/// # Errors
/// As [`read`].
pub fn read_at<T: DeserializeOwned>(place: &str, part: Value) -> Result<T, Error> {
    // Within a body null counts as absent, but the body itself must be there.
    let read = if part.is_null() { Err(BodyError::null()) } else { T::deserialize(Strict::of(part)) };
    read.map_err(|error| error.under(place).into())
}
