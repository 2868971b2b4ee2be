//! Turning a clock by hand so that everybody gets their turn: from deadline to deadline.
//!
//! ```text
//!   run_for(1 day):   09:00 ──> 09:01 ──> 09:05 ──> 09:05 ──> ... ──> next day, 09:00
//!                               wake A    wake B    wake A
//!                               A sleeps  B sleeps  A sleeps
//! ```
//!
//! # Promises, and how they could break
//!
//! 1. **Time stands still while somebody is at work**: it goes on when all threads that take part sleep on
//!    the clock. A thread that was unparked is at work though it has not run yet; it says that it is awake
//!    before it lowers the flag by which it was unparked, and whoever counts looks in the other order.
//! 2. **One is woken at a time**, the one with the earliest deadline, of several with the same the one
//!    that slept first; and each at its own time. What an alarm has to be woken for is done by the
//!    thread that turns the clock, so it is over before the time goes on.

use std::cell::RefCell;
use std::time::Duration;

use crate::clock::{
    Alarm, Clock, Manual, ManualClock, Parker, Sleeper, Timestamp, Turned, ring_all,
};
use crate::sync::{AtomicBool, MutexGuard, Ordering, PlainArc, thread_local};

/// What the clock's lock guards besides.
#[derive(Debug, Default)]
pub(super) struct Turning {
    /// How many threads take part.
    part_count: usize,
    /// Whether whoever falls asleep last turns the clock.
    itself: bool,
}

/// Whether a sleeper takes part, and whether it still sleeps.
#[derive(Clone, Debug)]
pub(super) struct Part {
    takes_part: bool,
    awake: PlainArc<AtomicBool>,
}

