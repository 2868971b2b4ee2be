//! What a shard retains, for a test to look at: no limit is charged, nothing is counted or trimmed.

use crate::limits::{GET_RECORDS_BYTES_MAX, GET_RECORDS_LIMIT_MAX};
use crate::log::{Cursor, ReadLimit, Record};
use crate::shard::{RecordBatch, Shard};

impl Shard {
    /// The records that a reader could read now, the oldest first.
    pub(crate) fn retained(&self) -> Vec<Record> {
        let core = &*self.core;
        let cutoff = core.settings.cutoff(core.settings.now());
        let limit = ReadLimit {
            records: GET_RECORDS_LIMIT_MAX as u64,
            bytes: GET_RECORDS_BYTES_MAX as u64,
        };
        let mut records = Vec::new();
        let mut cursor = Cursor::at(core.log.trim_horizon());
        loop {
            let shown = core.log.shown();
            if cursor.place >= shown.next {
                return records;
            }
            let spans = core.log.read(shown, &mut cursor, limit);
            if spans.is_empty() {
                // Trimmed since the horizon was looked at.
                cursor = Cursor::at(core.log.trim_horizon().max(cursor.place));
                continue;
            }
            let mut batch = RecordBatch::empty(core.origin);
            batch.spans = spans;
            let records_now = batch.records();
            records.extend(
                records_now
                    .filter(|record| record.approximate_arrival_timestamp().as_millis() >= cutoff),
            );
        }
    }
}
