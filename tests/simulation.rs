//! Simulating a consumer: planted bugs are found, made small and replayed; consumers that are right
//! pass.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use brooklet::testing::{
    Consumer, Failure, Hazard, Simulation, SimulationError, SimulationReport, View, Worker,
};
use brooklet::{Limits, Record, SequenceNumber, ShardId};
use proptest::prelude::*;

/// What a consumer of the tests keeps: what it has done with which records.
#[derive(Clone, Debug, Default)]
struct Books {
    /// The data of the records that were worked on, in the order in which they first were.
    done: Vec<Vec<u8>>,
    /// How often, by partition key.
    totals: BTreeMap<String, u64>,
    grand_total: u64,
    numbers: BTreeSet<(ShardId, SequenceNumber)>,
    greatest: Option<SequenceNumber>,
    missed: u64,
}

type OfBooks<C> = Simulation<Books, C>;
type Call = fn(&[Record], &mut Worker<'_, Books>);

impl Books {
    fn count(&mut self, record: &Record) {
        let total = self.totals.entry(record.partition_key().to_owned());
        *total.or_default() += 1;
    }

    fn is_done(&self, record: &Record) -> bool {
        self.done.iter().any(|done| done == record.data())
    }

    fn note(&mut self, record: &Record) {
        if !self.is_done(record) {
            self.done.push(record.data().to_vec());
        }
    }
}

const DONE: &str = "each record is worked on";
const ONCE: &str = "each record counts once";
const ORDER: &str = "the records of a key are worked on in order";

fn all_done(view: &View<'_, Books>) -> Result<(), String> {
    let done = |data: &[u8]| view.store().done.iter().any(|done| done == data);
    match view.sent().iter().find(|sent| !done(sent.data())) {
        None => Ok(()),
        Some(sent) => Err(format!("record {} is not", sent.number())),
    }
}

/// The store's totals are the fold of what was put.
fn counted_once(view: &View<'_, Books>) -> bool {
    let mut expected = BTreeMap::new();
    for sent in view.sent().iter().filter(|sent| !sent.is_retry()) {
        *expected.entry(sent.partition_key().to_owned()).or_insert(0) += 1;
    }
    view.store().totals == expected
}

/// In the order in which they were first put, which is that of their numbers.
fn in_order(view: &View<'_, Books>) -> bool {
    let number = |data: &Vec<u8>| {
        let sent = view.sent().iter().find(|sent| sent.data() == data)?;
        Some((sent.partition_key(), sent.number()))
    };
    let mut last = BTreeMap::new();
    let mut done = view.store().done.iter().filter_map(number);
    done.all(|(key, number)| last.insert(key, number) < Some(number))
}

fn calls(call: Call) -> OfBooks<Call> {
    Simulation::new(move || call)
}

fn found(result: Result<SimulationReport, SimulationError>) -> Box<Failure> {
    match result {
        Err(SimulationError::Failed(failure)) => failure,
        other => panic!("a failure was to be found: {other:?}"),
    }
}

/// Checks that a bug is found with each of several seeds, made small, and replayed as it was.
#[track_caller]
fn assert_found<C: Consumer<Books>>(
    simulation: impl Fn() -> OfBooks<C>,
    promise: Option<&str>,
    steps_max: usize,
) -> Box<Failure> {
    let mut last = None;
    for seed in 0..8 {
        let simulation = simulation().seed(seed).schedules(500);
        let failure = found(simulation.run());
        assert_eq!(failure.promise(), promise, "{failure}");
        assert!(failure.is_repeatable(), "{failure}");
        assert!(failure.step_count() <= steps_max, "{failure}");
        assert_eq!(found(simulation.run()), failure, "one seed, one failure");

        let replayed = found(simulation.replay(failure.schedule()));
        assert_eq!(replayed.problem(), failure.problem());
        assert_eq!(replayed.story(), failure.story());
        assert_eq!(replayed.schedule(), failure.schedule());
        last = Some(failure);
    }
    last.expect("there are seeds")
}

mod a_planted_bug_is_found {
    use super::*;

    #[test]
    fn a_checkpoint_before_the_work() {
        let bug: Call = |records, worker| {
            worker.checkpoint();
            worker.write(|books| records.iter().for_each(|record| books.note(record)));
        };
        assert_found(|| calls(bug).finally(DONE, all_done), Some(DONE), 3);
    }

    #[test]
    fn records_that_come_again_count_again() {
        let bug: Call = |records, worker| {
            worker.write(|books| records.iter().for_each(|record| books.count(record)));
            worker.checkpoint();
        };
        assert_found(|| calls(bug).finally(ONCE, counted_once), Some(ONCE), 4);
    }

    #[test]
    fn results_in_memory_when_the_place_is_kept() {
        #[derive(Default)]
        struct Gathers(Vec<Record>);

        impl Consumer<Books> for Gathers {
            fn process(&mut self, records: &[Record], worker: &mut Worker<'_, Books>) {
                self.0.extend_from_slice(records);
                worker.checkpoint();
            }

            fn tick(&mut self, worker: &mut Worker<'_, Books>) {
                let gathered = std::mem::take(&mut self.0);
                worker.write(|books| gathered.iter().for_each(|record| books.note(record)));
            }
        }

        let simulation = || Simulation::new(Gathers::default).finally(DONE, all_done);
        assert_found(simulation, Some(DONE), 4);
    }

    #[test]
    fn an_update_that_is_lost_at_a_reshard() {
        #[derive(Default)]
        struct ByShard(BTreeMap<ShardId, BTreeMap<String, u64>>);

        impl Consumer<Books> for ByShard {
            fn process(&mut self, records: &[Record], worker: &mut Worker<'_, Books>) {
                for record in records {
                    let totals = self.0.entry(record.shard_id());
                    let totals = totals.or_insert_with(|| worker.store().totals.clone());
                    *totals.entry(record.partition_key().to_owned()).or_default() += 1;
                }
            }

            fn tick(&mut self, worker: &mut Worker<'_, Books>) {
                worker.commit(|books| {
                    for totals in self.0.values() {
                        books.totals.extend(totals.clone());
                    }
                });
            }
        }

        let simulation = || {
            Simulation::new(ByShard::default)
                .without(Hazard::Redelivery)
                .finally(ONCE, counted_once)
        };
        let failure = assert_found(simulation, Some(ONCE), 4);
        assert!(failure.schedule().contains("split") || failure.schedule().contains("merge"));
    }

    #[test]
    fn a_worker_that_was_replaced_writes_over_the_other_ones_work() {
        /// Works on a copy of the store, and writes the whole of it.
        #[derive(Default)]
        struct Copies(Option<Books>);

        impl Consumer<Books> for Copies {
            fn process(&mut self, records: &[Record], worker: &mut Worker<'_, Books>) {
                let books = self.0.get_or_insert_with(|| worker.store().clone());
                records.iter().for_each(|record| books.note(record));
                let books = books.clone();
                worker.write(|store| *store = books);
                worker.checkpoint();
            }
        }

        let simulation = || {
            Simulation::new(Copies::default)
                .without(Hazard::Pause)
                .finally(DONE, all_done)
        };
        let failure = assert_found(simulation, Some(DONE), 12);
        assert!(failure.schedule().contains("start:2"), "{failure}");
    }

    #[test]
    fn a_total_that_is_read_before_a_pause_and_written_after_it() {
        let bug: Call = |records, worker| {
            for record in records {
                if worker.store().is_done(record) {
                    continue;
                }
                let total = worker.store().totals.get(record.partition_key()).copied();
                let key = record.partition_key().to_owned();
                worker.write(|books| {
                    books.note(record);
                    books.totals.insert(key, total.unwrap_or_default() + 1);
                });
            }
            worker.checkpoint();
        };
        let failure = assert_found(|| calls(bug).finally(ONCE, counted_once), Some(ONCE), 12);
        assert!(failure.schedule().contains('~'), "{failure}");
    }

    #[test]
    fn one_greatest_number_for_all_shards() {
        let bug: Call = |records, worker| {
            worker.commit(|books| {
                for record in records {
                    if books.greatest < Some(record.sequence_number()) {
                        books.greatest = Some(record.sequence_number());
                        books.note(record);
                    }
                }
            });
        };
        let simulation = || {
            calls(bug)
                .stream(|builder| builder.shard_count(2))
                .finally(DONE, all_done)
        };
        assert_found(simulation, Some(DONE), 5);
    }

    #[test]
    fn a_place_for_each_of_the_shards_of_the_beginning_and_no_more() {
        let bug: Call = |records, worker| {
            let mut by_shard = [0; 2];
            for record in records {
                by_shard[record.shard_id().index() as usize] += 1;
            }
            worker.write(|books| books.grand_total += by_shard.iter().sum::<u64>());
        };
        let simulation = || calls(bug).stream(|builder| builder.shard_count(2));
        let failure = assert_found(simulation, None, 2);
        assert!(failure.problem().contains("index out of bounds"));
        assert!(
            failure.problem().contains("tests/simulation.rs:"),
            "{failure}"
        );
    }

    #[test]
    fn sequence_numbers_that_are_taken_for_the_identity_of_an_order() {
        let bug: Call = |records, worker| {
            worker.commit(|books| {
                for record in records {
                    let number = (record.shard_id(), record.sequence_number());
                    if books.numbers.insert(number) {
                        books.count(record);
                    }
                }
            });
        };
        let simulation = || calls(bug).with(Hazard::Retry).finally(ONCE, counted_once);
        let failure = assert_found(simulation, Some(ONCE), 2);
        assert_eq!(failure.schedule(), "sim1 put:0 put:0");
        let report = calls(bug).finally(ONCE, counted_once).run();
        let report = report.expect("without retries it is right");
        assert_eq!(report.retries, 0);
    }

    #[test]
    fn two_writes_that_belong_together() {
        let bug: Call = |records, worker| {
            let count = records.len() as u64;
            worker.write(|books| records.iter().for_each(|record| books.count(record)));
            worker.write(|books| books.grand_total += count);
            worker.checkpoint();
        };
        let promise = "the totals add up to the grand total";
        let add_up = |view: &View<'_, Books>| {
            let books = view.store();
            assert_eq!(books.totals.values().sum::<u64>(), books.grand_total);
        };
        let simulation = || calls(bug).always(promise, add_up);
        let failure = assert_found(simulation, Some(promise), 3);
        assert!(failure.problem().contains("left: 1"), "{failure}");
    }

    #[test]
    fn records_that_were_missed_and_nobody_noticed() {
        struct Careless;
        struct Careful;

        fn work(records: &[Record], worker: &mut Worker<'_, Books>) {
            worker.write(|books| records.iter().for_each(|record| books.note(record)));
            worker.checkpoint();
        }

        impl Consumer<Books> for Careless {
            fn process(&mut self, records: &[Record], worker: &mut Worker<'_, Books>) {
                work(records, worker);
            }
        }

        impl Consumer<Books> for Careful {
            fn process(&mut self, records: &[Record], worker: &mut Worker<'_, Books>) {
                work(records, worker);
            }

            fn missed(&mut self, count: u64, worker: &mut Worker<'_, Books>) {
                worker.write(|books| books.missed += count);
            }
        }

        // A shard that expired takes its count with it, so: without reshards.
        let promise = "each record is worked on or known to be missed";
        fn told<C: Consumer<Books> + 'static>(make: fn() -> C, promise: &str) -> OfBooks<C> {
            Simulation::new(make)
                .with(Hazard::Trim)
                .without(Hazard::Reshard)
                .finally(promise, |view| {
                    let known = view.store().done.len() as u64 + view.store().missed;
                    known >= view.sent().len() as u64
                })
        }
        assert_found(|| told(|| Careless, promise), Some(promise), 2);
        let report = told(|| Careful, promise).run().expect("it passes");
        assert!(report.trims > 100);
    }

    #[test]
    fn a_transaction_that_trusts_its_checkpoint_to_be_the_last() {
        let bug: Call = |records, worker| {
            worker.commit(|books| records.iter().for_each(|record| books.count(record)));
        };
        let report = calls(bug).finally(ONCE, counted_once).run();
        report.expect("the work and the place are kept in one go");
        let simulation = || calls(bug).with(Hazard::Rewind).finally(ONCE, counted_once);
        let failure = assert_found(simulation, Some(ONCE), 4);
        assert!(failure.schedule().contains("again:1-1"), "{failure}");
    }

    #[test]
    fn a_drop_that_panics() {
        struct Last(bool);

        impl Consumer<Books> for Last {
            fn process(&mut self, _: &[Record], _: &mut Worker<'_, Books>) {
                self.0 = true;
            }
        }

        impl Drop for Last {
            fn drop(&mut self) {
                assert!(!self.0, "work was left");
            }
        }

        let failure = assert_found(|| Simulation::new(|| Last(false)), None, 4);
        assert!(failure.problem().contains("work was left"));
    }
}

