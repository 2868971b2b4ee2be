//! A reshard that was asked for, and takes effect when the stream has been UPDATING for long enough.
//!
//! ```text
//!   split_shard ── checks ──> Pending, under the control lock ── at its time ──> parents closed,
//!                                ^                                               children open
//!                                │ whoever is there first:
//!      takes the control lock ───┤
//!      puts: its shard refuses ──┤
//!      reads: told to look ──────┤
//!      an alarm, for sleepers ───┘
//! ```
//!
//! # Promises, and how they could break
//!
//! 1. **Everybody sees it from its time on.** A parent accepts no record from then on, and whoever
//!    puts, reads or looks finds the time come by the same clock, and has it take effect first.
//! 2. **Whoever sleeps on a parent is woken.** A clock that is turned by hand rings the alarm itself; on
//!    another one a thread waits for it. Where none can be started the reshard is not put off.
//! 3. **It keeps no stream alive**: what is told of it, and its alarm, lead to the stream as long as
//!    that is there. When it goes, the reshard takes effect, so that no reader waits for ever.

use std::fmt;
use std::task::{Wake, Waker};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::stream::reshard::Change;
use crate::stream::status::Phase;
use crate::stream::{Control, Held, Inner, Stream, StreamStatus};
use crate::sync::{PlainArc, Weak, downgrade};
use crate::timer::{Alarm, Timer};

/// How long CREATING, UPDATING and DELETING last.
#[derive(Debug)]
pub(crate) struct Delay {
    pub(super) duration: Duration,
    /// There unless the delay is none.
    timer: Option<PlainArc<Timer>>,
}

/// A reshard that has yet to take effect.
pub(super) struct Pending {
    at: Timestamp,
    change: Change,
    /// What has it take effect.
    waker: Waker,
    /// Where the clock has none of its own.
    alarm: Option<Alarm>,
}

/// When a reshard is asked for, by the clock.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) now: Timestamp,
    /// When it takes effect, on the monotonic time; `None`: at once.
    due: Option<Duration>,
}

/// Has a reshard take effect when it is woken.
struct Effect {
    stream: Weak<Inner>,
    at: Timestamp,
}

impl Delay {
    /// On a clock that may have a timer already.
    pub(super) fn new(
        duration: Duration,
        clock: &PlainArc<dyn Clock>,
        timer: Option<PlainArc<Timer>>,
    ) -> Self {
        let new = || PlainArc::new(Timer::new(PlainArc::clone(clock)));
        let timer = (!duration.is_zero()).then(|| timer.unwrap_or_else(new));
        Self { duration, timer }
    }
}

impl Stream {
    /// Looks at the clock, for which no lock may be held.
    pub(super) fn asked(&self) -> Asked {
        let (clock, delay) = (&self.settings().clock, self.inner.delay.duration);
        // In this order: it is due on the one time when it is on the other, if both go on alike.
        let now = clock.now();
        let due = (!delay.is_zero()).then(|| clock.monotonic().saturating_add(delay));
        Asked { now, due }
    }

    /// Changes the shards of a stream that may be changed: at once, or when the delay is over.
    pub(super) fn reshard(&self, mut held: Held<'_>, asked: Asked, change: Change) {
        let Some(due) = asked.due else {
            self.inner.carry_out(&mut held, asked.now, change);
            return;
        };
        let delay = self.inner.delay.duration;
        let at = asked.now.saturating_add(delay);
        let waker = Waker::from(PlainArc::new(Effect {
            stream: downgrade(&self.inner),
            at,
        }));
        held.control.phase = Phase::begin(StreamStatus::Updating, asked.now, delay);
        for shard in change.parents() {
            shard.close_from(Some(at));
        }
        self.settings().set_pending(at, waker.clone());
        held.control.pending = Some(Pending {
            at,
            change,
            waker: waker.clone(),
            alarm: None,
        });
        drop(held);
        self.set_alarm(due, &waker);
    }

    /// Has a pending reshard take effect at a time of the monotonic clock, though nobody looks.
    fn set_alarm(&self, due: Duration, waker: &Waker) {
        let rings = self.settings().clock.wake_at(due, waker);
        if planted!(rings, "nobody_rings": true) {
            return;
        }
        let timer = self.inner.delay.timer.as_ref();
        let timer = timer.expect("a stream with a delay has one");
        let mut alarm = None;
        if timer.set(&mut alarm, Duration::ZERO, due, waker).is_err() {
            // There is no thread to wake those who sleep: nobody has to wait for it.
            waker.wake_by_ref();
            return;
        }
        let mut control = self.inner.control.lock();
        let mut pending = control.pending.as_mut();
        // It may have taken effect meanwhile, and even another one been asked for.
        if let Some(pending) = pending.take_if(|pending| pending.waker.will_wake(waker)) {
            pending.alarm = alarm.take();
        }
    }
}

impl Inner {
    /// Goes on to the state of a time, and has a pending reshard take effect that is due by then.
    pub(super) fn settle(&self, held: &mut Held<'_>, now: Timestamp) {
        held.control.phase.settle(now);
        let is_due = |pending: &mut Pending| pending.at <= now;
        if let Some(pending) = held.control.pending.take_if(is_due) {
            self.take_effect(held, pending);
        }
    }

    fn take_effect(&self, held: &mut Held<'_>, pending: Pending) {
        let parents: Vec<_> = pending.change.parents().cloned().collect();
        self.carry_out(held, pending.at, pending.change);
        // A new count may leave some as they are.
        for shard in parents.iter().filter(|shard| !shard.is_closed()) {
            shard.close_from(None);
        }
        self.settings.clear_pending();
    }

    /// Changes the shards, then routes by them.
    fn carry_out(&self, held: &mut Held<'_>, at: Timestamp, change: Change) {
        change.carry_out(&self.settings, held, at);
        self.install(&held.control);
    }

    /// Leaves the shards as they are: they are closed, or going.
    pub(super) fn drop_pending(&self, control: &mut Control) {
        if control.pending.take().is_some() {
            self.settings.clear_pending();
        }
    }
}

impl Drop for Inner {
    /// Nobody can put any more. Readers may still wait for the end of a shard.
    fn drop(&mut self) {
        let mut held = self.lock();
        if let Some(pending) = held.control.pending.take() {
            self.take_effect(&mut held, pending);
        }
    }
}

impl Wake for Effect {
    fn wake(self: PlainArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &PlainArc<Self>) {
        if let Some(inner) = self.stream.upgrade() {
            let mut held = inner.lock();
            inner.settle(&mut held, self.at);
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
