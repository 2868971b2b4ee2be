//! Data that is dropped while others read it: each exactly once, and not before its last holder.

use loom::thread;

use super::*;
use crate::log::Cursor;
use crate::shard::Tally;
use crate::sync::PlainArc;

/// Data that counts its drops.
struct Counted {
    bytes: Bytes,
    drops: PlainArc<AtomicU64>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Default)]
struct Drops(PlainArc<AtomicU64>);

impl Drops {
    fn counted(&self, n: u8) -> Bytes {
        let (bytes, drops) = (large(n), PlainArc::clone(&self.0));
        Bytes::from_owner(Counted { bytes, drops })
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads one record, looks at it twice, and says whether there was one.
fn read_twice(shard: &Shard, place: u64) -> bool {
    let batch = shard
        .read(&mut Cursor::at(place), 1, &mut Tally::default())
        .unwrap();
    let seen: Vec<_> = batch.iter().map(|view| number_of(&view)).collect();
    let again: Vec<_> = batch.iter().map(|view| number_of(&view)).collect();
    assert_eq!(seen, again);
    !seen.is_empty()
}

#[test]
fn a_large_record_is_seen_with_its_data() {
    model(&["none", "one"], |outcomes| {
        let (shard, drops) = (shard(10), Drops::default());
        let writing = thread::spawn({
            let (shard, data) = (shard.clone(), drops.counted(1));
            move || put(&shard, data).unwrap()
        });
        let read = read_twice(&shard, 1);
        outcomes.came_to(if read { "one" } else { "none" });
        writing.join().unwrap();
        assert_eq!(drops.count(), 0);
        drop(shard);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn data_that_is_trimmed_while_a_reader_holds_it_is_dropped_once_and_after_it() {
    model(
        &["dropped by the writer", "dropped by the reader"],
        |outcomes| {
            let (shard, drops) = (shard(1), Drops::default());
            put(&shard, drops.counted(1)).unwrap();
            let reading = thread::spawn({
                let shard = shard.clone();
                move || read_twice(&shard, 0)
            });
            for n in 2..=3 {
                put(&shard, drops.counted(n)).unwrap();
            }
            outcomes.came_to(match drops.count() {
                2 => "dropped by the writer",
                _ => "dropped by the reader",
            });
            assert!(reading.join().unwrap());
            assert_eq!(drops.count(), 2);
            drop(shard);
            assert_eq!(drops.count(), 3);
        },
    );
}

#[test]
fn an_owned_record_outlives_its_shard_and_its_trimming() {
    model(&["read", "trimmed"], |outcomes| {
        let (shard, drops) = (shard(1), Drops::default());
        put(&shard, drops.counted(1)).unwrap();
        let reading = thread::spawn({
            let shard = shard.clone();
            move || {
                let batch = shard
                    .read(&mut Cursor::at(1), 1, &mut Tally::default())
                    .unwrap();
                drop(shard);
                let record = batch.records().next();
                drop(batch);
                record.map(|record| record.data()[0])
            }
        });
        put(&shard, drops.counted(2)).unwrap();
        drop(shard);
        match reading.join().unwrap() {
            Some(1) => outcomes.came_to("read"),
            Some(2) => outcomes.came_to("trimmed"),
            other => unreachable!("{other:?}"),
        }
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_stream_can_be_dropped_while_its_records_are_read() {
    model(&["by the reader last", "by the writer last"], |outcomes| {
        let drops = Drops::default();
        let stream = builder().build().unwrap();
        let shard = stream.shards().remove(0);
        put(&shard, drops.counted(1)).unwrap();
        put(&shard, small(2)).unwrap();
        let reading = thread::spawn({
            let drops = drops.clone();
            move || {
                let batch = shard
                    .read(&mut Cursor::at(1), 100, &mut Tally::default())
                    .unwrap();
                drop(shard);
                let seen: Vec<_> = batch.iter().map(|view| number_of(&view)).collect();
                assert_eq!((seen, drops.count()), (vec![1, 2], 0));
                drop(batch);
                drops.count()
            }
        });
        drop(stream);
        outcomes.came_to(match reading.join().unwrap() {
            1 => "by the reader last",
            _ => "by the writer last",
        });
        assert_eq!(drops.count(), 1);
    });
}
