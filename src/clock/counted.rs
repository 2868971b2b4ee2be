//! The system's time by milliseconds, of which each thread remembers one, and until which count of the
//! processor it goes on.
//!
//! To read the system's time takes some 20 ns, more than all else that a put of a small record does; to
//! read the counter takes nine. On Linux, on x86-64 processors; elsewhere the system is asked each time.
//!
//! The promise: [`now`] is the millisecond of the system's time at a moment between the call and its
//! return, as if the system had been asked.
//!
//! # What could break this
//!
//! - *The counter is not the same on all cores, or not always as fast.* The kernel watches it. Where that
//!   makes no use of it for its own clock, neither does this.
//! - *A millisecond is thought to be longer than it is.* How many counts it has is measured once in a
//!   process, from counts that lie within what the system says has passed: there are too few, if anything. A
//!   measurement in which the thread was interrupted is thrown away, and one in which the time of day did not go
//!   on as far as monotonic time did: it was set, or the machine slept.
//! - *The counter is read early.* A processor may do so while instructions in front of it are under
//!   way, which may have read the system's time. So the last two microseconds of a millisecond, ten times
//!   what can be under way, are left to the system.
//! - *The counter begins anew*, since the machine slept: what is remembered is a millisecond at most, and
//!   it is not within that.
//! - *The time of day is set.* This shows with the next millisecond.
//! - *The process is moved to a processor whose counter is slower* without being told, which the kernel's own clock
//!   would not survive either: a millisecond then seems longer by that share.

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use safe_arch::read_timestamp_counter as count;

use crate::clock::Timestamp;
use crate::sync::{Ordering, PlainAtomicU64};

/// Nothing is counted here.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
const fn count() -> u64 {
    0
}

const MILLI_NANOS: u64 = 1_000_000;
/// How much of the end of a millisecond is not counted.
const UNSURE_NANOS: u64 = 2_000;

/// A millisecond of the system's time, and how long it surely goes on.
#[derive(Clone, Copy)]
struct Milli {
    /// The count at which it was read.
    from: u64,
    /// So many counts after that it goes on; 0 if that is not known.
    counts: u64,
    time: Timestamp,
}

thread_local! {
    static LAST: Cell<Milli> = const {
        Cell::new(Milli { from: 0, counts: 0, time: Timestamp::from_millis(0) })
    };
}

/// The system's time.
#[inline]
pub(super) fn now() -> Timestamp {
    let last = LAST.get();
    // Where nothing is counted, the counter is not read in vain.
    if last.counts > 0 && count().wrapping_sub(last.from) < last.counts {
        last.time
    } else {
        read()
    }
}

/// Asks the system, and remembers what it says for as long as that surely holds.
#[cold]
fn read() -> Timestamp {
    // In this order: counted from before the time was read, it ends too early, if anything.
    let from = count();
    let now = SystemTime::now();
    let time = now.into();
    if let Some(milli_counts) = milli_counts() {
        let counts = sure_nanos(now) * milli_counts / MILLI_NANOS;
        LAST.set(Milli { from, counts, time });
    }
    time
}

/// How long the millisecond of a time surely goes on.
fn sure_nanos(now: SystemTime) -> u64 {
    // Before the epoch, which all of it is, nothing goes on.
    let Ok(since_epoch) = now.duration_since(SystemTime::UNIX_EPOCH) else {
        return 0;
    };
    let passed = u64::from(since_epoch.subsec_nanos()) % MILLI_NANOS;
    let sure = (MILLI_NANOS - passed).saturating_sub(UNSURE_NANOS);
    planted!(sure, "millisecond_too_long": sure + MILLI_NANOS)
}

/// How many counts a millisecond has, or a few less; `None`: that is not known yet, or never will be.
fn milli_counts() -> Option<u64> {
    /// How many there are, or one of those below. Relaxed: nothing else is published with it.
    static KNOWN: PlainAtomicU64 = PlainAtomicU64::new(NOT_ASKED);
    /// Whether the counter is the kernel's clock: asked once in a process, since it reads a file.
    const NOT_ASKED: u64 = 0;
    const NEVER: u64 = 1;
    const NOT_YET: u64 = 2;

    thread_local! {
        static BEGUN: Cell<Option<Reading>> = const { Cell::new(None) };
    }

    match KNOWN.load(Ordering::Relaxed) {
        NOT_ASKED => {
            let known = if is_clock_of_kernel() { NOT_YET } else { NEVER };
            KNOWN.store(known, Ordering::Relaxed);
            return None;
        }
        NEVER => return None,
        NOT_YET => {}
        known => return Some(known),
    }
    let Some(begun) = BEGUN.get() else {
        BEGUN.set(Some(Reading::take()));
        return None;
    };
    let ended = Reading::take();
    if !ended.is_long_after(&begun) {
        return None;
    }
    let counts = ended.milli_counts_since(&begun);
    match counts {
        Some(counts) => KNOWN.store(counts, Ordering::Relaxed),
        None => BEGUN.set(Some(ended)),
    }
    counts
}

/// Whether the kernel takes its own time from the processor's counter.
fn is_clock_of_kernel() -> bool {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    // Where there is no such file, nobody says that it does.
    fs::read_to_string(path).is_ok_and(|source| source.trim_end() == "tsc")
}

/// The system's two clocks at a moment, and counts before and after it.
#[derive(Clone, Copy)]
struct Reading {
    before: u64,
    wall: SystemTime,
    monotonic: Instant,
    after: u64,
}

impl Reading {
    fn take() -> Self {
        Self {
            before: count(),
            wall: SystemTime::now(),
            monotonic: Instant::now(),
            after: count(),
        }
    }