thread_local! {
    /// The clocks that this thread takes part in.
    static CLOCKS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

impl ManualClock {
    /// A clock that turns itself on to the next deadline as soon as all threads that
    /// [take part](Self::taking_part) sleep on it; if none takes part, as soon as anybody does. So a test
    /// of one thread may call what waits with a timeout: the wait is over at once, and the time has passed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use brooklet::{Clock, ManualClock, StartingPosition, Stream, Timestamp};
    ///
    /// let clock = ManualClock::turning_itself(Timestamp::from_millis(0));
    /// let stream = Stream::builder("orders").clock(clock.clone()).build()?;
    /// let mut reader = stream.subscribe(StartingPosition::Latest)?;
    /// let hour = Duration::from_secs(3600);
    /// assert!(reader.get_records_timeout(100, hour)?.is_empty());
    /// assert_eq!(clock.monotonic(), hour);
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    ///
    /// It does not turn to the end of all time: who waits without a bound, and for nobody, waits for ever.
    ///
    /// Make all functions that take part before the first of them begins: the clock does not wait for
    /// threads that it does not know of yet.
    pub fn turning_itself(start: impl Into<Timestamp>) -> Self {
        let clock = Self::new(start);
        clock.shared.turned.lock().turning.itself = true;
        clock
    }

    /// A function that takes part in the time of this clock as long as it runs: while it is not asleep
    /// on the clock, [`run_for`](Self::run_for) and the like wait for it. It counts from now on, not from
    /// when it begins; so give it to the thread that is to run it.
    ///
    /// It is asleep in the calls to a stream with this clock that block, and in [`Clock::pass`]. One that
    /// waits for anything else (a lock, a channel, a future, the end of a thread) stops the time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use brooklet::{Clock, ManualClock, Stream};
    ///
    /// let minute = Duration::from_secs(60);
    /// let clock = ManualClock::default();
    /// let stream = Stream::builder("ticks").clock(clock.clone()).build()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(clock.taking_part(|| {
    ///         for tick in 1..=60 {
    ///             clock.pass(minute);
    ///             stream.producer().put_record("clock", format!("{tick}"))?;
    ///         }
    ///         Ok::<(), brooklet::Error>(())
    ///     }));
    ///     clock.run_for(30 * minute);
    ///     assert_eq!(stream.metrics().records_in(), 30);
    ///     clock.run_for(30 * minute);
    ///     assert_eq!(stream.metrics().records_in(), 60);
    /// });
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    pub fn taking_part<R>(&self, run: impl FnOnce() -> R) -> impl FnOnce() -> R {
        self.shared.turned.lock().turning.part_count += 1;
        let membership = Membership {
            clock: self.clone(),
        };
        move || {
            let _on_this_thread = membership.begin();
            let result = run();
            drop(membership);
            result
        }
    }

    /// Lets time pass: turns the clock from deadline to deadline of those who sleep on it, wakes one at
    /// a time, and waits each time until all who [take part](Self::taking_part) sleep again. At the end
    /// they all sleep, and `duration` has passed.
    ///
    /// [`advance`](Self::advance) turns the clock in one go, and waits for nobody.
    pub fn run_for(&self, duration: Duration) {
        let end = self.monotonic().saturating_add(duration);
        drop(self.run_to(end, true));
    }

    /// As [`run_for`](Self::run_for), but stops at the last deadline within `at_most`, when nobody waits for
    /// a time before that any more. Says how much time has passed.
    pub fn run_until_idle(&self, at_most: Duration) -> Duration {
        let begin = self.monotonic();
        let turned = self.run_to(begin.saturating_add(at_most), false);
        turned.monotonic.saturating_sub(begin)
    }

    /// When the next one who sleeps on this clock wakes by itself, or a reshard that was asked for takes
    /// effect; `None` if nobody waits for a time.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let turned = self.shared.turned.lock();
        let next = turned.next_deadline()?;
        // A thread's deadline is the first moment at which its wait is over: not shown too early.
        let left = next
            .saturating_sub(turned.monotonic)
            .as_nanos()
            .div_ceil(1_000_000);
        Some(self.now() + Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX)))
    }

    /// How long it is until somebody wakes by itself, if that is less than `step`.
    pub(crate) fn next_step(&self, step: Duration) -> Duration {
        let turned = self.shared.turned.lock();
        let left = turned
            .next_deadline()
            .map(|next| next.saturating_sub(turned.monotonic));
        // A sleeper whose time has come is on its way.
        left.filter(|left| !left.is_zero())
            .map_or(step, |left| left.min(step))
    }

    /// Wakes those whose deadlines come up to `end`, each at its time, until there are none; then turns the
    /// clock to `end`, if it `goes_on`. Under one lock: who falls asleep meanwhile is not passed over.
    fn run_to(&self, end: Duration, goes_on: bool) -> MutexGuard<'_, Turned> {
        let mut turned = self.shared.turned.lock();
        loop {
            while !turned.all_sleep() {
                self.shared.slept.wait(&mut turned);
            }
            let Some(due) = self.shared.turn_to_next(&mut turned, end) else {
                let left = end.saturating_sub(turned.monotonic);
                if goes_on {
                    self.shared.turn(&mut turned, left);
                }
                return turned;
            };
            drop(turned);
            due.wake();
            turned = self.shared.turned.lock();
        }
    }

    /// Whether the calling thread has to sleep for time to pass.
    pub(super) fn others_turn(&self) -> bool {
        self.takes_part() || self.shared.turned.lock().turning.itself
    }

    /// Whether one of the sleepers is about to wake up.
    fn is_anybody_unparked(&self) -> bool {
        let turned = self.shared.turned.lock();
        let mut parkers = turned.sleepers.iter().map(|sleeper| &sleeper.parker);
        parkers.any(Parker::is_unparked)
    }

    fn takes_part(&self) -> bool {
        CLOCKS.with_borrow(|clocks| clocks.contains(&self.address()))
    }

    fn address(&self) -> usize {
        PlainArc::as_ptr(&self.shared).addr()
    }

    pub(super) fn part(&self) -> Part {
        Part {
            takes_part: self.takes_part(),
            awake: PlainArc::default(),
        }
    }

    /// Sleeps, as one of the sleepers, until unparked.
    pub(super) fn sleep(&self, parker: &Parker, part: &Part) {
        self.settle();
        parker.park_and(|| part.awake.store(true, Ordering::Release));
    }

    /// Has the time go on if that was waited for. No lock may be held.
    fn settle(&self) {
        // Never to the end of time.
        let end = Duration::MAX.saturating_sub(Duration::from_nanos(1));
        loop {
            let mut turned = self.shared.turned.lock();
            self.shared.slept.notify_all();
            if !turned.turning.itself || !turned.all_sleep() {
                return;
            }
            let next = self.shared.turn_to_next(&mut turned, end);
            drop(turned);
            let Some(due) = next else { return };
            let is_alarm = matches!(due, Due::Alarm(_));
            due.wake();
            // Somebody has their turn now; but an alarm may have woken none of those who sleep here.
            if !is_alarm || self.is_anybody_unparked() {
                return;
            }
        }
    }
}

