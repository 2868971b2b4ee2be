//! Two bugs that no ordinary test meets, found by simulation: a checkpoint before the work is done, and
//! an update that is lost when a shard is split.
//!
//! ```text
//! cargo run --features testing --example find_the_bug
//! ```

use std::collections::{BTreeMap, BTreeSet};

use brooklet::Record;
use brooklet::testing::{Consumer, Failure, Hazard, Simulation, SimulationError, Worker};

fn main() -> Result<(), SimulationError> {
    // The first bug: a crash after the checkpoint and before the work loses orders.
    let ships_late = ships(|orders, worker| {
        worker.checkpoint();
        worker.write(|shipped| shipped.extend(orders.iter().map(name)));
    });
    let failure = found(ships_late.run());
    println!("1. A consumer that ships orders.\n\n{failure}\n");
    assert_eq!(failure.schedule(), "sim1 put:0 read:1*1 process:1!1");

    // The schedule is a regression test: it fails without the fix, and passes with it.
    assert!(ships_late.replay(failure.schedule()).is_err());
    let ships_first = ships(|orders, worker| {
        worker.write(|shipped| shipped.extend(orders.iter().map(name)));
        worker.checkpoint();
    });
    ships_first.replay(failure.schedule())?;
    let report = ships_first.run()?;
    println!(
        "With the work first, {} schedules pass.\n",
        report.schedules
    );

    // The second bug: tables of totals in memory, one for each shard.
    let by_shard = totals(|| Table {
        is_of: Record::shard_id,
        totals: BTreeMap::new(),
    });
    let failure = found(by_shard.run());
    println!("2. A consumer that adds up totals.\n\n{failure}\n");
    assert!(
        failure.step_count() <= 4,
        "a split between two orders of a customer"
    );
    assert!(failure.schedule().contains("split"));

    // One table will do.
    let together = totals(|| Table {
        is_of: |_| (),
        totals: BTreeMap::new(),
    });
    together.replay(failure.schedule())?;
    let report = together.run()?;
    assert!(report.splits > 0 && report.crashes > 0);
    println!(
        "With one table {} schedules pass, with {} splits, {} merges and {} crashes.",
        report.schedules, report.splits, report.merges, report.crashes
    );
    Ok(())
}

/// What survives a crash: the orders that were shipped.
type Shipped = BTreeSet<String>;

/// What does the shipping: a consumer without a memory of its own.
type Ship = fn(&[Record], &mut Worker<'_, Shipped>);

/// A consumer under simulation: it has to ship each order.
fn ships(consumer: Ship) -> Simulation<Shipped, Ship> {
    Simulation::new(move || consumer).finally("each order is shipped", |view| {
        let mut sent = view.sent().iter();
        sent.all(|order| {
            let name = String::from_utf8_lossy(order.data());
            view.store().contains(&*name)
        })
    })
}

/// Totals by customer, gathered in tables that are read when they are first used and written when it
/// is time.
struct Table<T> {
    is_of: fn(&Record) -> T,
    totals: BTreeMap<T, BTreeMap<String, u64>>,
}

impl<T: Ord> Consumer<BTreeMap<String, u64>> for Table<T> {
    fn process(&mut self, orders: &[Record], worker: &mut Worker<'_, BTreeMap<String, u64>>) {
        for order in orders {
            let table = self.totals.entry((self.is_of)(order));
            let table = table.or_insert_with(|| worker.store().clone());
            *table.entry(order.partition_key().to_owned()).or_default() += 1;
        }
    }

    fn tick(&mut self, worker: &mut Worker<'_, BTreeMap<String, u64>>) {
        worker.commit(|store| {
            for table in self.totals.values() {
                store.extend(table.clone());
            }
        });
    }
}

/// The tables under simulation: each order has to count, once.
fn totals<T: Ord + 'static>(
    table: fn() -> Table<T>,
) -> Simulation<BTreeMap<String, u64>, Table<T>> {
    Simulation::new(table)
        // A worker that reads again starts afresh.
        .without(Hazard::Redelivery)
        .finally("each order counts once", |view| {
            let mut expected = BTreeMap::new();
            for order in view.sent() {
                *expected
                    .entry(order.partition_key().to_owned())
                    .or_insert(0) += 1;
            }
            *view.store() == expected
        })
}

fn name(order: &Record) -> String {
    String::from_utf8_lossy(order.data()).into_owned()
}

fn found<T>(outcome: Result<T, SimulationError>) -> Box<Failure> {
    match outcome {
        Err(SimulationError::Failed(failure)) => failure,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the bug is found"),
    }
}
