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

use engine::Error;

/// The figures, or none if the server has no time for them now: a page shows everything else.
pub(crate) fn if_computed<T>(figures: Result<T, Error>) -> Result<Option<T>, Error> {
    match figures {
        Ok(figures) => Ok(Some(figures)),
        Err(Error::TooManyReports | Error::TookTooLong) => Ok(None),
        Err(error) => Err(error),
    }
}
