//! What is the same for all operations: errors, filters, idempotency keys, the description.

mod addresses;
mod bounds;
mod error_codes;
mod errors;
mod finding;
mod idempotency;
mod indexes;
mod isolation;
mod limits;
mod openapi;
mod requests;
