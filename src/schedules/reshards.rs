//! Splitting and merging while records go through.

use super::*;
use crate::error::Error;
use crate::put_entry::PutEntry;
use crate::shard::OnFull;
use crate::sync::Arc;

const HALF: HashKey = HashKey::new(1 << 127);

/// The open shards, in the order of their ranges, which must be the whole without a gap.
fn open(stream: &Stream) -> Vec<Shard> {
    let mut open: Vec<_> = stream.shards().into_iter().filter(Shard::is_open).collect();
    open.sort_by_key(|shard| shard.hash_key_range().start());
    open
}

fn check_ranges(stream: &Stream) {
    let mut next = Some(0);
    for shard in open(stream) {
        let range = shard.hash_key_range();
        assert_eq!(Some(range.start().get()), next, "a gap or an overlap");
        next = range.end().get().checked_add(1);
    }
    assert_eq!(next, None, "the whole");
}

/// Another thread may have been faster.
fn tried(reshard: Result<(), Error>) -> bool {
    match reshard {
        Ok(()) => true,
        Err(Error::ShardClosed { .. } | Error::ShardNotFound { .. }) => false,
        Err(error) => panic!("no reshard gives {error:?}"),
    }
}

#[test]
fn a_split_whose_time_comes_keeps_each_key_in_order_and_leads_its_readers_on() {
    scenario(&["in one shard", "in several"], |outcomes| {
        let clock = ManualClock::default();
        let stream = Stream::builder("scheduled").clock(clock.clone());
        let stream = built(stream.state_delay(secs(1)));
        clock.advance(secs(1));
        let readers = [1, 100].map(|limit| {
            let subscription = from_the_horizon(&stream);
            spawn(move || read_to_the_end(subscription, limit))
        });
        stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
        let producers = [1, 3].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 3))
        });
        // It wakes the readers, unless a put was faster.
        let turning = spawn(move || clock.advance(secs(1)));
        let ledger = Ledger::new(join(producers));
        turning.join().unwrap();
        check_ranges(&stream);
        assert_eq!(open(&stream).len(), 2);
        stream.close();
        for given in join(readers) {
            given.check_all(&ledger);
            assert_eq!(given.missed, 0);
        }
        outcomes.came_to(match ledger.0.len() {
            1 => "in one shard",
            _ => "in several",
        });
    });
}

#[test]
fn subscriptions_read_each_key_in_order_across_a_split_and_a_merge() {
    scenario(&["in one shard", "in several"], |outcomes| {
        let stream = built(builder());
        let readers = [1, 100].map(|limit| {
            let subscription = from_the_horizon(&stream);
            spawn(move || read_to_the_end(subscription, limit))
        });
        let producers = [1, 3].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 3))
        });
        let resharding = spawn({
            let stream = stream.clone();
            move || {
                stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
                let [low, high] = open(&stream).try_into().unwrap();
                stream.merge_shards(low.id(), high.id()).unwrap();
            }
        });
        let ledger = Ledger::new(join(producers));
        resharding.join().unwrap();
        check_ranges(&stream);
        stream.close();
        for given in join(readers) {
            given.check_all(&ledger);
            assert_eq!(given.missed, 0);
        }
        outcomes.came_to(match ledger.0.len() {
            1 => "in one shard",
            _ => "in several",
        });
    });
}

#[test]
fn threads_that_reshard_at_once_leave_one_shard_for_each_key() {
    scenario(&["each did", "one was late"], |outcomes| {
        let stream = built(builder().shard_count(2));
        let subscription = from_the_horizon(&stream);
        let producer = spawn({
            let stream = stream.clone();
            move || put_all(&stream, 2, 3)
        });
        let resharding = [
            spawn({
                let stream = stream.clone();
                move || tried(stream.update_shard_count(3))
            }),
            spawn({
                let stream = stream.clone();
                move || {
                    // The other thread may have closed all of them since they were listed.
                    open(&stream).pop().is_some_and(|upper| {
                        tried(stream.split_shard(upper.id(), HashKey::new(7 << 125)))
                    })
                }
            }),
        ];
        let did = join(resharding);
        let ledger = Ledger::new(join([producer]));
        check_ranges(&stream);
        stream.close();
        let given = read_to_the_end(subscription, 100);
        given.check_all(&ledger);
        outcomes.came_to(if did == [true, true] {
            "each did"
        } else {
            "one was late"
        });
    });
}

#[test]
fn a_reader_that_follows_children_by_hand_reads_everything() {
    scenario(&["all before", "some after", "all after"], |outcomes| {
        let stream = built(builder());
        let producer = spawn({
            let stream = stream.clone();
            move || put_all(&stream, 3, 4)
        });
        let splitting = spawn({
            let stream = stream.clone();
            move || {
                stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
                let upper = open(&stream).pop().unwrap();
                stream
                    .split_shard(upper.id(), HashKey::new(3 << 126))
                    .unwrap();
            }
        });
        let reading = spawn({
            let stream = stream.clone();
            move || {
                let mut given = Given::default();
                let mut iterators = vec![from_the_first(&stream.shards()[0])];
                while let Some(mut iterator) = iterators.pop() {
                    let batch = iterator.get_records_timeout(1, Duration::MAX).unwrap();
                    given.add(&batch);
                    if !batch.shard_ended() {
                        iterators.push(iterator);
                        continue;
                    }
                    // Of two children the one that takes the records is followed.
                    let child = batch
                        .child_shards()
                        .iter()
                        .max_by_key(|child| child.shard_id());
                    let child = child.map(|child| stream.shard(child.shard_id()).unwrap());
                    iterators.extend(child.map(|child| from_the_first(&child)));
                }
                given
            }
        });
        let ledger = Ledger::new(join([producer]));
        splitting.join().unwrap();
        stream.close();
        reading.join().unwrap().check_all(&ledger);
        outcomes.came_to(match ledger.0.get(&0).map_or(0, Vec::len) {
            4 => "all before",
            0 => "all after",
            _ => "some after",
        });
    });
}

