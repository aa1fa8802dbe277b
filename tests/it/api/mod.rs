//! What is the same for all operations: errors, filters, idempotency keys, the description.

mod errors;
mod finding;
mod idempotency;
mod openapi;
