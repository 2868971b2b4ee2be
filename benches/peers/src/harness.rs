//! The method: contenders take turns within one run, in many short rounds, and are compared round
//! by round, so that whatever else the machine does hits all of them alike.
//!
//! Where memory is written that was written before, a turn begins with about as much as fills it, which is
//! not timed: so nobody pays for what those before had in the cache.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::contenders::Carries;
use crate::records::DataKind;

/// Rounds that are run before any counts.
const WARM_UP_ROUNDS: usize = 2;

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub rounds: usize,
    /// Whether rounds are a fifth as long.
    pub quick: bool,
    /// Whether threads are pinned to cores.
    pub pin: bool,
    pub kind: DataKind,
    /// How many records whoever has a bound has room for while nobody reads.
    pub capacity: usize,
}

impl Options {
    /// The same, with each thread on a core of its own, as far as there are so many.
    pub fn pinned(&self) -> Self {
        Self { pin: true, ..*self }
    }

    /// How many records a round has.
    pub fn count(&self, full: usize) -> usize {
        if self.quick { full / 5 } else { full }
    }
}

/// What one contender does in a round.
pub trait Contest {
    /// What a turn begins with, and is not timed.
    fn warm_up(&mut self) {}

    /// Runs a round; says what one record cost.
    fn round(&mut self) -> f64;

    /// Proves, after the last round, what a round could not.
    fn check(&mut self) {}
}

impl<F: FnMut() -> f64> Contest for F {
    fn round(&mut self) -> f64 {
        self()
    }
}

/// One of those who take turns.
pub struct Contender {
    pub label: &'static str,
    pub carries: Carries,
    contest: Box<dyn Contest>,
}

impl Contender {
    pub fn new(label: &'static str, carries: Carries, contest: impl Contest + 'static) -> Self {
        Self {
            label,
            carries,
            contest: Box::new(contest),
        }
    }
}

/// A workload: the first contender is brooklet's main one, which the others are compared with.
pub struct Workload {
    pub title: String,
    pub unit: &'static str,
    /// Every `nth` of the rounds is run: long ones are fewer.
    pub nth_round: usize,
    pub contenders: Vec<Contender>,
    pub bars: Vec<Bar>,
}

/// What was set out to reach.
#[derive(Clone, Debug)]
pub struct Bar {
    pub text: &'static str,
    pub subject: &'static str,
    pub goal: Goal,
}

#[derive(Clone, Debug)]
pub enum Goal {
    /// At most so many times the reference's cost.
    Times(&'static str, f64),
    /// At most so much more than the reference's cost.
    Above(&'static str, f64),
    /// At most so much.
    AtMost(f64),
    /// Either is enough.
    Either(Box<Self>, Box<Self>),
}

/// What a workload has shown.
pub struct Results {
    pub name: &'static str,
    pub title: String,
    pub unit: &'static str,
    pub rows: Vec<Row>,
    pub bars: Vec<Bar>,
}

/// What one contender has shown: a value for each round.
pub struct Row {
    pub label: &'static str,
    pub carries: Carries,
    pub values: Vec<f64>,
}

/// Median and spread.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub min: f64,
    pub lower: f64,
    pub median: f64,
    pub upper: f64,
    pub max: f64,
}

/// How far a goal was reached.
pub struct Verdict {
    pub is_met: bool,
    /// What came out, and what was asked for.
    pub found: String,
}

impl Workload {
    /// Keeps the first contender and those of which the label has this part, to look at few.
    pub fn keep(&mut self, part: &str) {
        let mut index = 0;
        self.contenders.retain(|contender| {
            index += 1;
            index == 1 || contender.label.contains(part)
        });
        let contenders = &self.contenders;
        let is_kept = |label: &str| contenders.iter().any(|kept| kept.label == label);
        self.bars
            .retain(|bar| is_kept(bar.subject) && bar.goal.all(&is_kept));
    }
}

impl Goal {
    /// Whether all contenders that it compares with are kept.
    fn all(&self, is_kept: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Times(reference, _) | Self::Above(reference, _) => is_kept(reference),
            Self::AtMost(_) => true,
            Self::Either(one, other) => one.all(is_kept) && other.all(is_kept),
        }
    }
}

