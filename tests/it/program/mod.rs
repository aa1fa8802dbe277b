//! Offers, caps, customers, archiving and the data of buyers.

mod archive;
mod buyers;
mod caps;
mod customers;
mod offers;
mod recurring;
