//! Schedules by chance, the same for the same seed on every machine.

use std::collections::VecDeque;

use crate::testing::simulation::Hazard;
use crate::testing::simulation::step::{Cut, Step};

/// SplitMix64 (Steele, Lea and Flood, 2014): small, good enough to choose steps, and what a seed
/// means does not change with a library's version.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64, schedule: u64) -> Self {
        // Schedules of one seed begin far apart.
        let mut random = Self(seed);
        let mixed = random.next();
        Self(mixed ^ schedule.wrapping_mul(0xd605_bbb5_8c8a_bbfd))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        // The upper half of the product: uniform enough for numbers this small.
        let product = (self.next() >> 32) * u64::from(end);
        u32::try_from(product >> 32).expect("below `end`, which is one")
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }
}

/// What may be in a schedule.
pub(super) struct Bounds {
    pub(super) steps: u32,
    pub(super) records: u32,
    pub(super) workers: u32,
    pub(super) hazards: Vec<Hazard>,
}

/// A schedule by chance.
pub(super) fn generate(random: &mut Random, bounds: &Bounds) -> Vec<Step> {
    let least = bounds.steps.div_ceil(4);
    let count = least + random.below(bounds.steps - least + 1);
    // Half of the schedules have some of the hazards only: what many hazards hide, few may show.
    let some_only = random.one_in(2);
    let mut hazards = bounds.hazards.clone();
    hazards.retain(|_| !some_only || random.one_in(2));
    let mut sketch = Sketch {
        random,
        bounds,
        hazards,
        next_record: 0,
        workers: vec![Known::default(); bounds.workers as usize + 1],
        done: 0,
        current: 1,
        planned: VecDeque::new(),
    };
    sketch.workers[1].runs = true;
    (0..count).map(|_| sketch.step()).collect()
}

/// A schedule that is being made. It knows roughly what it has done, so that most steps make sense.
struct Sketch<'a> {
    random: &'a mut Random,
    bounds: &'a Bounds,
    hazards: Vec<Hazard>,
    next_record: u32,
    /// By their numbers.
    workers: Vec<Known>,
    /// How many records were worked on.
    done: u32,
    /// The worker that most steps are about for a while.
    current: u32,
    /// Steps that come next in any case.
    planned: VecDeque<Step>,
}

/// What is known of a worker, roughly.
#[derive(Clone, Default)]
struct Known {
    runs: bool,
    /// How many records it has read.
    read: u32,
    /// How many it had read with each batch that it has not worked on.
    inbox: VecDeque<u32>,
}

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Retry,
    Read,
    Process,
    Tick,
    Crash,
    Start,
    TakeOver,
    Redelivery,
    Rewind,
    Split,
    Merge,
    Wait,
    Trim,
}

