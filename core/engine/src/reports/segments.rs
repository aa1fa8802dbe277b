//! Packed segments in memory. People read the same days again and again, and reading a thousand rows of the database takes longer
//! than counting them.

use std::collections::BTreeMap;
use std::sync::Arc;

use moka::sync::Cache;
use sea_orm::{ConnectionTrait, DbErr};

use domain::reports::packed::Columns;
use domain::timestamp::Timestamp;
use storage::reports::Subject;

/// The columns of segments, in chronological order.
pub(super) type Segments = BTreeMap<Timestamp, Arc<Columns>>;

/// The memory of all windows together.
const BYTES_MAX: u64 = 16 << 20;
/// A larger window is not kept, so that one report over much data does not push out the windows of many pages.
const WINDOW_BYTES_MAX: usize = 1 << 20;
/// About what a segment takes besides its data.
const SEGMENT_BYTES: usize = 200;

/// A window of packed rows. The generation changes in the transaction that changes packed data, so what was read once with a
/// generation is what the database has with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Window {
    pub subject: Subject,
    pub generation: i64,
    /// Its beginning and its end, which is not part of it.
    pub span: (Timestamp, Timestamp),
    pub columns: Arc<[u8]>,
}

/// Windows that were read lately.
#[derive(Debug)]
pub(super) struct SegmentCache(Cache<Window, Arc<Segments>>);

impl Default for SegmentCache {
    fn default() -> Self {
        let weigh = |_: &Window, segments: &Arc<Segments>| u32::try_from(memory(segments)).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(BYTES_MAX).weigher(weigh).build())
    }
}

impl SegmentCache {
    /// The segments of a window. `tx` has read the generation.
    pub(super) async fn read(&self, tx: &impl ConnectionTrait, window: Window) -> Result<Arc<Segments>, DbErr> {
        if let Some(known) = self.0.get(&window) {
            return Ok(known);
        }
        let read = storage::reports::list_segments(tx, window.subject, window.span, &window.columns).await?;
        let segments: Segments = read.into_iter().map(|(segment, columns)| (segment, Arc::new(columns))).collect();
        let segments = Arc::new(segments);
        if memory(&segments) <= WINDOW_BYTES_MAX {
            self.0.insert(window, segments.clone());
        }
        Ok(segments)
    }
}

/// The size of the packed data.
pub(super) fn bytes(segments: &Segments) -> usize {
    segments.values().flat_map(|columns| columns.iter()).map(|(_, data)| data.len()).sum()
}

fn memory(segments: &Segments) -> usize {
    bytes(segments) + segments.len() * SEGMENT_BYTES
}
