//! Models: small programs of a few threads that are run in every order of their steps that could
//! make a difference, within a bound of preemptions, and with every value that a weakly ordered
//! processor could load.
//!
//! # How to write one
//!
//! - A model that waits for ever, races on a chunk's memory, leaks an `Arc` or panics has failed, with
//!   no assertion of its own.
//! - It names the [outcomes](Outcomes) that it must come to in some order or other: a model that never
//!   gets where it is dangerous proves nothing.
//! - Three threads of two steps each are enough for nearly every bug, and quick. The chunks of a
//!   model hold two [small](small) records, or one [large](large).
//! - Its clock [stands still](Still), so that looking at it is no step.
//!
//! What is not modelled: reference counts of trait objects and wakers (`PlainArc`), the channel of
//! `ready`, time, and allocation.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc as StdArc, Mutex as StdMutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use loom::model::Builder;

use crate::clock::{Clock, Parker, Timestamp};
use crate::data::Data;
use crate::record::RecordView;
use crate::shard::{Appended, Refusal, Shard};
use crate::stream::{Stream, StreamBuilder};
use crate::sync::Ordering;

mod checker;
mod chunks;
mod drops;
mod routes;
mod shards;
mod waits;

/// What a model came to, over all its runs.
#[derive(Clone, Default)]
struct Outcomes(StdArc<StdMutex<BTreeSet<&'static str>>>);

impl Outcomes {
    fn came_to(&self, outcome: &'static str) {
        let mut outcomes = self.0.lock().expect("nobody panics under it");
        outcomes.insert(outcome);
    }
}

/// Runs a model in all orders with up to 3 preemptions, or `LOOM_MAX_PREEMPTIONS`. It must have come
/// to all the outcomes that are named, in some order each, and to no other.
fn model(outcomes: &[&'static str], run: impl Fn(&Outcomes) + Send + Sync + 'static) {
    model_within(3, outcomes, run);
}

/// As [`model`], for one that is too large for that bound.
fn model_within(
    preemptions: usize,
    outcomes: &[&'static str],
    run: impl Fn(&Outcomes) + Send + Sync + 'static,
) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 20_000;
    let (came_to, runs) = (Outcomes::default(), StdArc::new(AtomicU64::new(0)));
    let (began, counted) = (Instant::now(), (came_to.clone(), StdArc::clone(&runs)));
    let result = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counted.1.fetch_add(1, Ordering::Relaxed);
            run(&counted.0);
        });
    }));
    let (name, seconds) = (std::thread::current(), began.elapsed().as_secs_f64());
    let name = name
        .name()
        .unwrap_or_default()
        .trim_start_matches("models::");
    let runs = runs.load(Ordering::Relaxed);
    eprintln!("{name}: {runs} runs, {seconds:.1} s");
    if let Err(panic) = result {
        resume_unwind(panic);
    }
    let came_to = came_to.0.lock().expect("nobody panics under it");
    assert_eq!(*came_to, outcomes.iter().copied().collect(), "outcomes");
}

/// A clock that stands still; looking at it is no step of a model.
#[derive(Clone, Copy, Debug)]
struct Still;

const NOW: Timestamp = Timestamp::from_millis(1_600_000_000_000);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn park(&self, parker: &Parker, _deadline: Duration) {
        parker.park();
    }
}

fn builder() -> StreamBuilder {
    Stream::builder("modelled").clock(Still)
}

/// The one shard of a stream that retains so many records.
fn shard(records: u64) -> Shard {
    let stream = builder().capacity_records(records).build();
    stream
        .expect("the settings are in bounds")
        .shards()
        .remove(0)
}

/// Data of which each byte is `n`; two records with it fill a chunk.
fn small(n: u8) -> [u8; 16] {
    [n; 16]
}

/// Data of which each byte is `n`; it is not copied, and a record with it fills a chunk.
fn large(n: u8) -> Bytes {
    vec![n; 17].into()
}

/// Puts a record with a key of one byte, as a producer does: first in the way of most.
fn put<'a>(shard: &Shard, data: impl Into<Data<'a>>) -> Result<Appended, Refusal> {
    let mut data = data.into();
    let copied = data.copied(1);
    match copied.map(|copied| shard.append_copy(shard.settings(), "k", copied)) {
        Some(Ok(appended)) => Ok(appended),
        _ => shard.append(NOW, "k", &mut data.payload(1)),
    }
}

/// Puts small records.
fn put_all(shard: &Shard, numbers: impl IntoIterator<Item = u8>) {
    for n in numbers {
        put(shard, small(n)).expect("nothing refuses it");
    }
}

/// The `n` of a record, each of whose bytes has to be the same.
fn number_of(view: &RecordView<'_>) -> u8 {
    assert_eq!(view.partition_key(), "k");
    let data = view.data();
    assert!(data.len() >= 16 && data.iter().all(|byte| *byte == data[0]));
    data[0]
}