#[test]
fn threads_that_share_a_producer_find_their_shards_after_more_reshards_than_it_remembers() {
    scenario(&["one shard", "several"], |outcomes| {
        let stream = built(builder());
        let producer = Arc::new(stream.producer());
        let putting = [2, 3].map(|name| {
            let producer = Arc::clone(&producer);
            spawn(move || (1..=4).map(|count| put(&producer, (name, count))).collect())
        });
        let resharding = spawn({
            let stream = stream.clone();
            move || {
                for part in [1, 2, 3] {
                    let upper = open(&stream).pop().unwrap();
                    let at = HashKey::new(part << 126);
                    stream.split_shard(upper.id(), at).unwrap();
                }
            }
        });
        let ledger = Ledger::new(join(putting));
        resharding.join().unwrap();
        // A key's records lie in shards that come one after another.
        for name in [2, 3] {
            let of_key = ledger.0.values().flatten().filter(|(_, id)| id.0 == name);
            assert!(of_key.map(|(_, id)| id.1).eq(1..=4));
        }
        let last = put(&producer, (3, 5));
        assert_eq!(last.shard, open(&stream).pop().unwrap().id().index());
        outcomes.came_to(match ledger.0.len() {
            1 => "one shard",
            _ => "several",
        });
    });
}

#[test]
fn puts_that_wait_for_room_follow_a_split_to_the_children() {
    scenario(&["done"], |outcomes| {
        let full = OnFull::Wait(Duration::MAX);
        let stream = built(builder().capacity_records(1).on_full(full));
        put(&stream.producer(), (0, 1));
        let putters = [1, 3].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 1))
        });
        stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
        let ledger = Ledger::new(join(putters));
        assert_eq!(ledger.0.keys().copied().collect::<Vec<_>>(), [1, 2]);
        outcomes.came_to("done");
    });
}

#[test]
fn a_subscription_is_kept_and_resumed_while_shards_are_split_and_merged() {
    scenario(&["kept early", "kept late"], |outcomes| {
        let stream = built(builder());
        let producers = [1, 3].map(|name| {
            let stream = stream.clone();
            spawn(move || put_all(&stream, name, 3))
        });
        let resharding = spawn({
            let stream = stream.clone();
            move || {
                stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
                let [low, high] = open(&stream).try_into().unwrap();
                stream.merge_shards(low.id(), high.id()).unwrap();
            }
        });
        let (mut subscription, mut given) = (from_the_horizon(&stream), Given::default());
        for _ in 0..3 {
            given.add(&subscription.get_records(1).unwrap());
            let kept = subscription.positions().to_string();
            subscription = stream.subscribe_from(&kept.parse().unwrap()).unwrap();
        }
        let before = given.records.len();
        let ledger = Ledger::new(join(producers));
        resharding.join().unwrap();
        stream.close();
        while !subscription.is_finished() {
            given.add(&subscription.get_records_timeout(2, Duration::MAX).unwrap());
        }
        given.check_all(&ledger);
        outcomes.came_to(if before == 0 {
            "kept early"
        } else {
            "kept late"
        });
    });
}

#[test]
fn batches_are_answered_entry_by_entry_while_their_shards_are_split() {
    scenario(&["before", "across", "after"], |outcomes| {
        let stream = built(builder());
        let subscription = from_the_horizon(&stream);
        let producers = [0, 1].map(|name| {
            let producer = stream.producer();
            spawn(move || {
                // A key in the lower half and one in the upper, with two records each.
                let ids = [(name, 1), (name + 2, 1), (name, 2), (name + 2, 2)];
                let entries = ids.map(|id| {
                    PutEntry::new("k", small(id).to_vec()).explicit_hash_key(key_of(id.0))
                });
                let puts = producer
                    .put_records(entries)
                    .unwrap()
                    .into_result()
                    .unwrap();
                let accepted = ids.iter().zip(&puts);
                accepted
                    .map(|(id, put)| Accepted::new(*id, put))
                    .collect::<Vec<_>>()
            })
        });
        stream.split_shard(stream.shards()[0].id(), HALF).unwrap();
        let accepted = join(producers);
        let shards: Vec<_> = accepted.concat().iter().map(|put| put.shard).collect();
        let ledger = Ledger::new(accepted);
        stream.close();
        read_to_the_end(subscription, 100).check_all(&ledger);
        outcomes.came_to(match shards.iter().filter(|shard| **shard == 0).count() {
            8 => "before",
            0 => "after",
            _ => "across",
        });
    });
}
