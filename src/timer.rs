//! Waking tasks when their time has come, on whichever clock, without a runtime.
//!
//! ```text
//!   tasks ── set ──> alarms, the earliest first <── looks ── one thread ── parks on the clock
//! ```
//!
//! The thread is started by a timer's first alarm and ends with the timer. It parks as every reader
//! that waits does, so that a clock that is turned by hand wakes it.
//!
//! # What could break this
//!
//! - An alarm is set between the thread's look and its sleep: whoever sets one that is due before
//!   the thread would look again unparks it, and a parker remembers that.
//! - A waker panics: the others are woken all the same, and the thread goes on.
//! - The clock panics: the thread ends, and wakes all as it goes; the next alarm starts another.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;
use std::{fmt, io};

use crate::clock::{Clock, Parker};
use crate::sync::{Mutex, PlainArc, spawn};

/// Alarms on one clock: those of a registry, or of a stream that has another clock.
pub(crate) struct Timer {
    shared: PlainArc<Shared>,
}

/// Wakes a task at a time, unless it is dropped before.
pub(crate) struct Alarm {
    shared: PlainArc<Shared>,
    key: Key,
    waker: Waker,
}

struct Shared {
    clock: PlainArc<dyn Clock>,
    parker: Parker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<Key, Waker>,
    last_id: u64,
    has_thread: bool,
    /// When the thread looks again by itself.
    looks_at: Duration,
    is_over: bool,
}

/// When an alarm is due on the clock's monotonic time, and which of those due then it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    at: Duration,
    id: u64,
}

impl Timer {
    /// A timer on a clock; nothing runs yet.
    pub(crate) fn new(clock: PlainArc<dyn Clock>) -> Self {
        Self {
            shared: PlainArc::new(Shared {
                clock,
                parker: Parker::new(),
                state: Mutex::default(),
            }),
        }
    }

    /// Has `waker` woken at `deadline` of the clock's monotonic time, or before. An alarm that does
    /// so already is left as it is: a task that sets it at each poll costs little.
    ///
    /// # Errors
    ///
    /// The operating system started no thread.
    pub(crate) fn set(
        &self,
        alarm: &mut Option<Alarm>,
        now: Duration,
        deadline: Duration,
        waker: &Waker,
    ) -> io::Result<()> {
        let serves = |alarm: &Alarm| {
            let comes = now < alarm.key.at && alarm.key.at <= deadline;
            comes && alarm.waker.will_wake(waker)
        };
        if !alarm.as_ref().is_some_and(serves) {
            // The one before is taken back first.
            *alarm = None;
            *alarm = Some(self.shared.add(deadline, waker.clone())?);
        }
        Ok(())
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.shared.parker.unpark();
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let removed = self.shared.state.lock().alarms.remove(&self.key);
        // A waker's drop may be user code: not under the lock.
        drop(removed);
    }
}

impl Shared {
    fn add(self: &PlainArc<Self>, at: Duration, waker: Waker) -> io::Result<Alarm> {
        let (key, is_early) = {
            let mut state = self.state.lock();
            if !state.has_thread {
                let shared = PlainArc::clone(self);
                spawn("alarms", move || Thread(shared).run())?;
                state.has_thread = true;
                // It has yet to look.
                state.looks_at = Duration::ZERO;
            }
            state.last_id += 1;
            let id = state.last_id;
            let key = Key { at, id };
            state.alarms.insert(key, waker.clone());
            (key, at < state.looks_at)
        };
        if is_early {
            self.parker.unpark();
        }
        Ok(Alarm {
            shared: PlainArc::clone(self),
            key,
            waker,
        })
    }

    /// Takes the alarms that are due, and says when the next one is; `None` once all is over.
    fn look(&self) -> Option<(BTreeMap<Key, Waker>, Duration)> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        if state.is_over {
            return None;
        }
        let last = Key {
            at: now,
            id: u64::MAX,
        };
        let later = state.alarms.split_off(&last);
        let due = std::mem::replace(&mut state.alarms, later);
        let next = state.alarms.first_key_value();
        state.looks_at = next.map_or(Duration::MAX, |(key, _)| key.at);
        Some((due, state.looks_at))
    }
}

/// What the thread has: it says so when it ends, however that is.
struct Thread(PlainArc<Shared>);

