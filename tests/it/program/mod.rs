//! Offers, caps and customers.

mod caps;
mod customers;
mod offers;
