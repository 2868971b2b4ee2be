//! Time, in one place: the system's, read anew or by a thread of its own, or one that a test turns by
//! hand.
//!
//! No other module reads the time or sleeps. A [`Clock`] says what time it is (arrival times,
//! retention, iterator ages), how much has passed (timeouts), and how a thread waits for it.
//!
//! # What could break this
//!
//! - The wall clock steps back: arrival times of a shard never decrease all the same (the shard
//!   keeps the latest), and timeouts follow [`Clock::monotonic`], which never steps back.
//! - A wake-up is lost between looking and sleeping: a [`Parker`] remembers one, so that the next
//!   sleep returns at once.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering, PlainArc, panicking};

mod counted;
mod system;
mod ticking;
mod timestamp;
#[cfg(feature = "testing")]
mod turning;

pub use system::SystemClock;
pub use ticking::{TickingClock, TickingClockError};
pub use timestamp::{ParseTimestampError, Timestamp};

pub(crate) use timestamp::whole_millis;

/// How others write a [`Timestamp`]. Nobody is asked for one.
#[cfg(feature = "aws")]
pub(crate) use std::time::SystemTime as WallTime;

/// What tells a stream the time: what time it is, how much has passed, and how a thread waits for it.
///
/// Implementations are called with no lock of the crate held. One that panics fails the call that
/// asked for the time and harms no stream.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day. It may step back; streams cope.
    fn now(&self) -> Timestamp;

    /// Time passed since some fixed point. It never steps back. Timeouts are measured by it.
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now().as_millis())
    }

    /// Lets the calling thread sleep until `parker` is unparked or [`Clock::monotonic`] has reached
    /// `deadline`. It may return early: callers look again.
    fn park(&self, parker: &Parker, deadline: Duration) {
        parker.park_timeout(deadline.saturating_sub(self.monotonic()));
    }

    /// Lets so much time pass for the calling thread, which sleeps. A [`ManualClock`] is turned on by it,
    /// see [`ManualClock::run_for`], unless another thread turns it.
    #[cfg(feature = "testing")]
    fn pass(&self, duration: Duration) {
        sleep_for(self, duration);
    }

    /// Has `waker` woken as soon as [`Clock::monotonic`] has reached `deadline`, by whoever turns the clock on.
    /// `false`: nobody does that, and somebody has to [sleep](Self::park) until then.
    #[doc(hidden)]
    fn wake_at(&self, _deadline: Duration, _waker: &Waker) -> bool {
        false
    }

    /// Whether it says what [`SystemClock`] does, which is read in its place then.
    #[doc(hidden)]
    fn is_system(&self) -> bool {
        false
    }

    /// Whether it goes on only when somebody turns it. Nobody spins and yields before a sleep then: on a busy
    /// machine that would make a day of virtual time a matter of minutes.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    fn stands_still(&self) -> bool {
        false
    }
}

/// Has the calling thread sleep on a clock.
#[cfg(feature = "testing")]
fn sleep_for<C: Clock + ?Sized>(clock: &C, duration: Duration) {
    let parker = Parker::new();
    let deadline = clock.monotonic().saturating_add(duration);
    while clock.monotonic() < deadline {
        clock.park(&parker, deadline);
    }
}

impl<C: Clock + ?Sized> Clock for PlainArc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }

    fn park(&self, parker: &Parker, deadline: Duration) {
        (**self).park(parker, deadline);
    }

    fn wake_at(&self, deadline: Duration, waker: &Waker) -> bool {
        (**self).wake_at(deadline, waker)
    }

    fn is_system(&self) -> bool {
        (**self).is_system()
    }

    #[cfg(feature = "testing")]
    fn pass(&self, duration: Duration) {
        (**self).pass(duration);
    }

    #[cfg(feature = "testing")]
    fn stands_still(&self) -> bool {
        (**self).stands_still()
    }
}

/// A clock that stands still until it is turned, for tests without any sleep. Clones are the same
/// clock.
///
/// ```
/// use std::time::Duration;
/// use brooklet::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_millis(1_000));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), Timestamp::from_millis(61_000));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    shared: PlainArc<Manual>,
}

#[derive(Debug)]
struct Manual {
    /// Milliseconds since the epoch; written under the lock, read without it.
    now_ms: AtomicU64,
    turned: Mutex<Turned>,
    /// Whoever waits until all who take part sleep is told when that may be so.
    #[cfg(feature = "testing")]
    slept: Condvar,
}

