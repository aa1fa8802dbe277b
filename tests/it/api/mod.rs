//! What is the same for all operations: errors, idempotency keys, the description.

mod error_codes;
mod errors;
mod idempotency;
mod openapi;
