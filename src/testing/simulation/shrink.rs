//! Making a failing schedule small: steps are left out and choices made simpler as long as it fails.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::testing::simulation::step::{Cut, Step, WORKERS_MAX};

/// Schedules of so many steps are tried without any two of their steps.
const PAIRS_STEPS_MAX: usize = 24;
/// What a read may take while steps are left out: then fewer reads do.
const READ_MANY: u32 = 10;

/// Makes steps as few and as simple as it can while `fails` says yes. Of the result no step and no two
/// steps can be left out, and no choice be made simpler, unless `fails` has given up.
pub(super) fn shrink(steps: Vec<Step>, mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut best = steps;
    let many: Vec<_> = best.iter().map(|step| read_many(*step)).collect();
    if fails(&many) {
        best = many;
    }
    loop {
        let before = best.clone();
        leave_out_runs(&mut best, &mut fails);
        leave_out_pairs(&mut best, &mut fails);
        leave_out_workers(&mut best, &mut fails);
        exchange_workers(&mut best, &mut fails);
        lower_records(&mut best, &mut fails);
        simplify(&mut best, &mut fails);
        if best == before {
            return best;
        }
    }
}

/// Leaves out consecutive steps: half of them, a quarter and so on, down to single ones.
fn leave_out_runs(best: &mut Vec<Step>, fails: &mut impl FnMut(&[Step]) -> bool) {
    let mut length = best.len().div_ceil(2).max(1);
    loop {
        // From the end: later steps depend on earlier ones.
        let mut end = best.len();
        while end > 0 {
            let start = end.saturating_sub(length);
            let fewer = without(best, start..end);
            if fails(&fewer) {
                *best = fewer;
            }
            end = start.min(best.len());
        }
        if length == 1 {
            return;
        }
        length = length.div_ceil(2);
    }
}

/// Leaves out any two steps, such as a crash and the start after it.
fn leave_out_pairs(best: &mut Vec<Step>, fails: &mut impl FnMut(&[Step]) -> bool) {
    if best.len() > PAIRS_STEPS_MAX {
        return;
    }
    let mut second = best.len();
    while second > 1 {
        second -= 1;
        for first in (0..second).rev() {
            let fewer = without(&without(best, second..second + 1), first..first + 1);
            if fails(&fewer) {
                *best = fewer;
                second = best.len();
                break;
            }
        }
    }
}

/// Has the first worker do what another one does.
fn leave_out_workers(best: &mut Vec<Step>, fails: &mut impl FnMut(&[Step]) -> bool) {
    for number in 2..=WORKERS_MAX {
        let starts = best.iter().enumerate();
        let starts = starts.filter(|(_, step)| **step == Step::Start { worker: number });
        let starts: Vec<_> = starts.map(|(at, _)| at).collect();
        let mut fewer = best.clone();
        for at in starts.into_iter().rev() {
            fewer = without(&fewer, at..at + 1);
        }
        for step in &mut fewer {
            if step.worker() == Some(number) {
                *step = step.with_worker(1);
            }
        }
        if fewer != *best && fails(&fewer) {
            *best = fewer;
        }
    }
}

/// Has two workers change their parts, where that takes fewer steps: the first one runs already.
fn exchange_workers(best: &mut Vec<Step>, fails: &mut impl FnMut(&[Step]) -> bool) {
    for number in 2..=WORKERS_MAX {
        let exchange = |step: &Step| match step.worker() {
            Some(1) => step.with_worker(number),
            Some(worker) if worker == number => step.with_worker(1),
            _ => *step,
        };
        let mut other: Vec<_> = best.iter().map(exchange).collect();
        if other != *best && fails(&other) {
            leave_out_runs(&mut other, fails);
            if other.len() < best.len() {
                *best = other;
            }
        }
    }
}