#[derive(Debug, Default)]
struct Turned {
    /// What `advance` has added up to; `set` leaves it alone unless it turns the clock on.
    monotonic: Duration,
    /// Fractions of a millisecond that `now_ms` does not show yet.
    fraction: Duration,
    sleepers: Vec<Sleeper>,
    /// Who is woken though no thread sleeps for it.
    alarms: Vec<Alarm>,
    /// Counts sleepers and alarms.
    last_id: u64,
    #[cfg(feature = "testing")]
    turning: turning::Turning,
}

#[derive(Debug)]
struct Sleeper {
    id: u64,
    deadline: Duration,
    parker: Parker,
    #[cfg(feature = "testing")]
    part: turning::Part,
}

#[derive(Debug)]
struct Alarm {
    id: u64,
    deadline: Duration,
    waker: Waker,
}

impl ManualClock {
    /// A clock that shows `start` until it is turned.
    pub fn new(start: impl Into<Timestamp>) -> Self {
        let now_ms = AtomicU64::new(start.into().as_millis());
        Self {
            shared: PlainArc::new(Manual {
                now_ms,
                turned: Mutex::default(),
                #[cfg(feature = "testing")]
                slept: Condvar::new(),
            }),
        }
    }

    /// Turns the clock on by `duration` and wakes the threads whose waiting time is over, those
    /// with the earliest deadline first.
    pub fn advance(&self, duration: Duration) {
        let mut turned = self.shared.turned.lock();
        self.shared.turn(&mut turned, duration);
        let (sleepers, alarms) = turned.take_due();
        drop(turned);
        for sleeper in sleepers {
            sleeper.parker.unpark();
        }
        // Last: what they wake may be user code, and panic.
        ring_all(alarms);
    }

    /// Sets the time of day, forwards or back. Only a step forwards counts as time passed.
    pub fn set(&self, time: impl Into<Timestamp>) {
        let time = time.into();
        let now = self.now();
        if time > now {
            self.advance(time.duration_since(now));
        } else {
            let _turned = self.shared.turned.lock();
            self.shared
                .now_ms
                .store(time.as_millis(), Ordering::Release);
        }
    }

    /// Threads that wait for this clock now; a test turns the clock once it sees them wait.
    pub fn sleeper_count(&self) -> usize {
        self.shared.turned.lock().sleepers.len()
    }
}

impl Default for ManualClock {
    /// Starts at 2020-01-01T00:00:00Z.
    fn default() -> Self {
        Self::new(Timestamp::from_millis(1_577_836_800_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.shared.now_ms.load(Ordering::Acquire))
    }

    fn monotonic(&self) -> Duration {
        self.shared.turned.lock().monotonic
    }

    fn park(&self, parker: &Parker, deadline: Duration) {
        #[cfg(feature = "testing")]
        let part = self.part();
        let id = {
            let mut turned = self.shared.turned.lock();
            if turned.monotonic >= deadline {
                return;
            }
            let id = turned.next_id();
            turned.sleepers.push(Sleeper {
                id,
                deadline,
                parker: parker.clone(),
                #[cfg(feature = "testing")]
                part: part.clone(),
            });
            id
        };
        #[cfg(not(feature = "testing"))]
        parker.park();
        #[cfg(feature = "testing")]
        self.sleep(parker, &part);
        self.shared
            .turned
            .lock()
            .sleepers
            .retain(|sleeper| sleeper.id != id);
    }

    fn wake_at(&self, deadline: Duration, waker: &Waker) -> bool {
        // Not under the lock: it may be user code.
        let alarm = waker.clone();
        let mut turned = self.shared.turned.lock();
        if turned.monotonic < deadline {
            turned.add_alarm(deadline, alarm);
        } else {
            drop(turned);
            alarm.wake();
        }
        true
    }

    #[cfg(feature = "testing")]
    fn pass(&self, duration: Duration) {
        if self.others_turn() {
            sleep_for(self, duration);
        } else {
            self.run_for(duration);
        }
    }

    #[cfg(feature = "testing")]
    fn stands_still(&self) -> bool {
        true
    }
}

impl Manual {
    /// Turns the clock on, and wakes nobody.
    fn turn(&self, turned: &mut Turned, duration: Duration) {
        turned.monotonic = turned.monotonic.saturating_add(duration);
        let on = turned.fraction.saturating_add(duration);
        turned.fraction = Duration::from_nanos(u64::from(on.subsec_nanos() % 1_000_000));
        let now_ms = self.now_ms.load(Ordering::Relaxed);
        self.now_ms
            .store(now_ms.saturating_add(whole_millis(on)), Ordering::Release);
    }
}

impl Turned {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn add_alarm(&mut self, deadline: Duration, waker: Waker) {
        let id = self.next_id();
        self.alarms.push(Alarm {
            id,
            deadline,
            waker,
        });
    }

