//! What is the same for all operations: errors, idempotency keys, the description.

mod errors;
mod idempotency;
mod openapi;
mod requests;