/// Has another record put wherever one is: one with a smaller number.
fn lower_records(best: &mut Vec<Step>, fails: &mut impl FnMut(&[Step]) -> bool) {
    let record = |step: &Step| match step {
        Step::Put { record } => Some(*record),
        _ => None,
    };
    let records: BTreeSet<_> = best.iter().filter_map(record).collect();
    for before in records {
        for after in smaller(before) {
            let lower = |step: &Step| match step {
                Step::Put { record } if *record == before => Step::Put { record: after },
                other => *other,
            };
            let lowered: Vec<_> = best.iter().map(lower).collect();
            if fails(&lowered) {
                *best = lowered;
                break;
            }
        }
    }
}

fn simplify(best: &mut [Step], fails: &mut impl FnMut(&[Step]) -> bool) {
    for at in 0..best.len() {
        loop {
            let before = best[at];
            let found = simpler(before).into_iter().any(|step| {
                best[at] = step;
                fails(best)
            });
            if !found {
                best[at] = before;
                break;
            }
        }
    }
}

/// The steps without some of them. A pause over them lasts as many steps less.
fn without(steps: &[Step], left_out: Range<usize>) -> Vec<Step> {
    let mut fewer = Vec::with_capacity(steps.len() - left_out.len());
    for (at, step) in steps.iter().enumerate() {
        if left_out.contains(&at) {
            continue;
        }
        let mut step = *step;
        if let Some(Cut::Pause { after, steps }) = step.cut() {
            let paused = at + 1..at + 1 + steps as usize;
            let gone = paused
                .end
                .min(left_out.end)
                .saturating_sub(paused.start.max(left_out.start));
            let steps = steps - u32::try_from(gone).expect("no more than there were");
            step = step.with_cut(Some(Cut::Pause { after, steps }));
        }
        fewer.push(step);
    }
    fewer
}

const fn read_many(step: Step) -> Step {
    match step {
        Step::Read { worker, limit } if limit < READ_MANY => Step::Read {
            worker,
            limit: READ_MANY,
        },
        other => other,
    }
}

/// Simpler steps, the simplest first. Each is smaller than the step by some number, so that this ends.
fn simpler(step: Step) -> Vec<Step> {
    let mut simpler = Vec::new();
    if let Some(cut) = step.cut() {
        simpler.push(step.with_cut(None));
        match cut {
            Cut::Crash { after } => {
                // Between two calls instead of inside of one.
                simpler.extend(step.worker().map(|worker| Step::Crash { worker }));
                let crash = |after| step.with_cut(Some(Cut::Crash { after }));
                simpler.extend(smaller(after).into_iter().map(crash));
            }
            Cut::Pause { after, steps } => {
                let pause = |after, steps| step.with_cut(Some(Cut::Pause { after, steps }));
                simpler.extend(smaller(after).into_iter().map(|after| pause(after, steps)));
                simpler.extend(smaller(steps).into_iter().map(|steps| pause(after, steps)));
            }
        }
    }
    match step {
        Step::Put { record } => {
            simpler.extend(
                smaller(record)
                    .into_iter()
                    .map(|record| Step::Put { record }),
            );
        }
        Step::Read { worker, limit } => {
            let fewer = smaller(limit).into_iter().filter(|limit| *limit > 0);
            simpler.extend(fewer.map(|limit| Step::Read { worker, limit }));
        }
        Step::Again { worker, back } => {
            let later = smaller(back).into_iter();
            simpler.extend(later.map(|back| Step::Again { worker, back }));
        }
        Step::Split { shard } => {
            simpler.extend(
                smaller(shard)
                    .into_iter()
                    .map(|shard| Step::Split { shard }),
            );
        }
        Step::Merge { shard } => {
            simpler.extend(
                smaller(shard)
                    .into_iter()
                    .map(|shard| Step::Merge { shard }),
            );
        }
        Step::Wait { ms } => simpler.extend(smaller(ms).into_iter().map(|ms| Step::Wait { ms })),
        _ => {}
    }
    if let Some(worker) = step.worker() {
        simpler.extend((1..worker).map(|worker| step.with_worker(worker)));
    }
    simpler
}

