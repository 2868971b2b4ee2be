//! How long it takes to wake a reader: a record there, a record back.
//!
//! Varies how the two threads wait: by asking again and again, blocking, as a future, in `select!`,
//! or with a subscription. An iteration is a round trip: two puts, two wake-ups. `harness` bounces a
//! word between the threads without the engine, spinning or parking: what the machine itself takes.
//! Whether a thread really sleeps depends on the cores; compare within one run only.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use brooklet::{RecordBatch, ShardIterator, StartingPosition, Stream, Subscription};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::{Receiver, select};
use futures_executor::block_on;

mod common;

const LONG: Duration = Duration::from_secs(60);

criterion_group! {
    name = benches;
    config = common::criterion();
    targets = wake
}
criterion_main!(benches);

fn wake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wake/round trip");
    group.throughput(Throughput::Elements(1));
    group.bench_function("harness, spinning", |bencher| {
        bencher.iter_custom(|count| bounce(count, |_| spin_loop(), |_| {}));
    });
    group.bench_function("harness, parking", |bencher| {
        bencher.iter_custom(|count| bounce(count, |_| thread::park(), Thread::unpark));
    });
    group.bench_function("asking again", |bencher| {
        bencher.iter_custom(|count| {
            round_trips(count, iterator, |reader| {
                loop {
                    let batch = reader.get_records(10)?;
                    if !batch.is_empty() || batch.shard_ended() {
                        return Ok(batch);
                    }
                    spin_loop();
                }
            })
        });
    });
    group.bench_function("blocking", |bencher| {
        bencher.iter_custom(|count| {
            round_trips(count, iterator, |reader| {
                reader.get_records_timeout(10, LONG)
            })
        });
    });
    group.bench_function("async", |bencher| {
        bencher.iter_custom(|count| {
            round_trips(count, iterator, |reader| {
                block_on(reader.get_records_async(10))
            })
        });
    });
    group.bench_function("select!", |bencher| {
        bencher.iter_custom(|count| {
            round_trips(count, selecting, |(reader, ready, never)| {
                loop {
                    let batch = reader.get_records(10)?;
                    if !batch.is_empty() || batch.shard_ended() {
                        return Ok(batch);
                    }
                    select! {
                        recv(ready) -> _ => {}
                        recv(never) -> _ => {}
                    }
                }
            })
        });
    });
    group.bench_function("subscription", |bencher| {
        bencher.iter_custom(|count| {
            round_trips(count, subscription, |reader| {
                reader.get_records_timeout(10, LONG)
            })
        });
    });
    group.finish();
}

/// Two threads, two streams: what one puts into the first, the other puts into the second. The
/// time that `count` round trips take.
fn round_trips<R: Send>(
    count: u64,
    reader: impl Fn(&Stream) -> R,
    wait: impl Fn(&mut R) -> Result<RecordBatch, brooklet::Error> + Sync,
) -> Duration {
    let there = common::stream(1).build().expect("in bounds");
    let back = common::stream(1).build().expect("in bounds");
    let (mut at_there, mut at_back) = (reader(&there), reader(&back));
    let data = common::shared(100);
    thread::scope(|scope| {
        let (echo, answer, wait) = (back.producer(), data.clone(), &wait);
        scope.spawn(move || {
            for _ in 0..count {
                let batch = wait(&mut at_there).expect("there are no limits");
                assert_eq!(batch.len(), 1);
                echo.put_record("customer-017", answer.clone())
                    .expect("it is open");
            }
        });
        let producer = there.producer();
        let begin = Instant::now();
        for _ in 0..count {
            producer
                .put_record("customer-017", data.clone())
                .expect("it is open");
            let batch = wait(&mut at_back).expect("there are no limits");
            assert_eq!(batch.len(), 1);
        }
        begin.elapsed()
    })
}

fn iterator(stream: &Stream) -> ShardIterator {
    stream.shards()[0]
        .iterator(StartingPosition::Latest)
        .expect("there are no limits")
}

fn selecting(stream: &Stream) -> (ShardIterator, Receiver<()>, Receiver<()>) {
    let mut iterator = iterator(stream);
    let ready = iterator.ready();
    (iterator, ready, crossbeam_channel::never())
}

fn subscription(stream: &Stream) -> Subscription {
    stream
        .subscribe(StartingPosition::Latest)
        .expect("the stream is open")
}

/// Bounces a word between two threads: odd numbers there, even ones back.
fn bounce(count: u64, wait: impl Fn(u64) + Sync, wake: impl Fn(&Thread) + Sync) -> Duration {
    let word = AtomicU64::new(0);
    let wait_for = |number: u64| {
        while word.load(Ordering::Acquire) != number {
            wait(number);
        }
    };
    let here = thread::current();
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            for round in 0..count {
                wait_for(2 * round + 1);
                word.store(2 * round + 2, Ordering::Release);
                wake(&here);
            }
        });
        let begin = Instant::now();
        for round in 0..count {
            word.store(2 * round + 1, Ordering::Release);
            wake(other.thread());
            wait_for(2 * round + 2);
        }
        begin.elapsed()
    })
}
