//! The parts that pages are made of: typed contexts of the partials in `templates/parts`.

pub mod chart;
pub mod csv_file;
pub mod field;
pub mod list;
pub mod live;
pub mod period;
pub mod qr;
pub mod stat;
pub mod status;
pub mod views;