    /// Takes out the sleepers and the alarms whose deadline has come, the earliest first.
    fn take_due(&mut self) -> (Vec<Sleeper>, Vec<Alarm>) {
        let now = self.monotonic;
        let due = |deadline: Duration| deadline <= now;
        let mut alarms = take_if(&mut self.alarms, |alarm| due(alarm.deadline));
        alarms.sort_by_key(|alarm| (alarm.deadline, alarm.id));
        let mut sleepers = take_if(&mut self.sleepers, |sleeper| due(sleeper.deadline));
        sleepers.sort_by_key(|sleeper| (sleeper.deadline, sleeper.id));
        (sleepers, alarms)
    }
}

/// Wakes for all alarms, for each even if another's waker panics; the first panic goes on.
fn ring_all(alarms: Vec<Alarm>) {
    let mut panic = None;
    for alarm in alarms {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| alarm.waker.wake())) {
            match panic {
                None => panic = Some(payload),
                // Even the drop of what was thrown may panic.
                Some(_) => std::mem::forget(payload),
            }
        }
    }
    match panic {
        Some(payload) if panicking() => std::mem::forget(payload),
        Some(payload) => resume_unwind(payload),
        None => {}
    }
}

/// Takes out those of whom something holds.
fn take_if<T>(of: &mut Vec<T>, holds: impl Fn(&T) -> bool) -> Vec<T> {
    let all = std::mem::take(of);
    let (taken, left) = all.into_iter().partition(holds);
    *of = left;
    taken
}

/// Lets one thread sleep until another wakes it. Clones are the same parker.
///
/// Threads park on this rather than on their own token of `std::thread::park`, so that a wake-up
/// meant for the user's code is never used up here.
#[derive(Clone, Debug, Default)]
pub struct Parker {
    shared: PlainArc<Parked>,
}

#[derive(Debug, Default)]
struct Parked {
    unparked: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// A parker that nobody has unparked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sleeps until unparked; returns at once if that happened since the last sleep.
    pub fn park(&self) {
        let mut unparked = self.shared.unparked.lock();
        while !*unparked {
            self.shared.changed.wait(&mut unparked);
        }
        *unparked = false;
    }

    /// Like [`Parker::park`], for `timeout` of the system's time at most.
    pub fn park_timeout(&self, timeout: Duration) {
        let mut unparked = self.shared.unparked.lock();
        if !*unparked && !timeout.is_zero() {
            self.shared.changed.wait_for(&mut unparked, timeout);
        }
        *unparked = false;
    }

    /// Wakes the thread that sleeps here, or makes its next sleep return at once.
    pub fn unpark(&self) {
        self.shared.unpark();
    }

    /// A waker that unparks this.
    pub fn waker(&self) -> Waker {
        Waker::from(PlainArc::clone(&self.shared))
    }
}

impl Parked {
    fn unpark(&self) {
        *self.unparked.lock() = true;
        self.changed.notify_one();
    }
}

impl Wake for Parked {
    fn wake(self: PlainArc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &PlainArc<Self>) {
        self.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_adds_up_fractions_of_a_millisecond() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        for _ in 0..10 {
            clock.advance(Duration::from_micros(250));
        }
        assert_eq!(clock.now().as_millis(), 2);
        assert_eq!(clock.monotonic(), Duration::from_micros(2_500));
    }

    #[test]
    fn setting_a_manual_clock_back_does_not_turn_back_what_has_passed() {
        let clock = ManualClock::new(Timestamp::from_millis(5_000));
        clock.advance(Duration::from_secs(1));
        clock.set(Timestamp::from_millis(10));
        assert_eq!(
            (clock.now().as_millis(), clock.monotonic()),
            (10, Duration::from_secs(1))
        );
        clock.set(Timestamp::from_millis(1_010));
        assert_eq!(clock.monotonic(), Duration::from_secs(2));
    }

    #[test]
    fn a_parker_remembers_a_wake_up_that_came_first() {
        let parker = Parker::new();
        parker.waker().wake();
        parker.park();
    }

    #[test]
    fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::default();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| clock.park(&Parker::new(), Duration::from_secs(10)));
            while clock.sleeper_count() == 0 {
                std::thread::yield_now();
            }
            clock.advance(Duration::from_secs(9));
            assert_eq!(clock.sleeper_count(), 1);
            clock.advance(Duration::from_secs(1));
            sleeper.join().expect("it wakes");
        });
        assert_eq!(clock.sleeper_count(), 0);
    }
}
