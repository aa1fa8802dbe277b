//! What is the same for all operations: errors, idempotency keys, the description.

mod addresses;
mod errors;
mod idempotency;
mod openapi;
