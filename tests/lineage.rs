//! A reader of a shard holds what came of the shard; letting go of it must be harmless however many
//! generations that are.

use std::thread;
use std::time::Duration;

use brooklet::{HashKey, ManualClock, ShardId, StartingPosition, Stream};

const RETENTION: Duration = Duration::from_secs(1);
const GENERATIONS: usize = 5_000;

/// Found by the bench `reshard`: a producer that had not put anything held the first shard, that its
/// children, and so on to the present. When it let go, each shard was dropped within the drop of
/// its parent, until the stack was full and the process was aborted. Only subscriptions hold
/// generations now.
#[test]
fn dropping_a_reader_takes_no_stack_for_each_generation() {
    let clock = ManualClock::default();
    let stream = Stream::builder("orders")
        .retention(RETENTION)
        .clock(clock.clone())
        .build()
        .expect("the settings are in bounds");
    let first = stream.shards().remove(0);
    let reader = stream
        .subscribe(StartingPosition::TrimHorizon)
        .expect("the stream is active");
    for _ in 0..GENERATIONS {
        let open = open_shards(&stream);
        stream
            .split_shard(open[0], HashKey::new(1 << 127))
            .expect("one shard has all keys");
        let open = open_shards(&stream);
        stream
            .merge_shards(open[0], open[1])
            .expect("they are neighbours");
        clock.advance(2 * RETENTION);
    }
    assert!(stream.shards().len() <= 5, "the shards of old have expired");
    // A small stack stands for many more generations.
    thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(move || drop((first, reader)))
        .expect("a thread starts")
        .join()
        .expect("the drop ends");
}

fn open_shards(stream: &Stream) -> Vec<ShardId> {
    let shards = stream.shards();
    let open = shards.iter().filter(|shard| shard.is_open());
    open.map(|shard| shard.id()).collect()
}
