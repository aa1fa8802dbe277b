//! Clicks and conversions: links, landing pages, coupons, attribution, and the events of conversions.

pub mod action;
pub mod attribution;
pub mod click;
pub mod conversion;
pub mod conversion_error;
pub mod conversion_report;
pub mod coupon;
pub mod deep_link;
pub mod event;
pub mod landing;
pub mod link;
