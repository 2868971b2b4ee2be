//! Putting and reading: what readers are given, whatever producers and trimming do meanwhile.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::put_entry::PutEntry;
use crate::sync::Ordering;

#[test]
fn records_of_three_producers_are_given_once_and_in_order_to_each_reader() {
    scenario(&["read meanwhile", "read afterwards"], |outcomes| {
        let stream = built(builder());
        let shard = &stream.shards()[0];
        let readers = [1, 2].map(|limit| {
            let mut iterator = from_the_first(shard);
            spawn(move || {
                let mut given = Given::default();
                for _ in 0..3 {
                    given.add(&iterator.get_records(limit).unwrap());
                }
                (iterator, given)
            })
        });
        let producers = [0, 1, 2].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 3))
        });
        let ledger = Ledger::new(join(producers));
        assert_eq!(ledger.len(), 9);
        for (mut iterator, mut given) in join(readers) {
            outcomes.came_to(match given.records.len() {
                0 => "read afterwards",
                _ => "read meanwhile",
            });
            drain(&mut iterator, &mut given);
            given.check_all(&ledger);
        }
    });
}

#[test]
fn batches_of_two_producers_show_as_a_whole() {
    scenario(&["none", "some", "all"], |outcomes| {
        let stream = built(builder());
        let shard = &stream.shards()[0];
        let readers = [(), ()].map(|()| {
            let mut iterator = from_the_first(shard);
            spawn(move || {
                let mut given = Given::default();
                for _ in 0..3 {
                    let read = given.add(&iterator.get_records(100).unwrap());
                    assert_eq!(read % 3, 0, "a part of a batch");
                }
                given
            })
        });
        let producers = [0, 1].map(|name| {
            let producer = stream.producer();
            spawn(move || {
                let puts = [1, 4].map(|first| {
                    let ids = [0, 1, 2].map(|nth| (name, first + nth));
                    let entries = ids.map(|id| PutEntry::new("k", small(id).to_vec()));
                    let puts = producer
                        .put_records(entries)
                        .unwrap()
                        .into_result()
                        .unwrap();
                    let places: Vec<_> = puts
                        .iter()
                        .map(|put| put.sequence_number().place())
                        .collect();
                    assert!(places[1] == places[0] + 1 && places[2] == places[0] + 2);
                    let accepted = ids.iter().zip(&puts);
                    accepted
                        .map(|(id, put)| Accepted::new(*id, put))
                        .collect::<Vec<_>>()
                });
                puts.concat()
            })
        });
        let ledger = Ledger::new(join(producers));
        for given in join(readers) {
            given.check(&ledger);
            outcomes.came_to(match given.records.len() {
                0 => "none",
                12 => "all",
                _ => "some",
            });
        }
    });
}

#[test]
fn records_in_chunks_that_are_used_again_are_whole_and_those_missed_are_counted() {
    scenario(&["what is retained", "more"], |outcomes| {
        let stream = built(builder().capacity_records(4));
        let shard = &stream.shards()[0];
        let reader = spawn({
            let mut iterator = from_the_first(shard);
            move || {
                let mut given = Given::default();
                for _ in 0..4 {
                    given.add(&iterator.get_records(2).unwrap());
                }
                (iterator, given)
            }
        });
        let holder = spawn({
            let mut iterator = from_the_first(shard);
            move || {
                // What it holds must not change, whatever becomes of the chunks.
                let batches = [1, 2, 3].map(|limit| iterator.get_records(limit).unwrap());
                let owned: Vec<_> = batches[0].records().collect();
                let mut given = Given::default();
                for batch in &batches {
                    given.add(batch);
                }
                for (record, (_, number, id)) in owned.iter().zip(&given.records) {
                    assert_eq!(record.sequence_number(), *number);
                    assert_eq!(id_of(record.data()), *id);
                }
                (iterator, given)
            }
        });
        let producers = [0, 1].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 5))
        });
        let ledger = Ledger::new(join(producers));
        for (mut iterator, mut given) in join([reader, holder]) {
            drain(&mut iterator, &mut given);
            given.check_all(&ledger);
            outcomes.came_to(if given.missed == 6 {
                "what is retained"
            } else {
                "more"
            });
        }
        assert_eq!(shard.metrics().records_retained, 4);
    });
}

#[test]
fn latest_is_after_all_that_was_put_before_and_before_all_that_is_put_later() {
    let outcomes = ["between", "before all", "after all"];
    scenario(&outcomes, |outcomes| {
        let stream = built(builder().capacity_records(5));
        // How many puts have begun and how many have ended, by producer.
        let count = || StdArc::new([const { AtomicUsize::new(0) }; 2]);
        let (begun, ended) = (count(), count());
        let producers = [0, 1].map(|name| {
            let (stream, begun, ended) = (stream.clone(), begun.clone(), ended.clone());
            spawn(move || {
                let producer = stream.producer();
                let puts = (1..=3).map(|count| {
                    begun[usize::from(name)].fetch_add(1, Ordering::Relaxed);
                    let accepted = put(&producer, (name, count));
                    ended[usize::from(name)].fetch_add(1, Ordering::Relaxed);
                    accepted
                });
                puts.collect()
            })
        });
        let readers = [(), ()].map(|()| {
            let (stream, begun, ended) = (stream.clone(), begun.clone(), ended.clone());
            spawn(move || {
                let all = |counts: &[AtomicUsize; 2]| {
                    [0, 1].map(|name: usize| counts[name].load(Ordering::Relaxed))
                };
                let before = all(&ended);
                let iterator = stream.shards()[0]
                    .iterator(StartingPosition::Latest)
                    .unwrap();
                (iterator, before, all(&begun))
            })
        });
        let ledger = Ledger::new(join(producers));
        for (mut iterator, before, after) in join(readers) {
            let mut missed = 0;
            let mut ids = Vec::new();
            loop {
                let batch = iterator.get_records(100).unwrap();
                missed += batch.missed_count();
                ids.extend(batch.iter().map(|view| id_of(view.data())));
                if batch.is_empty() {
                    break;
                }
            }
            let first = ledger.len() - ids.len() - usize::try_from(missed).unwrap();
            let (left_out, given) = ledger.0[&0].split_at(first);
            assert!(
                given[given.len() - ids.len()..]
                    .iter()
                    .map(|(_, id)| *id)
                    .eq(ids)
            );
            for (_, (name, count)) in left_out {
                assert!(
                    usize::from(*count) <= after[usize::from(*name)],
                    "put later"
                );
            }
            for (_, (name, count)) in given {
                assert!(
                    usize::from(*count) > before[usize::from(*name)],
                    "put before"
                );
            }
            outcomes.came_to(match first {
                0 => "before all",
                6 => "after all",
                _ => "between",
            });
        }
    });
}

