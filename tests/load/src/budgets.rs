//! The budget of each figure. The figures of a release must not be worse than half of the budget.

use crate::Kind;
use crate::report::{Better, Budget};

pub const CLICK_RATIO: Budget = Budget { value: 0.5, better: Better::Higher };
pub const ADAPTER_WARM_US: Budget = Budget { value: 10.0, better: Better::Lower };
pub const ADAPTER_FRESH_US: Budget = Budget { value: 60.0, better: Better::Lower };
/// The time from the conversion to the request at the destination, on an idle server.
pub const LATENCY_P50_MS: Budget = Budget { value: 20.0, better: Better::Lower };
pub const LATENCY_P99_MS: Budget = Budget { value: 100.0, better: Better::Lower };
/// The throughput on tables with ten million rows, divided by the throughput on empty ones.
pub const HISTORY_RATIO: Budget = Budget { value: 0.9, better: Better::Higher };
/// The time of a report over a month of ten million clicks.
pub const REPORT_MS: Budget = Budget { value: 300.0, better: Better::Lower };
/// The time of the server for a page, and for a part of a page, on the data of the demo times one thousand.
pub const PAGE_MS: Budget = Budget { value: 100.0, better: Better::Lower };
pub const FRAGMENT_MS: Budget = Budget { value: 50.0, better: Better::Lower };
pub const MEMORY_MIB: Budget = Budget { value: 200.0, better: Better::Lower };

/// The sustained rate of conversions that the API accepts one by one and that are delivered.
pub fn delivered_per_s(kind: Kind) -> Budget {
    let value = match kind {
        Kind::Sqlite => 5_000.0,
        Kind::Postgres => 10_000.0,
    };
    Budget { value, better: Better::Higher }
}