    /// Whether so much has passed since an earlier one that something can be measured by them.
    fn is_long_after(&self, begun: &Self) -> bool {
        self.monotonic.duration_since(begun.monotonic) >= Duration::from_millis(1)
    }

    /// The counts of a millisecond between an earlier reading and this one; `None` if something
    /// happened meanwhile that makes them useless.
    fn milli_counts_since(&self, begun: &Self) -> Option<u64> {
        const LONGEST: Duration = Duration::from_millis(100);
        /// Differences up to such a part are nothing that happened.
        const PART: u32 = 256;
        let passed = self.monotonic.duration_since(begun.monotonic);
        let by_wall = self.wall.duration_since(begun.wall).unwrap_or_default();
        let within = self.before.checked_sub(begun.after)?;
        let around = self.after.checked_sub(begun.before)?;
        let is_useful = passed <= LONGEST
            && by_wall.abs_diff(passed) <= passed / PART
            && around.checked_sub(within)? <= within / u64::from(PART);
        let nanos = u64::from(passed.subsec_nanos());
        let counts = within.checked_mul(MILLI_NANOS)?.checked_div(nanos)?;
        // Fewer than any processor has: not one that is remembered as something else.
        (is_useful && counts >= 1_000).then_some(counts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    /// Looks at the system's clock, at the crate's and at the system's again, for so long.
    fn compare(during: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < during {
            let looked = Instant::now();
            let before = SystemTime::now();
            let shown = SystemClock.now();
            let after = SystemTime::now();
            // Unless it was set meanwhile.
            let passed = after.duration_since(before).unwrap_or_default();
            if after >= before && passed <= looked.elapsed() {
                let around = Timestamp::from(before)..=Timestamp::from(after);
                assert!(around.contains(&shown), "{shown} is not in {around:?}");
            }
        }
    }

    #[test]
    fn the_time_is_that_of_the_system_on_each_of_many_threads() {
        let during = Duration::from_millis(50);
        let threads: Vec<_> = (0..4)
            .map(|_| thread::spawn(move || compare(during)))
            .collect();
        for thread in threads {
            thread.join().expect("the times agree");
        }
        // Where the counter is no clock, there is nothing to be sure of.
        if is_clock_of_kernel() {
            compare(during);
            assert!(milli_counts().is_some(), "a millisecond was measured");
            let asked = (0..10_000).map(|_| (SystemClock.now(), LAST.get().from).1);
            let asked: HashSet<_> = asked.collect();
            assert!(asked.len() < 10_000, "the system is asked each time");
        }
    }

    #[test]
    fn a_millisecond_is_sure_until_a_little_before_its_end() {
        let sure = |nanos| sure_nanos(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        for whole in [0, 1, 999, 1_000, 1_764_000_000_123] {
            let at = whole * MILLI_NANOS;
            assert_eq!(sure(at), MILLI_NANOS - UNSURE_NANOS);
            assert_eq!(sure(at + 600_000), 400_000 - UNSURE_NANOS);
            assert_eq!(sure(at + MILLI_NANOS - UNSURE_NANOS), 0);
            assert_eq!(sure(at + MILLI_NANOS - 1), 0);
        }
        assert_eq!(
            sure_nanos(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)),
            0
        );
    }

    /// A reading of a counter of 2 GHz.
    fn reading(origin: &Reading, nanos: u64) -> Reading {
        let passed = Duration::from_nanos(nanos);
        Reading {
            before: 1_000 + 2 * nanos,
            wall: origin.wall + passed,
            monotonic: origin.monotonic + passed,
            after: 1_100 + 2 * nanos,
        }
    }

    #[test]
    fn a_millisecond_is_never_measured_too_long() {
        let origin = Reading::take();
        let begun = reading(&origin, 0);
        for nanos in [1_000_000, 1_234_567, 50_000_000, 100_000_000] {
            let counts = reading(&origin, nanos).milli_counts_since(&begun);
            let counts = counts.expect("nothing happened");
            assert!((1_990_000..=2_000_000).contains(&counts), "{counts}");
        }
    }

    #[test]
    fn what_is_measured_while_something_happens_is_thrown_away() {
        let origin = Reading::take();
        let begun = reading(&origin, 0);
        let ended = reading(&origin, 10_000_000);
        let second = Duration::from_secs(1);
        let happened = [
            (
                "the time of day was set ahead",
                Reading {
                    wall: ended.wall + second,
                    ..ended
                },
            ),
            (
                "it was set back",
                Reading {
                    wall: ended.wall - second,
                    ..ended
                },
            ),
            (
                "the thread was interrupted",
                Reading {
                    after: ended.after + 1_000_000,
                    ..ended
                },
            ),
            ("it was a long time", reading(&origin, 101_000_000)),
            (
                "the counter began anew",
                Reading {
                    before: 10,
                    after: 20,
                    ..ended
                },
            ),
            (
                "the counter stood still",
                Reading {
                    before: begun.after,
                    after: begun.after,
                    ..ended
                },
            ),
        ];
        for (what, ended) in happened {
            assert_eq!(ended.milli_counts_since(&begun), None, "{what}");
        }
        let interrupted = Reading {
            before: 100,
            after: begun.after + 1_000_000,
            ..begun
        };
        assert_eq!(
            ended.milli_counts_since(&interrupted),
            None,
            "at its beginning"
        );
        let back = Reading {
            before: begun.before,
            after: begun.before - 500,
            ..begun
        };
        assert_eq!(
            ended.milli_counts_since(&back),
            None,
            "the counter ran back"
        );
        assert!(reading(&origin, 1_000_000).is_long_after(&begun));
        assert!(!reading(&origin, 999_999).is_long_after(&begun));
    }
}