/// Right whatever happens: each record by its own name, and the place kept in one go with the work.
fn right() -> OfBooks<Call> {
    let right: Call = |records, worker| {
        worker.commit(|books| {
            for record in records {
                if !books.is_done(record) {
                    books.note(record);
                    books.count(record);
                }
            }
        });
    };
    calls(right)
        .records(10, |number| {
            (format!("key-{}", number % 4), format!("record {number}"))
        })
        .stream(|builder| builder.shard_count(2))
        .workers(3)
        .finally(DONE, all_done)
        .finally(ONCE, counted_once)
        .always(ORDER, in_order)
}

#[test]
fn a_consumer_that_is_right_passes_whatever_happens() {
    let simulation = right().with(Hazard::Rewind).with(Hazard::Retry);
    let report = simulation.schedules(2_000).run().expect("it is right");
    assert_eq!(report.schedules, 2_000);
    // Not in vain: everything that can happen did, often.
    for (what, count) in [
        ("steps", report.steps / 40),
        ("puts", report.puts),
        ("retries", report.retries),
        ("records", report.records),
        ("checkpoints", report.checkpoints),
        ("starts", report.starts - 2_000),
        ("take-overs", report.take_overs),
        ("crashes", report.crashes),
        ("pauses", report.pauses),
        ("redeliveries", report.redeliveries),
        ("splits", report.splits),
        ("merges", report.merges),
    ] {
        assert!(count > 400, "{what}: {count}");
    }
    assert_eq!(report.trims, 0, "nobody asked for that");
}

