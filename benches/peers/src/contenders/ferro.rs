//! ferrokinesis, the emulator of Kinesis, called in process: the same operations that its server
//! dispatches, without the server. It takes and gives JSON with the data in base 64.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::store::{Store, StoreOptions};
use serde_json::{Value, json};

use crate::contenders::Carries;
use crate::records::{DATA, Records, Tally};

pub const CARRIES: Carries = Carries("RM.STK.");

const STREAM: &str = "peers";

pub struct Ferrokinesis {
    store: Store,
    /// The data in base 64, made beforehand: a user would pay for that with each record.
    data: Vec<String>,
}

impl Ferrokinesis {
    /// A new store: an old one would only grow.
    pub fn new(shards: u32, records: &Records) -> Self {
        let options = StoreOptions {
            create_stream_ms: 0,
            shard_limit: shards,
            ..StoreOptions::default()
        };
        let store = Store::new(options);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            let create = json!({ "StreamName": STREAM, "ShardCount": shards });
            let created = dispatch(&store, Operation::CreateStream, create).await;
            assert!(created.is_ok(), "the stream is made");
            let describe = json!({ "StreamName": STREAM });
            loop {
                let described = dispatch(&store, Operation::DescribeStream, describe.clone()).await;
                let described = described.ok().flatten().expect("the stream is there");
                if described["StreamDescription"]["StreamStatus"] == "ACTIVE" {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        let data = (0..DATA).map(|index| BASE64_STANDARD.encode(records.data(index)));
        Self {
            store,
            data: data.collect(),
        }
    }

    fn call(&self, operation: Operation, request: Value) -> Option<Value> {
        let future = pin!(dispatch(&self.store, operation, request));
        // Nobody else uses the store: no lock is ever waited for.
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(answer)) => answer,
            Poll::Ready(Err(error)) => panic!("{operation:?}: {:?}", error.body.message),
            Poll::Pending => panic!("{operation:?} waits for somebody"),
        }
    }

    fn data(&self, index: usize) -> &str {
        &self.data[index & (DATA - 1)]
    }

    pub fn put(&self, records: &Records, index: usize) {
        let request = json!({
            "StreamName": STREAM,
            "PartitionKey": records.key_text(index),
            "Data": self.data(index),
        });
        let answer = self.call(Operation::PutRecord, request);
        assert!(answer.is_some(), "a put is answered");
    }

    pub fn put_batch(&self, records: &Records, indices: std::ops::Range<usize>) {
        let entry = |index| {
            let (key, data) = (records.key_text(index), self.data(index));
            json!({ "PartitionKey": key, "Data": data })
        };
        let entries: Vec<Value> = indices.map(entry).collect();
        let request = json!({ "StreamName": STREAM, "Records": entries });
        let answer = self.call(Operation::PutRecords, request);
        assert_eq!(answer.expect("puts are answered")["FailedRecordCount"], 0);
    }

    /// Reads all records of a shard; leaves the data in base 64, in its own favour.
    pub fn replay(&self, shard: usize, mut see: impl FnMut(&str, &str)) {
        let request = json!({
            "StreamName": STREAM,
            "ShardId": format!("shardId-{shard:012}"),
            "ShardIteratorType": "TRIM_HORIZON",
        });
        let answer = self.call(Operation::GetShardIterator, request);
        let mut iterator = answer.expect("there is a shard")["ShardIterator"].take();
        loop {
            let request = json!({ "ShardIterator": iterator, "Limit": 10_000 });
            let answer = self.call(Operation::GetRecords, request);
            let mut answer = answer.expect("there is a shard");
            let records = answer["Records"].as_array().expect("a list of records");
            if records.is_empty() {
                return;
            }
            for record in records {
                let text = |name: &str| record[name].as_str().expect("a text");
                see(text("PartitionKey"), text("Data"));
            }
            iterator = answer["NextShardIterator"].take();
        }
    }

    /// Counts and sums up all that is stored.
    pub fn tally(&self, shards: usize) -> Tally {
        let mut tally = Tally::default();
        for shard in 0..shards {
            self.replay(shard, |key, data| {
                let data = BASE64_STANDARD.decode(data).expect("data in base 64");
                tally.see(key.as_bytes(), &data);
            });
        }
        tally
    }
}
