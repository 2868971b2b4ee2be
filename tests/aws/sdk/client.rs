//! The SDK as a door to the promises that all doors keep (`tests/contract`).

use std::time::Duration;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ScalingType, Shard, ShardFilter, ShardFilterType, ShardIteratorType,
};
use brooklet::Clock;
use futures_executor::block_on;

use crate::door::{Batch, Code, Door, Filter, From, Put, Read, ShardInfo, Stored};
use crate::world::World;

/// The name of the exception that a call ended with.
fn code<T, E: ProvideErrorMetadata, R>(outcome: Result<T, SdkError<E, R>>) -> Result<T, Code> {
    outcome.map_err(|error| match error.code() {
        Some(code) => code.to_owned(),
        None => panic!("an error that the service did not give"),
    })
}

impl Door for World {
    fn create_stream(&self, stream: &str, shard_count: u32) -> Result<(), Code> {
        let create = self.client.create_stream().stream_name(stream);
        let create = create.shard_count(shard_count.try_into().expect("it is small"));
        code(block_on(create.send())).map(drop)
    }

    fn delete_stream(&self, stream: &str) -> Result<(), Code> {
        code(block_on(
            self.client.delete_stream().stream_name(stream).send(),
        ))
        .map(drop)
    }

    fn put(&self, stream: &str, put: Put) -> Result<Stored, Code> {
        let request = self.client.put_record().stream_name(stream);
        let request = request.partition_key(put.key).data(Blob::new(put.data));
        let hash_key = put.hash_key.map(|key| key.to_string());
        let answer = code(block_on(request.set_explicit_hash_key(hash_key).send()))?;
        Ok(Stored {
            shard: answer.shard_id,
            number: answer.sequence_number,
        })
    }

    fn put_all(&self, stream: &str, puts: Vec<Put>) -> Result<Vec<Result<Stored, Code>>, Code> {
        let entries = puts.into_iter().map(|put| {
            let hash_key = put.hash_key.map(|key| key.to_string());
            let entry = PutRecordsRequestEntry::builder().partition_key(put.key);
            let entry = entry
                .data(Blob::new(put.data))
                .set_explicit_hash_key(hash_key);
            entry.build().expect("it is whole")
        });
        let request = self.client.put_records().stream_name(stream);
        let request = request.set_records(Some(entries.collect()));
        let answer = code(block_on(request.send()))?;
        let answers: Vec<_> = answer
            .records
            .into_iter()
            .map(|answer| match answer.error_code {
                Some(code) => Err(code),
                None => Ok(Stored {
                    shard: answer.shard_id.expect("it was stored"),
                    number: answer.sequence_number.expect("it was stored"),
                }),
            })
            .collect();
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        assert_eq!(answer.failed_record_count, i32::try_from(failed).ok());
        Ok(answers)
    }

    fn iterator(&self, stream: &str, shard: &str, from: From) -> Result<String, Code> {
        let get = self
            .client
            .get_shard_iterator()
            .stream_name(stream)
            .shard_id(shard);
        let get = match from {
            From::TrimHorizon => get.shard_iterator_type(ShardIteratorType::TrimHorizon),
            From::Latest => get.shard_iterator_type(ShardIteratorType::Latest),
            From::At(number) => get
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(number),
            From::After(number) => get
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(number),
            From::AtMillis(ms) => get
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(DateTime::from_millis(ms.try_into().expect("it is small"))),
        };
        let answer = code(block_on(get.send()))?;
        Ok(answer.shard_iterator.expect("there is one"))
    }