#[test]
fn a_consumer_that_does_its_work_at_least_once_passes_the_usual_hazards() {
    let idempotent: Call = |records, worker| {
        for record in records {
            worker.write(|books| books.note(record));
        }
        worker.checkpoint();
    };
    let report = calls(idempotent)
        .finally(DONE, all_done)
        .schedules(2_000)
        .run();
    report.expect("it is right");
}

#[test]
fn a_replaced_worker_can_be_told_by_its_generation() {
    #[derive(Debug, Default)]
    struct Fenced {
        generation: u64,
        refused: u64,
        done: Vec<Vec<u8>>,
    }

    let fenced = |records: &[Record], worker: &mut Worker<'_, Fenced>| {
        let generation = worker.generation();
        worker.write(|store| {
            if store.generation > generation {
                store.refused += 1;
                return;
            }
            store.generation = generation;
            store
                .done
                .extend(records.iter().map(|record| record.data().to_vec()));
        });
        worker.checkpoint();
    };
    let report = Simulation::new(move || fenced)
        .finally("each record is worked on", |view| {
            let done = &view.store().done;
            view.sent()
                .iter()
                .all(|sent| done.iter().any(|it| it == sent.data()))
        })
        .run();
    assert!(report.expect("it is right").take_overs > 100);
}

