//! Writing to a shard: what its lock guards.

use std::num::NonZeroU64;
use std::task::Waker;

use crate::clock::Timestamp;
use crate::data::Payload;
use crate::limits::WriteLimiter;
use crate::log::Writer;
use crate::shard::aftermath::Leftover;
use crate::shard::{Aftermath, Core, OnFull, Settings, Shard, WaiterId};

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) writer: Writer,
    pub(super) closed: bool,
    /// Whether a put has to be checked against limits, the capacity, the end or the time of a pending one.
    pub(super) may_refuse: bool,
    /// From when on no record is accepted, though the shard has yet to be closed.
    closes_at: Option<Timestamp>,
    limiter: Option<Box<WriteLimiter>>,
    /// Whether a reader waits to hear of the next record.
    pub(super) waiting: bool,
    pub(super) puts_throttled: u64,
}

/// Why a shard did not take a record; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was split, merged or closed, or is to be by now: ask the routing table again.
    Closed,
    Throttled,
    Full,
}

/// Where a record went.
///
/// Its place is never 0, so that this or none are two words, which a call returns in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Appended {
    pub(crate) place: NonZeroU64,
    pub(crate) arrival_ms: u64,
}

/// Appends records to one shard, under its lock.
pub(crate) struct Appender<'a> {
    core: &'a Core,
    state: &'a mut State,
    now: Timestamp,
}

impl Appender<'_> {
    #[inline]
    pub(crate) fn append(
        &mut self,
        key: &str,
        payload: &mut Payload<'_, '_>,
    ) -> Result<Appended, Refusal> {
        self.state.append(self.core, self.now, key, payload)
    }

    /// Appends records as long as that is a matter of copying what `records` gives: says how many, and
    /// where the first went. [`append`](Self::append) sees to the one after them.
    #[inline]
    pub(crate) fn append_copies<'r>(
        &mut self,
        records: impl Iterator<Item = Option<(&'r str, &'r [u8])>>,
    ) -> Option<(usize, Appended)> {
        let state = &mut *self.state;
        if state.may_refuse {
            return None;
        }
        let now = self.now.as_millis();
        let (done, (place, arrival_ms)) = state.writer.append_copies(now, records);
        (done > 0).then(|| (done, Appended::new(place, arrival_ms)))
    }
}

impl Appended {
    #[inline]
    fn new(place: u64, arrival_ms: u64) -> Self {
        let place = NonZeroU64::new(place).expect("places begin with 1");
        Self { place, arrival_ms }
    }
}

impl Shard {
    /// Appends one record, if that is a matter of copying it: nearly each put is, and takes two thirds of
    /// the instructions like this. Otherwise it says what time it is and does nothing, and
    /// [`append`](Self::append) sees to it.
    ///
    /// Never inlined: it is short to call, since all of it fits registers. The settings are its own: whoever
    /// calls it has them at hand.
    #[inline(never)]
    pub(crate) fn append_copy(
        &self,
        settings: &Settings,
        key: &str,
        data: &[u8],
    ) -> Result<Appended, Timestamp> {
        let core = &*self.core;
        if core.checks_puts {
            return Err(settings.now());
        }
        // Right before the lock, and not a step earlier: to read the processor's counter waits for what is
        // under way, and so does taking the lock. Like this they wait once (a tenth of a put).
        let now = settings.now();
        let mut state = core.state.lock();
        if state.may_refuse {
            return Err(now);
        }
        let appended = state
            .writer
            .append_copy(&core.log, now.as_millis(), key, data);
        let (place, arrival_ms) = appended.ok_or(now)?;
        if state.waiting || state.writer.has_retired() {
            let wake = state.waiting;
            let leftover = state.take_leftover(wake);
            drop(state);
            leftover.settle(self);
        }
        Ok(Appended::new(place, arrival_ms))
    }

    /// Appends one record, or leaves its data as it was. `now` is the stream's time.
    #[inline(never)]
    pub(crate) fn append(
        &self,
        now: Timestamp,
        key: &str,
        payload: &mut Payload<'_, '_>,
    ) -> Result<Appended, Refusal> {
        self.change(|core, state| state.append(core, now, key, payload))
    }

