//! What is the same for all operations: errors, filters, idempotency keys, the description.

mod addresses;
mod error_codes;
mod errors;
mod finding;
mod idempotency;
mod openapi;
mod requests;
