//! Pages of reports. Clicks count at the time of the click; conversions and money at the time of the conversion.

mod chart;
pub mod export;
pub(crate) mod figure;
mod filter;
mod key;
mod period;
pub mod report;
pub mod revenue_map;
mod table;
