//! The budget of each figure. A release may not fall below half of it.

use crate::Kind;
use crate::report::{Better, Budget};

pub const CLICK_RATIO: Budget = Budget { value: 0.5, better: Better::Higher };
pub const ADAPTER_WARM_US: Budget = Budget { value: 10.0, better: Better::Lower };
pub const ADAPTER_FRESH_US: Budget = Budget { value: 60.0, better: Better::Lower };
/// From the conversion to the request at the destination, on an idle server.
pub const LATENCY_P50_MS: Budget = Budget { value: 20.0, better: Better::Lower };
pub const LATENCY_P99_MS: Budget = Budget { value: 100.0, better: Better::Lower };
/// Throughput on tables with ten million rows, compared with empty ones.
pub const HISTORY_RATIO: Budget = Budget { value: 0.9, better: Better::Higher };
/// Over a month of ten million clicks.
pub const REPORT_MS: Budget = Budget { value: 300.0, better: Better::Lower };
pub const MEMORY_MIB: Budget = Budget { value: 200.0, better: Better::Lower };

/// Conversions accepted over the API, one by one, and delivered, sustained.
pub fn delivered_per_s(kind: Kind) -> Budget {
    let value = match kind {
        Kind::Sqlite => 5_000.0,
        Kind::Postgres => 10_000.0,
    };
    Budget { value, better: Better::Higher }
}