#[test]
fn positions_lead_other_threads_on_while_records_are_trimmed() {
    scenario(&["missed none", "missed some"], |outcomes| {
        let stream = built(builder().capacity_records(3));
        let writer = spawn({
            let stream = stream.clone();
            move || put_all(&stream, 0, 6)
        });
        let mut reader = spawn({
            let iterator = from_the_first(&stream.shards()[0]);
            move || (iterator.position(), Given::default())
        });
        for _ in 0..3 {
            let (position, mut given) = reader.join().unwrap();
            let shard = stream.shards().remove(0);
            reader = spawn(move || {
                let mut iterator = shard.iterator(position).unwrap();
                given.add(&iterator.get_records(2).unwrap());
                (iterator.position(), given)
            });
        }
        let ledger = Ledger::new(join([writer]));
        let (position, mut given) = reader.join().unwrap();
        drain(
            &mut stream.shards()[0].iterator(position).unwrap(),
            &mut given,
        );
        given.check_all(&ledger);
        outcomes.came_to(if given.missed == 0 {
            "missed none"
        } else {
            "missed some"
        });
    });
}

#[test]
fn a_time_is_found_while_records_arrive_and_go() {
    let outcomes = ["from the first", "from a later one"];
    scenario(&outcomes, |outcomes| {
        let clock = ManualClock::default();
        let stream = built(builder().clock(clock.clone()).capacity_records(4));
        let (began, producer) = (clock.now(), stream.producer());
        put(&producer, (0, 1));
        let writing = spawn({
            let clock = clock.clone();
            move || {
                let puts = (2..=5).map(|count| {
                    clock.advance(Duration::from_millis(1));
                    put(&producer, (0, count))
                });
                puts.collect::<Vec<_>>()
            }
        });
        let readers = [(), ()].map(|()| {
            let (shard, clock) = (stream.shards().remove(0), clock.clone());
            spawn(move || {
                let time = clock.now();
                let mut iterator = shard.iterator(StartingPosition::AtTimestamp(time)).unwrap();
                let batch = iterator.get_records(100).unwrap();
                let arrivals = batch
                    .iter()
                    .map(|view| view.approximate_arrival_timestamp());
                assert!(arrivals.clone().all(|arrival| arrival >= time));
                (time, arrivals.min(), iterator)
            })
        });
        writing.join().unwrap();
        for (time, first, mut iterator) in join(readers) {
            // The first record of each millisecond is the only one; each that was there was found.
            let found = first.or_else(|| {
                let batch = iterator.get_records(100).unwrap();
                batch
                    .iter()
                    .map(|view| view.approximate_arrival_timestamp())
                    .next()
            });
            let since = time.duration_since(began).as_millis();
            let found = found.map(|found| found.duration_since(began).as_millis());
            // The first of all is trimmed when the last one is put.
            assert!(found == Some(since) || (since == 0 && found == Some(1)));
            outcomes.came_to(if since == 0 {
                "from the first"
            } else {
                "from a later one"
            });
        }
    });
}

#[test]
fn figures_add_up_at_any_moment() {
    scenario(&["some trimmed", "none trimmed"], |outcomes| {
        let stream = built(builder().capacity_records(3));
        let producers = [0, 1].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 3))
        });
        let reader = spawn({
            let mut iterator = from_the_first(&stream.shards()[0]);
            move || {
                let read = [(), ()].map(|()| iterator.get_records(2).unwrap().len() as u64);
                read[0] + read[1]
            }
        });
        let (shard, mut before) = (&stream.shards()[0], 0);
        for _ in 0..3 {
            let now = shard.metrics();
            assert!(now.records_in >= before && now.records_retained <= 3);
            assert_eq!(now.records_in, now.records_retained + now.records_trimmed);
            // A key of one byte, and data of 16.
            assert_eq!(now.bytes_in, 17 * now.records_in);
            assert_eq!(now.bytes_retained, 17 * now.records_retained);
            before = now.records_in;
            outcomes.came_to(match now.records_trimmed {
                0 => "none trimmed",
                _ => "some trimmed",
            });
        }
        let read = reader.join().unwrap();
        Ledger::new(join(producers));
        let figures = shard.metrics();
        assert_eq!((figures.records_in, figures.records_out), (6, read));
        assert_eq!(figures.bytes_out, 17 * read);
    });
}