#[test]
fn a_stream_with_limits_and_little_room_is_simulated_too() {
    // Each refusal has the simulation wait or leave the record out, and is no failure.
    let report = right()
        .stream(|builder| builder.limits(Limits::kinesis().write_records_per_second(Some(2))))
        .run()
        .expect("it is right");
    assert!(report.puts > 1_000);

    let counts_missed = "what was done and what was missed is what was put";
    struct Counts;
    impl Consumer<Books> for Counts {
        fn process(&mut self, records: &[Record], worker: &mut Worker<'_, Books>) {
            worker.commit(|books| records.iter().for_each(|record| books.note(record)));
        }

        fn missed(&mut self, count: u64, worker: &mut Worker<'_, Books>) {
            worker.write(|books| books.missed += count);
        }
    }
    let report = Simulation::new(|| Counts)
        .stream(|builder| builder.capacity_records(2))
        .without(Hazard::Crash)
        .without(Hazard::TakeOver)
        .without(Hazard::Redelivery)
        .finally(counts_missed, |view| {
            let books = view.store();
            assert_eq!(books.missed, view.missed());
            assert_eq!(
                books.done.len() as u64 + books.missed,
                view.sent().len() as u64
            );
        })
        .run();
    report.expect("nothing is lost in silence");

    let refused = right().stream(|builder| builder.shard_count(0)).run();
    assert!(matches!(refused, Err(SimulationError::Stream(_))));
}

