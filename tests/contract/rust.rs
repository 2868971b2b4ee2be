//! The Rust face.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use brooklet::{
    Clock, Error, HashKey, ManualClock, PutEntry, PutRecordOutput, Registry, ShardFilter, ShardId,
    ShardIterator, StartingPosition, Stream, Timestamp,
};

use crate::door::{Batch, Code, Door, Filter, From, Put, Read, ShardInfo, Stored};

pub struct RustFace {
    clock: ManualClock,
    registry: Registry,
    /// The iterators that were handed out: one is used again as often as a test likes.
    iterators: RefCell<HashMap<String, ShardIterator>>,
}

impl RustFace {
    pub fn open() -> Self {
        let clock = ManualClock::default();
        let registry = Registry::builder().clock(clock.clone()).build();
        Self {
            clock,
            registry,
            iterators: RefCell::default(),
        }
    }

    fn stream(&self, name: &str) -> Result<Stream, Code> {
        self.registry.get(name).map_err(code)
    }

    fn keep(&self, iterator: ShardIterator) -> String {
        let mut iterators = self.iterators.borrow_mut();
        let name = iterators.len().to_string();
        iterators.insert(name.clone(), iterator);
        name
    }
}

impl Door for RustFace {
    fn create_stream(&self, stream: &str, shard_count: u32) -> Result<(), Code> {
        let builder = Stream::builder(stream).shard_count(shard_count);
        self.registry.create(builder).map(drop).map_err(code)
    }

    fn delete_stream(&self, stream: &str) -> Result<(), Code> {
        self.registry.delete(stream).map_err(code)
    }

    fn put(&self, stream: &str, put: Put) -> Result<Stored, Code> {
        let producer = self.stream(stream)?.producer();
        producer.put_entry(entry(&put)).map(stored).map_err(code)
    }

    fn put_all(&self, stream: &str, puts: Vec<Put>) -> Result<Vec<Result<Stored, Code>>, Code> {
        let producer = self.stream(stream)?.producer();
        let output = producer.put_records(puts.iter().map(entry)).map_err(code)?;
        let answers = output
            .into_iter()
            .map(|answer| answer.map(stored).map_err(code));
        Ok(answers.collect())
    }

    fn iterator(&self, stream: &str, shard: &str, from: From) -> Result<String, Code> {
        let number = |text: &str| text.parse().map_err(|error| code(Error::from(error)));
        let position = match from {
            From::TrimHorizon => StartingPosition::TrimHorizon,
            From::Latest => StartingPosition::Latest,
            From::At(text) => StartingPosition::AtSequenceNumber(number(&text)?),
            From::After(text) => StartingPosition::AfterSequenceNumber(number(&text)?),
            From::AtMillis(ms) => StartingPosition::AtTimestamp(Timestamp::from_millis(ms)),
        };
        let iterator = self.stream(stream)?.shard_iterator(id(shard)?, position);
        iterator.map(|iterator| self.keep(iterator)).map_err(code)
    }

    fn read(&self, iterator: &str, limit: usize) -> Result<Batch, Code> {
        let mut iterator = self.iterators.borrow()[iterator].clone();
        let batch = iterator.get_records(limit).map_err(code)?;
        let records = batch.iter().map(|record| Read {
            number: record.sequence_number().to_string(),
            key: record.partition_key().to_owned(),
            data: record.data().to_vec(),
            arrival_ms: record.approximate_arrival_timestamp().as_millis(),
        });
        let children = batch.child_shards().iter().map(|child| {
            let parents = child.parent_shards().iter().map(ToString::to_string);
            (child.shard_id().to_string(), parents.collect())
        });
        Ok(Batch {
            records: records.collect(),
            next: (!batch.shard_ended()).then(|| self.keep(iterator)),
            millis_behind: batch.millis_behind_latest(),
            children: children.collect(),
        })
    }

    fn list_shards(&self, stream: &str, filter: Filter) -> Result<Vec<ShardInfo>, Code> {
        let filter = match filter {
            Filter::All => ShardFilter::FromTrimHorizon,
            Filter::AtLatest => ShardFilter::AtLatest,
            Filter::AtTrimHorizon => ShardFilter::AtTrimHorizon,
            Filter::After(shard) => ShardFilter::AfterShardId(id(&shard)?),
        };
        let shards = self.stream(stream)?.list_shards(filter).map_err(code)?;
        let info = shards.iter().map(|shard| ShardInfo {
            id: shard.id().to_string(),
            start: shard.hash_key_range().start().get(),
            end: shard.hash_key_range().end().get(),
            parent: shard.parent_shard_id().map(|id| id.to_string()),
            adjacent_parent: shard.adjacent_parent_shard_id().map(|id| id.to_string()),
            starting_number: shard.starting_sequence_number().to_string(),
            ending_number: shard
                .ending_sequence_number()
                .map(|number| number.to_string()),
        });
        Ok(info.collect())
    }

    fn split(&self, stream: &str, shard: &str, key: u128) -> Result<(), Code> {
        let stream = self.stream(stream)?;
        stream
            .split_shard(id(shard)?, HashKey::new(key))
            .map_err(code)
    }

    fn merge(&self, stream: &str, lower: &str, upper: &str) -> Result<(), Code> {
        let stream = self.stream(stream)?;
        stream.merge_shards(id(lower)?, id(upper)?).map_err(code)
    }

    fn set_shard_count(&self, stream: &str, count: u32) -> Result<(), Code> {
        self.stream(stream)?.update_shard_count(count).map_err(code)
    }

    fn set_retention_hours(&self, stream: &str, hours: u64) -> Result<(), Code> {
        let retention = Duration::from_secs(hours * 3600);
        self.stream(stream)?.set_retention(retention).map_err(code)
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().as_millis()
    }

    fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

fn entry(put: &Put) -> PutEntry<'_> {
    let entry = PutEntry::new(put.key.as_str(), put.data.as_slice());
    match put.hash_key {
        Some(key) => entry.explicit_hash_key(HashKey::new(key)),
        None => entry,
    }
}

fn stored(output: PutRecordOutput) -> Stored {
    Stored {
        shard: output.shard_id().to_string(),
        number: output.sequence_number().to_string(),
    }
}

fn id(shard: &str) -> Result<ShardId, Code> {
    shard.parse().map_err(|error| code(Error::from(error)))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn code(error: Error) -> Code {
    error.code().to_owned()
}