impl Thread {
    fn run(self) {
        let shared = &self.0;
        while let Some((due, next)) = shared.look() {
            if due.is_empty() {
                shared.clock.park(&shared.parker, next);
            } else {
                wake_all(due);
            }
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let alarms = {
            let mut state = self.0.state.lock();
            state.has_thread = false;
            std::mem::take(&mut state.alarms)
        };
        wake_all(alarms);
    }
}

/// Wakes all, each even if another's waker panics. The hook of panics has told of it.
fn wake_all(alarms: BTreeMap<Key, Waker>) {
    for waker in alarms.into_values() {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
            // Even its drop may panic.
            std::mem::forget(payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use crate::clock::{ManualClock, SystemClock};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn manual() -> (Timer, ManualClock) {
        let clock = ManualClock::default();
        (Timer::new(PlainArc::new(clock.clone())), clock)
    }

    fn wait_for_sleeper(clock: &ManualClock) {
        while clock.sleeper_count() == 0 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_task_is_woken_when_a_clock_is_turned_to_its_time() {
        let (timer, clock) = manual();
        let (first, second) = (Parker::new(), Parker::new());
        let (mut early, mut late) = (None, None);
        timer
            .set(&mut late, Duration::ZERO, 10 * SECOND, &second.waker())
            .unwrap();
        wait_for_sleeper(&clock);
        // Due before the thread would look.
        timer
            .set(&mut early, Duration::ZERO, 5 * SECOND, &first.waker())
            .unwrap();
        clock.advance(5 * SECOND);
        first.park();
        clock.advance(5 * SECOND);
        second.park();
        assert!(timer.shared.state.lock().alarms.is_empty());
    }

    #[test]
    fn a_task_is_woken_on_the_clock_of_the_system() {
        let timer = Timer::new(PlainArc::new(SystemClock));
        let (parker, now) = (Parker::new(), SystemClock.monotonic());
        let mut alarm = None;
        let deadline = now + Duration::from_millis(2);
        timer
            .set(&mut alarm, now, deadline, &parker.waker())
            .unwrap();
        parker.park();
        assert!(SystemClock.monotonic() >= deadline);
    }

    #[test]
    fn an_alarm_that_is_dropped_wakes_nobody_and_one_that_serves_is_kept() {
        let (timer, _clock) = manual();
        let (parker, mut alarm) = (Parker::new(), None);
        let set = |alarm: &mut Option<Alarm>, deadline, waker: &Waker| {
            timer.set(alarm, Duration::ZERO, deadline, waker).unwrap();
            alarm.as_ref().unwrap().key
        };
        let key = set(&mut alarm, 5 * SECOND, &parker.waker());
        assert_eq!(set(&mut alarm, 6 * SECOND, &parker.waker()), key);
        let earlier = set(&mut alarm, 4 * SECOND, &parker.waker());
        assert!(earlier.at < key.at);
        let other = set(&mut alarm, 4 * SECOND, &Parker::new().waker());
        assert_ne!(other, earlier);
        assert_eq!(timer.shared.state.lock().alarms.len(), 1);
        drop(alarm);
        assert!(timer.shared.state.lock().alarms.is_empty());
    }

    // The thread holds what the weak handle points to: once that is gone, so is the thread.
    #[test]
    fn the_thread_begins_with_the_first_alarm_and_ends_with_the_timer() {
        let (timer, clock) = manual();
        let shared = PlainArc::downgrade(&timer.shared);
        assert!(!timer.shared.state.lock().has_thread);
        let mut alarm = None;
        timer
            .set(&mut alarm, Duration::ZERO, SECOND, Waker::noop())
            .unwrap();
        wait_for_sleeper(&clock);
        drop(alarm);
        drop(timer);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(clock.sleeper_count(), 0);
    }

    struct Panics(AtomicUsize);

    impl Wake for Panics {
        fn wake(self: PlainArc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            panic!("a waker that panics");
        }
    }

    #[test]
    fn a_waker_that_panics_holds_up_no_other() {
        let (timer, clock) = manual();
        let panics = PlainArc::new(Panics(AtomicUsize::new(0)));
        let parker = Parker::new();
        let (mut bad, mut good, mut later) = (None, None, None);
        let zero = Duration::ZERO;
        timer
            .set(
                &mut bad,
                zero,
                SECOND,
                &Waker::from(PlainArc::clone(&panics)),
            )
            .unwrap();
        timer.set(&mut good, zero, SECOND, &parker.waker()).unwrap();
        clock.advance(SECOND);
        parker.park();
        assert_eq!(panics.0.load(Ordering::SeqCst), 1);
        timer
            .set(&mut later, SECOND, 2 * SECOND, &parker.waker())
            .unwrap();
        clock.advance(SECOND);
        parker.park();
    }

    /// A clock that panics as long as it is told to.
    #[derive(Clone, Debug)]
    struct Faulty(ManualClock, PlainArc<AtomicUsize>);

    impl Clock for Faulty {
        fn now(&self) -> crate::clock::Timestamp {
            self.0.now()
        }

        fn monotonic(&self) -> Duration {
            assert_eq!(self.1.load(Ordering::SeqCst), 0, "a clock that panics");
            self.0.monotonic()
        }

        fn park(&self, parker: &Parker, deadline: Duration) {
            self.0.park(parker, deadline);
        }
    }

    #[test]
    fn a_clock_that_panics_wakes_all_and_the_next_alarm_starts_anew() {
        let clock = Faulty(ManualClock::default(), PlainArc::default());
        let timer = Timer::new(PlainArc::new(clock.clone()));
        let (parker, mut alarm) = (Parker::new(), None);
        clock.1.store(1, Ordering::SeqCst);
        timer
            .set(&mut alarm, Duration::ZERO, SECOND, &parker.waker())
            .unwrap();
        parker.park();
        while timer.shared.state.lock().has_thread {
            std::thread::yield_now();
        }
        clock.1.store(0, Ordering::SeqCst);
        let mut again = None;
        timer
            .set(&mut again, Duration::ZERO, SECOND, &parker.waker())
            .unwrap();
        wait_for_sleeper(&clock.0);
        clock.0.advance(SECOND);
        parker.park();
    }
}
