//! The workloads. Each is a function that makes the contenders and says where the bar is.

use std::sync::Arc;

use crate::harness::{Options, Workload};
use crate::records::Records;
use crate::workloads::wire::Kind;

mod append;
mod memory;
mod pipe;
mod replay;
mod round_trip;
mod routed;
mod wake;
mod wire;

/// Room for so many records, for whoever has a bound, where somebody reads: more than a round has, so
/// that no reader of a log is overtaken.
const CAPACITY: usize = 1 << 16;
/// Room for so many at least, where nobody reads: what is appended before all is read.
pub const CAPACITY_MIN: usize = 1 << 11;
/// How many records a batch has: as many as `PutRecords` takes.
const BATCH: usize = 500;
const SMALL: usize = 100;
const LARGE: usize = 1024;

/// A workload by name.
pub struct Spec {
    pub name: &'static str,
    pub about: &'static str,
    pub make: fn(&Options) -> Workload,
}

/// All workloads, in the order in which they are run.
pub const ALL: &[Spec] = &[
    Spec {
        name: "append",
        about: "append one at a time, one shard, 100 bytes",
        make: |options| append::one_shard(options, SMALL),
    },
    Spec {
        name: "append-1k",
        about: "append one at a time, one shard, 1 KiB",
        make: |options| append::one_shard(options, LARGE),
    },
    Spec {
        name: "shards",
        about: "append one at a time, four shards, 1,024 keys that repeat",
        make: append::four_shards,
    },
    Spec {
        name: "new-keys",
        about: "append one at a time, four shards, every key new",
        make: append::new_keys,
    },
    Spec {
        name: "batch",
        about: "append in batches of 500, 100 bytes",
        make: |options| append::batches(options, SMALL),
    },
    Spec {
        name: "batch-1k",
        about: "append in batches of 500, 1 KiB",
        make: |options| append::batches(options, LARGE),
    },
    Spec {
        name: "batch-new-keys",
        about: "append in batches of 500, four shards, every key new",
        make: append::batches_of_new_keys,
    },
    Spec {
        name: "guarantees",
        about: "what each guarantee of a put costs",
        make: append::guarantees,
    },
    Spec {
        name: "pipe",
        about: "one producer to one reader, one at a time",
        make: |options| pipe::singles(options, SMALL),
    },
    Spec {
        name: "pipe-batch",
        about: "one producer to one reader, batches of 500, 100 bytes",
        make: |options| pipe::batches(options, SMALL),
    },
    Spec {
        name: "pipe-batch-1k",
        about: "one producer to one reader, batches of 500, 1 KiB",
        make: |options| pipe::batches(options, LARGE),
    },
    Spec {
        name: "fan-out",
        about: "one producer, three readers that see all, one at a time (CPU time)",
        make: pipe::fan_out,
    },
    Spec {
        name: "fan-out-batch",
        about: "one producer, three readers that see all, batches of 500 (CPU time)",
        make: pipe::fan_out_batches,
    },
    Spec {
        name: "routed",
        about: "four producers, four shards, four readers (CPU time)",
        make: routed::four_by_four,
    },
    Spec {
        name: "replay",
        about: "replay of a million records of 100 bytes",
        make: |options| replay::looks(options, SMALL),
    },
    Spec {
        name: "replay-bytes",
        about: "replay of a million records of 100 bytes, reading every byte",
        make: |options| replay::every_byte(options, SMALL),
    },
    Spec {
        name: "replay-bytes-1k",
        about: "replay of 262,144 records of 1 KiB, reading every byte",
        make: |options| replay::every_byte(options, LARGE),
    },
    Spec {
        name: "round-trip",
        about: "round trip between two threads that spin, median",
        make: round_trip::spinning,
    },
    Spec {
        name: "round-trip-blocking",
        about: "round trip between two threads that block, median",
        make: round_trip::blocking,
    },
    Spec {
        name: "wake",
        about: "from the put to the reader that slept, a thread, median",
        make: wake::threads,
    },
    Spec {
        name: "wake-async",
        about: "from the put to the reader that slept, a task, median",
        make: wake::tasks,
    },
    Spec {
        name: "wake-select",
        about: "from the put to the reader that slept, in a select! of two, median",
        make: wake::selects,
    },
    Spec {
        name: "memory",
        about: "heap bytes per record over its data, 100 bytes",
        make: |options| memory::heap(options, SMALL),
    },
    Spec {
        name: "memory-1k",
        about: "heap bytes per record over its data, 1 KiB",
        make: |options| memory::heap(options, LARGE),
    },
    Spec {
        name: "wire-put",
        about: "a put_record of 1 KiB over loopback (CPU time of the server)",
        make: |options| wire::over_sockets(options, Kind::PutRecord),
    },
    Spec {
        name: "wire-batch",
        about: "a put_records of 500 x 1 KiB over loopback (CPU time of the server)",
        make: |options| wire::over_sockets(options, Kind::PutRecords),
    },
    Spec {
        name: "wire-pull",
        about: "a get_records of 1,000 x 1 KiB over loopback (CPU time of the server)",
        make: |options| wire::over_sockets(options, Kind::GetRecords),
    },
    Spec {
        name: "wire-put-called",
        about: "a put_record of 1 KiB without a socket",
        make: |options| wire::in_process(options, Kind::PutRecord),
    },
    Spec {
        name: "wire-batch-called",
        about: "a put_records of 500 x 1 KiB without a socket",
        make: |options| wire::in_process(options, Kind::PutRecords),
    },
    Spec {
        name: "wire-pull-called",
        about: "a get_records of 1,000 x 1 KiB without a socket",
        make: |options| wire::in_process(options, Kind::GetRecords),
    },
];

/// Records with keys that repeat.
fn repeating(options: &Options, data_bytes: usize) -> Arc<Records> {
    Arc::new(Records::repeating(data_bytes, options.kind))
}

pub use round_trip::bare_round_trip;