#[test]
fn hazards_that_were_taken_away_do_not_happen() {
    let mut simulation = right();
    for hazard in Hazard::ALL {
        simulation = simulation.without(hazard);
    }
    let report = simulation.run().expect("it is right");
    let hazards = [
        report.retries,
        report.take_overs,
        report.crashes,
        report.pauses,
        report.redeliveries,
        report.splits,
        report.merges,
        report.trims,
    ];
    assert_eq!(hazards, [0; 8]);
    assert_eq!(report.starts, report.schedules);
}

#[test]
fn a_consumer_that_depends_on_something_else_is_told_so() {
    use std::cell::Cell;
    use std::rc::Rc;

    let calls = Rc::new(Cell::new(0));
    let make = move || {
        let calls = Rc::clone(&calls);
        move |_: &[Record], _: &mut Worker<'_, Books>| {
            calls.set(calls.get() + 1);
            assert!(calls.get() != 5, "the fifth call of all runs");
        }
    };
    let failure = found(Simulation::new(make).run());
    assert!(!failure.is_repeatable());
    assert!(
        failure
            .to_string()
            .contains("depends on something outside the simulation")
    );
    assert!(failure.problem().contains("the fifth call"));
}

#[test]
fn a_failure_tells_its_story() {
    let consumer: Call = |records, worker| {
        worker.checkpoint();
        worker.write(|books| books.grand_total += records.len() as u64);
    };
    let simulation = calls(consumer).finally("nobody does anything", |view| {
        match view.store().grand_total {
            0 => Ok(()),
            total => Err(format!("{total} records were worked on")),
        }
    });
    let schedule =
        "sim1 put:0 put:1 read:1*2 process:1~1+3 start:2 wait:5 split:2 read:2*1 crash:2";
    let failure = found(simulation.replay(schedule));
    let text = r#""nobody does anything" does not hold: 2 records were worked on

  1. worker 1 starts where no record is done
  2. record 0 (key-0) is put into shardId-000000000000
  3. record 1 (key-1) is put into shardId-000000000000
  4. worker 1 reads records 0 and 1
  5. worker 1 works on records 0 and 1
       - it keeps its place: 2 records are done
       - it stands still before it writes; meanwhile:
  6.       worker 2 starts where 2 records are done, and takes over
  7.       5 ms pass
  8.       shardId-000000000000 is split
       - worker 1 goes on
       - it writes
  9. worker 2 crashes
 10. at the end, what is left is read and done
 11. worker 1 starts where 2 records are done
 12. worker 1 is told that it is time

the store then: Books { done: [], totals: {}, grand_total: 2, numbers: {}, greatest: None, missed: 0 }
replay("sim1 put:0 put:1 read:1*2 process:1~1+3 start:2 wait:5 split:2 read:2*1 crash:2")"#;
    assert_eq!(failure.to_string(), text);
    assert_eq!(
        format!("{failure:?}"),
        format!("\n{failure}"),
        "as a test that unwraps prints it"
    );
}

#[test]
fn a_schedule_that_does_not_fail_any_more_passes() {
    let report = right().replay("sim1 put:0 read:1*1 process:1!1 split:0 put:1");
    let report = report.expect("it is right");
    let counts = (report.schedules, report.steps, report.puts, report.crashes);
    assert_eq!(counts, (1, 5, 2, 1));
}