/// Smaller numbers to try, the smallest first.
fn smaller(number: u32) -> Vec<u32> {
    let mut smaller = vec![0, 1, number / 2, number.saturating_sub(1)];
    smaller.retain(|smaller| *smaller < number);
    smaller.dedup();
    smaller
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::simulation::Hazard;
    use crate::testing::simulation::generate::{Bounds, Random, generate};
    use crate::testing::simulation::step::Schedule;

    fn steps(text: &str) -> Vec<Step> {
        text.parse::<Schedule>().expect("the text is a schedule").0
    }

    #[test]
    fn only_what_makes_it_fail_is_left() {
        let all =
            steps("sim1 put:0 put:1 split:3 read:1*2 crash:1 start:1 put:2 tick:1 merge:2 put:5");
        let fails = |steps: &[Step]| {
            let crash = steps
                .iter()
                .position(|step| matches!(step, Step::Crash { .. }));
            let merge = steps
                .iter()
                .position(|step| matches!(step, Step::Merge { .. }));
            crash.is_some() && merge > crash
        };
        assert_eq!(shrink(all, fails), steps("sim1 crash:1 merge:0"));
    }

    #[test]
    fn steps_that_only_go_together_are_left_out_together() {
        let all = steps("sim1 split:0 put:0 merge:0");
        let fails = |steps: &[Step]| {
            let has = |wanted: Step| steps.contains(&wanted);
            has(Step::Put { record: 0 })
                && has(Step::Split { shard: 0 }) == has(Step::Merge { shard: 0 })
        };
        assert_eq!(shrink(all, fails), steps("sim1 put:0"));
    }

    #[test]
    fn one_worker_is_left_where_one_will_do() {
        let all = steps("sim1 start:2 start:3 put:0 read:2*1 process:2");
        let fails = |steps: &[Step]| {
            let of = |wanted: fn(&Step) -> bool| steps.iter().find(|step| wanted(step));
            let read = of(|step| matches!(step, Step::Read { .. }));
            let process = of(|step| matches!(step, Step::Process { .. }));
            let worker = read.and_then(|step| step.worker());
            let started = worker == Some(1)
                || steps
                    .iter()
                    .any(|step| matches!(step, Step::Start { .. }) && step.worker() == worker);
            started && process.is_some() && worker == process.and_then(|step| step.worker())
        };
        let all = shrink(all, fails);
        assert_eq!(all, steps("sim1 read:1*1 process:1"));
    }

    #[test]
    fn a_pause_is_shortened_by_the_steps_that_are_left_out_of_it() {
        let all = steps("sim1 process:1~0+3 put:0 put:1 put:2 put:3");
        for (left_out, left) in [
            (1..2, "sim1 process:1~0+2 put:1 put:2 put:3"),
            (3..5, "sim1 process:1~0+2 put:0 put:1"),
            (4..5, "sim1 process:1~0+3 put:0 put:1 put:2"),
            (1..4, "sim1 process:1~0+0 put:3"),
            (0..1, "sim1 put:0 put:1 put:2 put:3"),
        ] {
            assert_eq!(without(&all, left_out), steps(left));
        }
    }

    #[test]
    fn every_schedule_is_read_as_it_is_shown_and_shrinks_to_nothing() {
        let bounds = Bounds {
            steps: 60,
            records: 10,
            workers: 3,
            hazards: Hazard::ALL.to_vec(),
        };
        for schedule in 0..300 {
            let steps = generate(&mut Random::new(7, schedule), &bounds);
            assert!((15..=60).contains(&steps.len()));
            let text = Schedule(steps.clone()).to_string();
            assert_eq!(text.parse(), Ok(Schedule(steps.clone())), "{text}");
            assert_eq!(shrink(steps, |_| true), []);
        }
    }

    #[test]
    fn a_seed_means_the_same_schedules_everywhere() {
        let bounds = Bounds {
            steps: 8,
            records: 3,
            workers: 2,
            hazards: Hazard::ALL.to_vec(),
        };
        let steps = generate(&mut Random::new(1, 1), &bounds);
        let text = "sim1 put:0 put:1 put:2 merge:2 tick:1~0+8";
        assert_eq!(Schedule(steps).to_string(), text);
    }
}
