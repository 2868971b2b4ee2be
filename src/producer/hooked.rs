//! Putting records into a stream with hooks: the slow way round, for tests alone.

use std::time::Duration;

use crate::error::Error;
use crate::partition_key::check_partition_key;
use crate::producer::batch::Batch;
use crate::producer::{Producer, Put, PutRecordOutput, PutRecordsOutput, hash_key};
use crate::put_entry::PutEntry;
use crate::shard::{Hooked, Verdict};

impl Producer {
    /// Puts one record, as the hooks say.
    pub(super) fn put_hooked(
        &self,
        hooked: &Hooked,
        mut put: Put<'_>,
    ) -> Result<PutRecordOutput, Error> {
        check_partition_key(put.key)?;
        self.check_size(put.key, put.data.payload().len())?;
        let known = self.settled();
        let index = known.routing.index_of(|| hash_key(put.key, put.hash_key));
        let Some(index) = index else {
            // It is refused without asking anybody.
            return self.put_slowly(put);
        };
        let verdict = hooked.hooks.put_record(known.routing.shard(index), put.key);
        let clock = &*self.stream.settings().clock;
        // The hooks may have resharded the stream: it looks for its shard anew.
        hooked.carry_out(clock, verdict, || self.put_slowly(put))
    }

    /// Puts many records, which were checked, as the hooks say of the call and of each.
    pub(super) fn put_records_hooked(
        &self,
        hooked: &Hooked,
        entries: Vec<PutEntry<'_>>,
    ) -> Result<PutRecordsOutput, Error> {
        let known = self.settled();
        let place = |entry: &PutEntry<'_>| {
            let key = entry.key.as_str();
            let index = known
                .routing
                .index_of(|| hash_key(key, entry.known_hash_key()))?;
            Some(known.routing.shard(index))
        };
        let records: Option<Vec<_>> = entries
            .iter()
            .map(|entry| Some((place(entry)?, entry.key.as_str())))
            .collect();
        let records = records.unwrap_or_default();
        if records.is_empty() {
            let records = Batch::new(self, entries).put()?;
            return Ok(PutRecordsOutput { records });
        }
        let (mut verdict, of_each) = hooked.hooks.put_records(&records);
        drop(records);
        let delays = of_each.iter().map(|verdict| verdict.delay);
        verdict.delay = delays.fold(verdict.delay, Duration::saturating_add);
        let clock = &*self.stream.settings().clock;
        hooked.carry_out(clock, verdict, || self.put_some(entries, of_each))
    }

    /// Puts the entries that are not refused, and answers each.
    fn put_some(
        &self,
        entries: Vec<PutEntry<'_>>,
        verdicts: Vec<Verdict>,
    ) -> Result<PutRecordsOutput, Error> {
        let taken = entries.into_iter().zip(&verdicts);
        let taken = taken.filter(|(_, verdict)| verdict.refusal.is_none());
        let taken = taken.map(|(entry, _)| entry).collect();
        let mut answers = Batch::new(self, taken).put()?.into_iter();
        let records = verdicts.into_iter().map(|verdict| {
            let answer = match verdict.refusal {
                Some(refusal) => Err(refusal),
                None => answers
                    .next()
                    .expect("an answer for each entry that was put"),
            };
            verdict.instead.map_or(answer, Err)
        });
        Ok(PutRecordsOutput {
            records: records.collect(),
        })
    }
}
