//! Putting records into a stream with hooks: the slow way round, for tests alone.

use std::time::Duration;

use crate::data::Data;
use crate::error::Error;
use crate::hash_key::HashKey;
use crate::partition_key::check_partition_key;
use crate::producer::answers::Answers;
use crate::producer::batch::Batch;
use crate::producer::entries::Entries;
use crate::producer::inlet::{Inlet, hash_key};
use crate::producer::{PutRecordOutput, PutRecordsOutput};
use crate::put_entry::PutEntry;
use crate::shard::{Hooked, Verdict};

impl Inlet<'_> {
    /// Puts one record, as the hooks say.
    pub(super) fn put_hooked(
        self,
        hooked: &Hooked,
        key: &str,
        hash: Option<HashKey>,
        data: &mut Data<'_>,
    ) -> Result<PutRecordOutput, Error> {
        check_partition_key(key)?;
        self.check_size(key, data.as_slice().len())?;
        let known = self.settled();
        let index = known.routing.index_of(|| hash_key(key, hash));
        let mut put = || {
            self.put_slowly(key, hash, data, None)
                .map_err(|error| *error)
        };
        let Some(index) = index else {
            // It is refused without asking anybody.
            return put();
        };
        let verdict = hooked.hooks.put_record(known.routing.shard(index), key);
        let clock = &*self.stream.settings().clock;
        // The hooks may have resharded the stream: it looks for its shard anew.
        hooked.carry_out(clock, verdict, put)
    }

    /// Puts many records, which were checked, as the hooks say of the call and of each.
    pub(super) fn put_records_hooked(
        self,
        hooked: &Hooked,
        entries: Vec<PutEntry<'_>>,
    ) -> Result<PutRecordsOutput, Error> {
        let known = self.settled();
        let place = |entry: &PutEntry<'_>| {
            let key = &*entry.key;
            let index = known
                .routing
                .index_of(|| hash_key(key, entry.known_hash_key().copied()))?;
            Some(known.routing.shard(index))
        };
        let records: Option<Vec<_>> = entries
            .iter()
            .map(|entry| Some((place(entry)?, &*entry.key)))
            .collect();
        let records = records.unwrap_or_default();
        if records.is_empty() {
            let entries = Entries::gather(entries.into_iter());
            let answers = Batch::new(self, entries).put()?;
            return Ok(PutRecordsOutput::new(answers));
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
        self,
        entries: Vec<PutEntry<'_>>,
        verdicts: Vec<Verdict>,
    ) -> Result<PutRecordsOutput, Error> {
        let taken = entries.into_iter().zip(&verdicts);
        let taken = taken.filter(|(_, verdict)| verdict.refusal.is_none());
        let taken = Entries::gather(taken.map(|(entry, _)| entry));
        let mut put = PutRecordsOutput::new(Batch::new(self, taken).put()?).into_iter();
        let mut answers = Answers::default();
        answers.spread(verdicts.len());
        for (index, verdict) in (0..).zip(verdicts) {
            let answer = match verdict.refusal {
                Some(refusal) => Err(refusal),
                None => put.next().expect("an answer for each entry that was put"),
            };
            answers.set(index, verdict.instead.map_or(answer, Err));
        }
        Ok(PutRecordsOutput::new(answers))
    }
}