    /// Appends one record after another under one lock, publishes them together and wakes
    /// readers once. No user code may run in `run`.
    #[inline]
    pub(crate) fn append_all(&self, now: Timestamp, run: impl FnOnce(&mut Appender<'_>)) {
        self.change(|core, state| run(&mut Appender { core, state, now }));
    }

    /// Registers a waker for when something else than time may let a put go on: the shard is closed, or
    /// keeps records for another time. Says when the oldest record expires: from now until then no
    /// room comes to be. `None`: there is no record, but room for any.
    pub(crate) fn wait_for_room(&self, waker: Waker) -> (WaiterId, Option<Timestamp>) {
        let id = self.core.putters.register(waker);
        let oldest = self.core.state.lock().writer.oldest_arrival(&self.core.log);
        let retention = self.core.settings.retention();
        (
            id,
            oldest.map(|oldest| Timestamp::from_millis(oldest) + retention),
        )
    }

    /// Accepts no record from a time on, until which it is closed or told otherwise: a put that it
    /// refuses waits for the control lock, under which it is closed.
    pub(crate) fn close_from(&self, at: Option<Timestamp>) {
        let mut state = self.core.state.lock();
        state.closes_at = at;
        state.may_refuse = self.core.checks_puts || at.is_some() || state.closed;
    }

    /// Has the limits go by another largest record.
    pub(crate) fn apply_record_bytes_max(&self) {
        let bytes = self.core.settings.record_bytes_max();
        if let Some(limiter) = &mut self.core.state.lock().limiter {
            limiter.set_record_bytes_max(bytes);
        }
    }

    pub(crate) fn stop_waiting_for_room(&self, id: WaiterId) {
        self.core.putters.remove(id);
    }

    /// Runs appends under the lock and publishes them; after it, wakes readers and drops what was
    /// trimmed.
    #[inline]
    fn change<R>(&self, change: impl FnOnce(&Core, &mut State) -> R) -> R {
        let core = &*self.core;
        let mut state = core.state.lock();
        let before = state.writer.next();
        let result = change(core, &mut state);
        state.writer.publish(&core.log);
        let wake = state.waiting && state.writer.next() != before;
        if wake || state.writer.has_retired() {
            let leftover = state.take_leftover(wake);
            drop(state);
            leftover.settle(self);
        }
        result
    }

    /// Runs what appends nothing under the lock, and leaves for later what it leaves to be done.
    pub(super) fn look<R>(
        &self,
        aftermath: &mut Aftermath,
        look: impl FnOnce(&Core, &mut State) -> R,
    ) -> R {
        let core = &*self.core;
        let mut state = core.state.lock();
        let result = look(core, &mut state);
        if state.writer.has_retired() {
            aftermath.add(self, state.take_leftover(false));
        }
        result
    }
}

impl State {
    pub(super) fn new(settings: &Settings, created_ms: u64) -> Self {
        let limiter = WriteLimiter::new(&settings.limits, settings.record_bytes_max());
        Self {
            writer: Writer::new(settings.capacity, created_ms),
            closed: false,
            may_refuse: limiter.is_some() || settings.on_full != OnFull::TrimOldest,
            closes_at: None,
            limiter: limiter.map(Box::new),
            waiting: false,
            puts_throttled: 0,
        }
    }

    /// From now on it takes no record, and nobody waits for one.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.may_refuse = true;
        self.waiting = false;
    }

    /// Always inlined: its result, returned through memory as two words and read as one, would stall
    /// each append of a batch (a third of its time).
    #[inline(always)]
    fn append(
        &mut self,
        core: &Core,
        now: Timestamp,
        key: &str,
        payload: &mut Payload<'_, '_>,
    ) -> Result<Appended, Refusal> {
        let cutoff = core.settings.cutoff(now);
        if self.may_refuse {
            self.check_refusal(core, now, cutoff, (key.len(), payload))?;
        }
        let (place, arrival_ms) =
            self.writer
                .append(&core.log, (now.as_millis(), cutoff), key, payload);
        Ok(Appended::new(place, arrival_ms))
    }

    /// Whether the shard is closed or to be closed by now, is full, or has reached its limits. A refused
    /// record takes nothing of them.
    ///
    /// Never inlined: a put that need not ask would have to make room for it all the same.
    #[inline(never)]
    fn check_refusal(
        &mut self,
        core: &Core,
        now: Timestamp,
        cutoff: u64,
        (key_bytes, payload): (usize, &Payload<'_, '_>),
    ) -> Result<(), Refusal> {
        let closed = planted!(self.closed, "put_behind_the_end": false);
        let closes_at = planted!(self.closes_at, "put_behind_its_time": None);
        if closed || closes_at.is_some_and(|at| at <= now) {
            return Err(Refusal::Closed);
        }
        if core.settings.on_full != OnFull::TrimOldest {
            if self.writer.is_full_for(key_bytes, payload) {
                self.writer.trim_expired(&core.log, cutoff);
            }
            if self.writer.is_full_for(key_bytes, payload) {
                return Err(Refusal::Full);
            }
        }
        if let Some(limiter) = &mut self.limiter
            && !limiter.try_take(now.as_millis(), (key_bytes + payload.len()) as u64)
        {
            self.puts_throttled += 1;
            return Err(Refusal::Throttled);
        }
        Ok(())
    }

    /// What is to be done once the lock is released.
    #[cold]
    fn take_leftover(&mut self, wake_readers: bool) -> Leftover {
        self.waiting &= !wake_readers;
        Leftover {
            wake_readers,
            wake_putters: false,
            retired: self.writer.take_retired(),
        }
    }
}