#[test]
fn text_that_is_no_schedule_of_the_simulation_is_an_error_with_its_word() {
    for (text, word) in [
        ("", 1),
        ("put:0", 1),
        ("sim2 put:0", 1),
        ("sim1 put", 2),
        ("sim1 put:0 put:", 3),
        ("sim1 put:-1", 2),
        ("sim1 put:+1", 2),
        ("sim1 put:01", 2),
        ("sim1 put:10", 2),
        ("sim1 put:99999999999999999999", 2),
        ("sim1 read:1", 2),
        ("sim1 read:1*0", 2),
        ("sim1 read:1*10001", 2),
        ("sim1 read:0*1", 2),
        ("sim1 read:4*1", 2),
        ("sim1 read:9*1", 2),
        ("sim1 process:1!", 2),
        ("sim1 process:1~1", 2),
        ("sim1 process:1~1+", 2),
        ("sim1 process:1!1~1+1", 2),
        ("sim1 crash:1!1", 2),
        ("sim1 trim", 2),
        ("sim1 put:0 again:1-1", 3),
        ("sim1 trim:1", 2),
        ("sim1 hop:1", 2),
        ("sim1 split:ß", 2),
    ] {
        match right().replay(text) {
            Err(SimulationError::Schedule(error)) => {
                assert_eq!(error.word, word, "{text}: {error}")
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let long = format!("sim1{}", " wait:1".repeat(100_001));
    let error = right().replay(&long).expect_err("it is too long");
    assert_eq!(
        error.to_string(),
        "word 100002 of the schedule: there are too many steps"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_played_or_refused(text in "(sim1 )?([a-z]{3,7}:?[0-9]{0,3}[-!~*+]?[0-9]{0,2}[+]?[0-9]? ){0,12}") {
        match right().replay(&text) {
            Ok(_) | Err(SimulationError::Schedule(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn any_steps_are_played(words in proptest::collection::vec(word(), 0..40)) {
        let text = format!("sim1 {}", words.join(" "));
        let simulation = right().with(Hazard::Rewind).with(Hazard::Retry);
        let report = simulation.replay(&text);
        prop_assert_eq!(report.expect("it is right").steps, words.len() as u64);
    }
}

/// Any step but a trim.
fn word() -> impl Strategy<Value = String> {
    let worker = 1..4_u32;
    let cut = prop_oneof![
        Just(String::new()),
        (0..5_u32).prop_map(|after| format!("!{after}")),
        (0..5_u32, 0..9_u32).prop_map(|(after, steps)| format!("~{after}+{steps}")),
    ];
    prop_oneof![
        (0..10_u32).prop_map(|record| format!("put:{record}")),
        (worker.clone(), 1..5_u32).prop_map(|(worker, limit)| format!("read:{worker}*{limit}")),
        (worker.clone(), cut.clone()).prop_map(|(worker, cut)| format!("process:{worker}{cut}")),
        (worker.clone(), cut).prop_map(|(worker, cut)| format!("tick:{worker}{cut}")),
        worker.clone().prop_map(|worker| format!("crash:{worker}")),
        worker.clone().prop_map(|worker| format!("start:{worker}")),
        (worker, 0..4_u32).prop_map(|(worker, back)| format!("again:{worker}-{back}")),
        (0..9_u32).prop_map(|shard| format!("split:{shard}")),
        (0..9_u32).prop_map(|shard| format!("merge:{shard}")),
        (0..9_999_u32).prop_map(|ms| format!("wait:{ms}")),
    ]
}

/// Also run by the test below, in a process with another environment.
#[test]
fn a_failure_names_its_seed() {
    let bug: Call = |_, worker| {
        worker.checkpoint();
    };
    match calls(bug).seed(3).finally(DONE, all_done).run() {
        Err(SimulationError::InvalidSeed { text }) => println!("the seed is {text}"),
        failed => {
            let text = found(failed).to_string();
            let seed = std::env::var("BROOKLET_SEED").unwrap_or_else(|_| "3".to_owned());
            assert!(text.contains(&format!("found with BROOKLET_SEED={seed} in schedule ")));
            println!("the seed is {seed}");
        }
    }
}

#[test]
fn the_environments_seed_comes_before_the_programs() {
    for (seed, said) in [
        ("5", "the seed is 5\n"),
        ("18446744073709551615", "the seed is 18446744073709551615\n"),
        ("18446744073709551616", "the seed is 18446744073709551616\n"),
        ("five", "the seed is five\n"),
    ] {
        let program = std::env::current_exe().expect("this program has a path");
        let output = Command::new(program)
            .args(["--exact", "a_failure_names_its_seed", "--nocapture"])
            .env("BROOKLET_SEED", seed)
            .output()
            .expect("this program can be run");
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.contains(said), "{output}");
        assert!(output.contains("1 passed"), "{output}");
    }
}