    fn read(&self, iterator: &str, limit: usize) -> Result<Batch, Code> {
        let get = self.client.get_records().shard_iterator(iterator);
        // What is no number of the SDK is none of the service, either.
        let get = get.limit(limit.try_into().unwrap_or(i32::MAX));
        let answer = code(block_on(get.send()))?;
        let records = answer.records.into_iter().map(|record| {
            let arrival = record.approximate_arrival_timestamp.expect("it is known");
            // The SDK reads seconds as floating point, and cuts off.
            let arrival = Duration::from_secs_f64(arrival.as_secs_f64() + 0.000_1);
            Read {
                number: record.sequence_number,
                key: record.partition_key.unwrap_or_default(),
                data: record.data.into_inner(),
                arrival_ms: arrival.as_millis().try_into().expect("it is small"),
            }
        });
        let children = answer.child_shards.unwrap_or_default().into_iter();
        let behind = answer.millis_behind_latest.expect("it is told");
        Ok(Batch {
            records: records.collect(),
            next: answer.next_shard_iterator,
            millis_behind: behind.try_into().expect("it is not negative"),
            children: children
                .map(|child| (child.shard_id, child.parent_shards))
                .collect(),
        })
    }

    fn list_shards(&self, stream: &str, filter: Filter) -> Result<Vec<ShardInfo>, Code> {
        let builder = ShardFilter::builder();
        let filter = match filter {
            Filter::All => builder.r#type(ShardFilterType::FromTrimHorizon),
            Filter::AtLatest => builder.r#type(ShardFilterType::AtLatest),
            Filter::AtTrimHorizon => builder.r#type(ShardFilterType::AtTrimHorizon),
            Filter::After(shard) => builder
                .r#type(ShardFilterType::AfterShardId)
                .shard_id(shard),
        };
        let list = self.client.list_shards().stream_name(stream);
        let list = list.shard_filter(filter.build().expect("it is whole"));
        // Pages of two, so that every list is continued.
        let mut page = code(block_on(list.max_results(2).send()))?;
        let mut shards = Vec::new();
        loop {
            shards.extend(page.shards.unwrap_or_default().into_iter().map(shard_info));
            let Some(token) = page.next_token else {
                return Ok(shards);
            };
            let list = self.client.list_shards().next_token(token).max_results(2);
            page = code(block_on(list.send()))?;
        }
    }

    fn split(&self, stream: &str, shard: &str, key: u128) -> Result<(), Code> {
        let split = self
            .client
            .split_shard()
            .stream_name(stream)
            .shard_to_split(shard);
        code(block_on(
            split.new_starting_hash_key(key.to_string()).send(),
        ))
        .map(drop)
    }

    fn merge(&self, stream: &str, lower: &str, upper: &str) -> Result<(), Code> {
        let merge = self
            .client
            .merge_shards()
            .stream_name(stream)
            .shard_to_merge(lower);
        code(block_on(merge.adjacent_shard_to_merge(upper).send())).map(drop)
    }

    fn set_shard_count(&self, stream: &str, count: u32) -> Result<(), Code> {
        let update = self.client.update_shard_count().stream_name(stream);
        let update = update.target_shard_count(count.try_into().expect("it is small"));
        code(block_on(
            update.scaling_type(ScalingType::UniformScaling).send(),
        ))
        .map(drop)
    }

    fn set_retention_hours(&self, stream: &str, hours: u64) -> Result<(), Code> {
        let describe = self.client.describe_stream_summary().stream_name(stream);
        let summary = code(block_on(describe.send()))?.stream_description_summary;
        let now = summary.expect("it is described").retention_period_hours;
        let hours = hours.try_into().expect("it is small");
        if now <= hours {
            let longer = self
                .client
                .increase_stream_retention_period()
                .stream_name(stream);
            return code(block_on(longer.retention_period_hours(hours).send())).map(drop);
        }
        let shorter = self
            .client
            .decrease_stream_retention_period()
            .stream_name(stream);
        code(block_on(shorter.retention_period_hours(hours).send())).map(drop)
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().as_millis()
    }

    fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

fn shard_info(shard: Shard) -> ShardInfo {
    let range = shard.hash_key_range.expect("it has one");
    let numbers = shard.sequence_number_range.expect("it has one");
    let key = |key: String| key.parse().expect("a number");
    ShardInfo {
        id: shard.shard_id,
        start: key(range.starting_hash_key),
        end: key(range.ending_hash_key),
        parent: shard.parent_shard_id,
        adjacent_parent: shard.adjacent_parent_shard_id,
        starting_number: numbers.starting_sequence_number,
        ending_number: numbers.ending_sequence_number,
    }
}
