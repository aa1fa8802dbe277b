//! Clicks and conversions: links, landing pages, coupons, attribution, and the events of conversions.

pub mod action;
pub mod attribution;
pub mod click;
pub mod click_request;
pub mod conversion;
pub mod conversion_command;
pub mod conversion_error;
pub mod conversion_report;
pub mod coupon;
pub mod deep_link;
pub mod email_hash;
pub mod event;
pub mod evidence;
pub mod landing;
pub mod landing_choice;
pub mod link;
#[cfg(test)]
pub(crate) mod samples;
pub mod transaction;