impl Manual {
    /// Turns the clock to the earliest deadline, if that is not after `end`, and takes out whose it is:
    /// an alarm, or else a sleeper, which is to be woken.
    fn turn_to_next(&self, turned: &mut Turned, end: Duration) -> Option<Due> {
        let alarms = turned.alarms.iter().enumerate();
        let alarm = alarms.min_by_key(|(_, alarm)| (alarm.deadline, alarm.id));
        let alarm = alarm.map(|(index, alarm)| (alarm.deadline, index));
        let sleepers = turned.sleepers.iter().enumerate();
        let sleeper = sleepers.min_by_key(|(_, sleeper)| (sleeper.deadline, sleeper.id));
        let sleeper = sleeper.map(|(index, sleeper)| (sleeper.deadline, index));
        let is_alarm = match (alarm, sleeper) {
            (Some((alarm, _)), Some((sleeper, _))) => alarm <= sleeper,
            (alarm, _) => alarm.is_some(),
        };
        let (deadline, index) = if is_alarm { alarm } else { sleeper }?;
        if deadline > end {
            return None;
        }
        let due = if is_alarm {
            Due::Alarm(turned.alarms.remove(index))
        } else {
            Due::Sleeper(turned.sleepers.remove(index))
        };
        let left = deadline.saturating_sub(turned.monotonic);
        self.turn(turned, left);
        Some(due)
    }
}

/// Whose time has come.
enum Due {
    Alarm(Alarm),
    Sleeper(Sleeper),
}

impl Due {
    /// No lock may be held.
    fn wake(self) {
        match self {
            Self::Alarm(alarm) => ring_all(vec![alarm]),
            Self::Sleeper(sleeper) => sleeper.parker.unpark(),
        }
    }
}

impl Turned {
    /// The earliest deadline of those who sleep for a time, and of the alarms.
    fn next_deadline(&self) -> Option<Duration> {
        let sleepers = self.sleepers.iter().map(|sleeper| sleeper.deadline);
        let alarms = self.alarms.iter().map(|alarm| alarm.deadline);
        let deadlines = sleepers.chain(alarms);
        deadlines.min().filter(|next| *next < Duration::MAX)
    }

    /// Whether all who take part sleep; nobody wakes them but by a put or the like, or by time.
    fn all_sleep(&self) -> bool {
        let asleep = self.sleepers.iter().filter(|sleeper| {
            let Part { takes_part, awake } = &sleeper.part;
            // In this order: who wakes up says so before it lowers the flag.
            *takes_part && !sleeper.parker.is_unparked() && !awake.load(Ordering::Acquire)
        });
        asleep.count() >= self.turning.part_count
    }
}

/// Of somebody who takes part in a clock's time.
struct Membership {
    clock: ManualClock,
}

impl Membership {
    /// Takes part on this thread, as long as what is returned lives.
    fn begin(&self) -> OnThread {
        let address = self.clock.address();
        CLOCKS.with_borrow_mut(|clocks| clocks.push(address));
        OnThread { address }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.clock.shared.turned.lock().turning.part_count -= 1;
        self.clock.settle();
    }
}

struct OnThread {
    address: usize,
}

impl Drop for OnThread {
    fn drop(&mut self) {
        CLOCKS.with_borrow_mut(|clocks| {
            let last = clocks.iter().rposition(|clock| *clock == self.address);
            if let Some(last) = last {
                clocks.swap_remove(last);
            }
        });
    }
}

impl Parker {
    fn is_unparked(&self) -> bool {
        *self.shared.unparked.lock()
    }

    /// As [`park`](Self::park); `woken` is told before the wake-up is used up.
    fn park_and(&self, woken: impl FnOnce()) {
        let mut unparked = self.shared.unparked.lock();
        while !*unparked {
            self.shared.changed.wait(&mut unparked);
        }
        woken();
        *unparked = false;
    }
}