impl Sketch<'_> {
    fn step(&mut self) -> Step {
        if let Some(step) = self.planned.pop_front() {
            return step;
        }
        let weights = self.weights();
        let sum = weights.iter().map(|(weight, _)| weight).sum();
        let mut at = self.random.below(sum);
        for (weight, kind) in weights {
            if at < weight {
                return self.step_of(kind);
            }
            at -= weight;
        }
        Step::Wait { ms: 1 }
    }

    fn weights(&self) -> Vec<(u32, Kind)> {
        let any = |has: &dyn Fn(&Known) -> bool| self.workers[1..].iter().any(has);
        let runs = any(&|worker| worker.runs);
        let idle = any(&|worker| !worker.runs);
        let unread = any(&|worker| self.has_unread(worker));
        let undone = any(&|worker| worker.has_undone());
        let when = |condition: bool, weight| if condition { weight } else { 0 };
        let has = |hazard| self.hazards.contains(&hazard);
        let left = self.next_record < self.bounds.records;
        let put = self.next_record > 0;
        vec![
            (when(left, 20), Kind::Put),
            (when(put && has(Hazard::Retry), 5), Kind::Retry),
            (when(unread, 24), Kind::Read),
            (when(undone, 30), Kind::Process),
            (when(runs, 5), Kind::Tick),
            (when(runs && has(Hazard::Crash), 4), Kind::Crash),
            (when(!runs, 30), Kind::Start),
            (
                when(runs && idle && has(Hazard::TakeOver), 6),
                Kind::TakeOver,
            ),
            (when(runs && has(Hazard::Redelivery), 5), Kind::Redelivery),
            (when(runs && has(Hazard::Rewind), 4), Kind::Rewind),
            (when(has(Hazard::Reshard), 5), Kind::Split),
            (when(has(Hazard::Reshard), 3), Kind::Merge),
            (3, Kind::Wait),
            (when(put && has(Hazard::Trim), 2), Kind::Trim),
        ]
    }

    fn step_of(&mut self, kind: Kind) -> Step {
        match kind {
            Kind::Put => {
                // Often some at once: what is to be lost has to be there.
                let more = if self.random.one_in(3) { 3 } else { 0 };
                for _ in 0..more {
                    let put = self.put();
                    self.planned.extend(put);
                }
                self.planned
                    .pop_front()
                    .or_else(|| self.put())
                    .unwrap_or(Step::Wait { ms: 1 })
            }
            Kind::Retry => Step::Put {
                record: self.random.below(self.next_record),
            },
            Kind::Read => {
                let limit = 1 + self.random.below(3);
                let next_record = self.next_record;
                let worker = self.worker(|worker| worker.runs && worker.read < next_record);
                self.read(worker, limit)
            }
            Kind::Process => {
                let worker = self.worker(Known::has_undone);
                let step = self.process(worker);
                self.cut_or_not(step, worker)
            }
            Kind::Tick => {
                let worker = self.worker(|worker| worker.runs);
                self.cut_or_not(Step::Tick { worker, cut: None }, worker)
            }
            Kind::Crash => {
                let worker = self.worker(|worker| worker.runs);
                self.workers[worker as usize] = Known::default();
                Step::Crash { worker }
            }
            Kind::Start => self.start(),
            Kind::TakeOver => self.take_over(),
            Kind::Redelivery => self.again(0),
            Kind::Rewind => {
                let back = 1 + self.random.below(3);
                self.again(back)
            }
            Kind::Split => Step::Split {
                shard: self.random.below(4),
            },
            Kind::Merge => Step::Merge {
                shard: self.random.below(4),
            },
            Kind::Wait => Step::Wait {
                ms: [1, 1_000, 60_000][self.random.below(3) as usize],
            },
            Kind::Trim => Step::Trim,
        }
    }

    fn put(&mut self) -> Option<Step> {
        let record = self.next_record;
        (record < self.bounds.records).then(|| {
            self.next_record += 1;
            Step::Put { record }
        })
    }

    fn again(&mut self, back: u32) -> Step {
        let worker = self.worker(|worker| worker.runs);
        let known = &mut self.workers[worker as usize];
        known.read = self.done.saturating_sub(back);
        known.inbox.clear();
        Step::Again { worker, back }
    }

    fn start(&mut self) -> Step {
        let worker = self.worker(|worker| !worker.runs);
        let known = &mut self.workers[worker as usize];
        *known = Known {
            runs: true,
            read: self.done,
            inbox: VecDeque::new(),
        };
        self.current = worker;
        Step::Start { worker }
    }

    /// Another worker starts; often it does some work at once, while the one that it replaces is
    /// about to do the same.
    fn take_over(&mut self) -> Step {
        let replaced = self.worker(|worker| worker.runs);
        let start = self.start();
        if self.random.one_in(2) {
            return start;
        }
        let worker = self.current;
        let first = self.read(replaced, 1);
        let limit = 1 + self.random.below(10);
        let (read, process) = (self.read(worker, limit), self.process(worker));
        self.planned.extend([start, read, process]);
        if self.random.one_in(2) {
            self.current = replaced;
        }
        first
    }

    fn read(&mut self, worker: u32, limit: u32) -> Step {
        let known = &mut self.workers[worker as usize];
        if known.read < self.next_record {
            known.read = (known.read + limit).min(self.next_record);
            known.inbox.push_back(known.read);
        }
        Step::Read { worker, limit }
    }

    fn process(&mut self, worker: u32) -> Step {
        let read = self.workers[worker as usize].inbox.pop_front();
        self.done = self.done.max(read.unwrap_or_default());
        Step::Process { worker, cut: None }
    }

    const fn has_unread(&self, worker: &Known) -> bool {
        worker.runs && worker.read < self.next_record
    }

    /// One of the workers of which something is so; the same one for a while.
    fn worker(&mut self, is_so: impl Fn(&Known) -> bool) -> u32 {
        if is_so(&self.workers[self.current as usize]) && !self.random.one_in(3) {
            return self.current;
        }
        let workers = (1..=self.bounds.workers).filter(|at| is_so(&self.workers[*at as usize]));
        let workers: Vec<_> = workers.collect();
        let count = u32::try_from(workers.len()).expect("there are few workers");
        self.current = workers[self.random.below(count) as usize];
        self.current
    }

    /// A call in which, perhaps, something happens.
    fn cut_or_not(&mut self, step: Step, worker: u32) -> Step {
        let has = |hazard| self.hazards.contains(&hazard);
        let (may_crash, may_pause) = (has(Hazard::Crash), has(Hazard::Pause));
        let is_idle = |worker: &Known| !worker.runs;
        let may_take_over = has(Hazard::TakeOver) && self.workers[1..].iter().any(is_idle);
        // Most calls have one effect or two.
        let after = self.random.below(3).min(self.random.below(3));
        match self.random.below(6) {
            0 if may_crash => {
                self.workers[worker as usize] = Known::default();
                step.with_cut(Some(Cut::Crash { after }))
            }
            1 | 2 if may_pause => {
                let mut steps = 1 + self.random.below(6);
                if may_take_over && self.random.one_in(2) {
                    let first = self.take_over();
                    self.planned.push_front(first);
                    steps += 4;
                }
                step.with_cut(Some(Cut::Pause { after, steps }))
            }
            _ => step,
        }
    }
}

impl Known {
    fn has_undone(&self) -> bool {
        self.runs && !self.inbox.is_empty()
    }
}
