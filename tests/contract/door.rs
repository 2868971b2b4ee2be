//! What a door to the engine can do, in words that all doors have.

use std::time::Duration;

/// The name of an exception.
pub type Code = String;

/// A way to the streams of a registry on a clock that is turned by hand.
pub trait Door {
    fn create_stream(&self, stream: &str, shard_count: u32) -> Result<(), Code>;
    fn delete_stream(&self, stream: &str) -> Result<(), Code>;
    fn put(&self, stream: &str, put: Put) -> Result<Stored, Code>;
    fn put_all(&self, stream: &str, puts: Vec<Put>) -> Result<Vec<Result<Stored, Code>>, Code>;
    /// An iterator: whatever stands for it is given back to `read`.
    fn iterator(&self, stream: &str, shard: &str, from: From) -> Result<String, Code>;
    fn read(&self, iterator: &str, limit: usize) -> Result<Batch, Code>;
    fn list_shards(&self, stream: &str, filter: Filter) -> Result<Vec<ShardInfo>, Code>;
    fn split(&self, stream: &str, shard: &str, key: u128) -> Result<(), Code>;
    fn merge(&self, stream: &str, lower: &str, upper: &str) -> Result<(), Code>;
    fn set_shard_count(&self, stream: &str, count: u32) -> Result<(), Code>;
    fn set_retention_hours(&self, stream: &str, hours: u64) -> Result<(), Code>;
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> u64;
    fn advance(&self, duration: Duration);
}

/// A record to be put.
#[derive(Clone, Debug)]
pub struct Put {
    pub key: String,
    pub data: Vec<u8>,
    pub hash_key: Option<u128>,
}

/// Where a record was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub shard: String,
    pub number: String,
}

/// Where an iterator begins.
#[derive(Clone, Debug)]
pub enum From {
    TrimHorizon,
    Latest,
    At(String),
    After(String),
    AtMillis(u64),
}

/// Which shards are listed.
#[derive(Clone, Debug)]
pub enum Filter {
    All,
    AtLatest,
    AtTrimHorizon,
    After(String),
}

/// What one read gives.
#[derive(Clone, Debug)]
pub struct Batch {
    pub records: Vec<Read>,
    /// None once the shard has ended.
    pub next: Option<String>,
    pub millis_behind: u64,
    /// Each child with its parents.
    pub children: Vec<(String, Vec<String>)>,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub number: String,
    pub key: String,
    pub data: Vec<u8>,
    pub arrival_ms: u64,
}

/// A shard as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    pub id: String,
    pub start: u128,
    pub end: u128,
    pub parent: Option<String>,
    pub adjacent_parent: Option<String>,
    pub starting_number: String,
    pub ending_number: Option<String>,
}

pub fn put(key: &str, data: impl Into<Vec<u8>>) -> Put {
    Put {
        key: key.to_owned(),
        data: data.into(),
        hash_key: None,
    }
}

/// The id of a shard.
pub fn shard(index: u32) -> String {
    format!("shardId-{index:012}")
}