/// Runs all rounds of a workload.
pub fn run(name: &'static str, mut workload: Workload, options: &Options) -> Results {
    let contenders = &mut workload.contenders;
    let mut rows: Vec<Row> = contenders
        .iter()
        .map(|contender| Row {
            label: contender.label,
            carries: contender.carries,
            values: Vec::new(),
        })
        .collect();
    let rounds = (options.rounds / workload.nth_round).max(3);
    for round in 0..WARM_UP_ROUNDS + rounds {
        for turn in 0..contenders.len() {
            // Each round begins with another, so that nobody always comes after the same.
            let index = (round + turn) % contenders.len();
            contenders[index].contest.warm_up();
            let value = contenders[index].contest.round();
            if round >= WARM_UP_ROUNDS {
                rows[index].values.push(value);
            }
        }
    }
    for contender in contenders {
        contender.contest.check();
    }
    Results {
        name,
        title: workload.title,
        unit: workload.unit,
        rows,
        bars: workload.bars,
    }
}

impl Results {
    /// The row of a contender that takes part.
    fn row(&self, label: &str) -> &Row {
        let row = self.rows.iter().find(|row| row.label == label);
        row.unwrap_or_else(|| panic!("{}: no contender is named {label}", self.name))
    }

    /// A contender's cost in brooklet's, round by round.
    pub fn ratio(&self, row: &Row) -> Spread {
        Spread::of(paired(row, &self.rows[0], |a, b| a / b))
    }

    pub fn verdict(&self, bar: &Bar) -> Verdict {
        self.reached(self.row(bar.subject), &bar.goal)
    }

    fn reached(&self, subject: &Row, goal: &Goal) -> Verdict {
        let (found, asked, unit) = match goal {
            Goal::Times(reference, times) => {
                let ratio = Spread::of(paired(subject, self.row(reference), |a, b| a / b));
                (ratio.median, *times, "x")
            }
            Goal::Above(reference, above) => {
                let more = Spread::of(paired(subject, self.row(reference), |a, b| a - b));
                (more.median, *above, "")
            }
            Goal::AtMost(most) => (subject.spread().median, *most, ""),
            Goal::Either(one, other) => {
                let (one, other) = (self.reached(subject, one), self.reached(subject, other));
                return if one.is_met { one } else { other };
            }
        };
        let is_met = found <= asked;
        let verdict = if is_met {
            "met".to_owned()
        } else {
            let by = (found / asked - 1.0) * 100.0;
            let digits = usize::from(by < 10.0);
            format!("missed by {by:.digits$} %")
        };
        Verdict {
            is_met,
            found: format!("{verdict}: {found:.2}{unit}, at most {asked:.2}{unit}"),
        }
    }
}

impl Row {
    pub fn spread(&self) -> Spread {
        Spread::of(self.values.clone())
    }
}

fn paired(a: &Row, b: &Row, compare: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let pairs = a.values.iter().zip(&b.values);
    pairs.map(|(a, b)| compare(*a, *b)).collect()
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (below, above) = (
                values[place.floor() as usize],
                values[place.ceil() as usize],
            );
            below + (above - below) * place.fract()
        };
        Self {
            min: at(0.0),
            lower: at(0.25),
            median: at(0.5),
            upper: at(0.75),
            max: at(1.0),
        }
    }
}

/// Nanoseconds of one of `count`.
pub fn per_record(elapsed: Duration, count: usize) -> f64 {
    elapsed.as_nanos() as f64 / count as f64
}

/// How long threads took together.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    pub wall: Duration,
    /// Time that all cores have spent.
    pub cpu: Duration,
}

/// A thread's part in a race.
pub type Part<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Runs the parts in threads that begin at the same moment.
pub fn race(options: &Options, parts: Vec<Part<'_>>) -> Race {
    let (ready, go) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (ready, go) = (&ready, &go);
    let count = parts.len();
    let cores = core_affinity::get_core_ids().filter(|_| options.pin);
    thread::scope(|scope| {
        let threads: Vec<_> = parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| {
                let core = cores.as_ref().map(|cores| cores[index % cores.len()]);
                scope.spawn(move || {
                    if let Some(core) = core {
                        core_affinity::set_for_current(core);
                    }
                    ready.fetch_add(1, Ordering::Release);
                    while !go.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                    part();
                    Instant::now()
                })
            })
            .collect();
        while ready.load(Ordering::Acquire) < count {
            thread::yield_now();
        }
        let (start, cpu) = (Instant::now(), ProcessTime::now());
        go.store(true, Ordering::Release);
        let ends = threads.into_iter().map(|thread| thread.join());
        let end = ends.map(|end| end.expect("no part panics")).max();
        Race {
            wall: end.expect("there are parts") - start,
            cpu: cpu.elapsed(),
        }
    })
}
