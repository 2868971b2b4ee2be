//! What a test does to the calls of a stream: hooks that the engine asks, if there are any.
//!
//! ```text
//!   put_record, put_records, get_records, ...
//!      │ 1. checks of what the caller gave
//!      │ 2. hooks: may reshard, close, trim ──> Verdict
//!      │ 3. the call itself, unless the verdict refuses it
//!      │ 4. time passes, if the answer is to be late
//!      v 5. the answer, unless it is to be lost
//! ```
//!
//! The floor above implements [`Hooks`] and is injected. They are asked with no lock held, by the
//! thread that calls, so they may do to the stream whatever a user may.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Error;
use crate::log::Cursor;
use crate::shard::{Aftermath, RecordBatch, Settings, Shard, Tally};
use crate::sync::{OnceLock, PlainArc, PlainWeak};

/// What is asked before each call.
pub(crate) trait Hooks: fmt::Debug + Send + Sync {
    /// Before one record is put into a shard.
    fn put_record(&self, shard: &Shard, partition_key: &str) -> Verdict;

    /// Before records are put together, each with its shard and its key. There is at least one. A
    /// verdict on the call, and one on each record.
    fn put_records(&self, records: &[(&Shard, &str)]) -> (Verdict, Vec<Verdict>);

    /// Before an iterator is made.
    fn get_shard_iterator(&self, shard: &Shard) -> Verdict;

    /// Before a shard is read.
    fn get_records(&self, shard: &Shard) -> Verdict;

    /// Before a reader waits for records: of this shard, or of `all` shards of its stream.
    fn wait(&self, shard: &Shard, all: bool) -> Verdict;

    /// Lets time pass before an answer is given.
    fn delay(&self, clock: &dyn Clock, delay: Duration);
}

/// What is to become of a call.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Verdict {
    /// Refuses the call before it does anything.
    pub(crate) refusal: Option<Error>,
    /// Takes the place of the answer of a call that was carried out.
    pub(crate) instead: Option<Error>,
    /// How late the answer is.
    pub(crate) delay: Duration,
}

/// The hooks of a stream, and the stream.
#[derive(Debug)]
pub(crate) struct Hooked {
    pub(crate) hooks: PlainArc<dyn Hooks>,
    /// What the stream above knows itself by.
    stream: OnceLock<PlainWeak<dyn Any + Send + Sync>>,
}

impl Settings {
    pub(crate) fn with_hooks(mut self, hooks: Option<PlainArc<dyn Hooks>>) -> Self {
        self.hooked = hooks.map(|hooks| Hooked {
            hooks,
            stream: OnceLock::new(),
        });
        self
    }
}

impl Hooked {
    /// Is told which stream it is of, once.
    pub(crate) fn set_stream(&self, stream: PlainWeak<dyn Any + Send + Sync>) {
        let set = self.stream.set(stream);
        assert!(set.is_ok(), "settings are of one stream");
    }

    /// The stream, unless it is gone.
    pub(crate) fn stream(&self) -> Option<PlainArc<dyn Any + Send + Sync>> {
        self.stream.get()?.upgrade()
    }

    /// Carries out a call as the verdict on it says.
    pub(crate) fn carry_out<T>(
        &self,
        clock: &dyn Clock,
        verdict: Verdict,
        call: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let answer = verdict.refusal.map_or_else(call, Err);
        if !verdict.delay.is_zero() {
            self.hooks.delay(clock, verdict.delay);
        }
        verdict.instead.map_or(answer, Err)
    }

    pub(super) fn get_shard_iterator(
        &self,
        shard: &Shard,
        call: impl FnOnce() -> Result<Cursor, Error>,
    ) -> Result<Cursor, Error> {
        let verdict = self.hooks.get_shard_iterator(shard);
        self.carry_out(&*shard.settings().clock, verdict, call)
    }
}

impl Shard {
    /// Reads as [`read`](Self::read) does, if the hooks let it. An answer that is lost moves no cursor.
    pub(super) fn read_hooked(
        &self,
        hooked: &Hooked,
        cursor: &mut Cursor,
        limit: usize,
        tally: &mut Tally,
    ) -> Result<RecordBatch, Error> {
        let core = &*self.core;
        let verdict = hooked.hooks.get_records(self);
        let mut at = *cursor;
        let batch = hooked.carry_out(&*core.settings.clock, verdict, || {
            // The hooks may have deleted the stream, or closed the shard, or let time pass.
            core.settings.settle()?;
            let closing = core.closing.get();
            self.read_at(core.settings.now(), (&mut at, limit), closing, tally)
        })?;
        *cursor = at;
        Ok(batch)
    }

    /// Asks the hooks, if there are any, before a reader of this shard waits.
    pub(crate) fn before_wait(&self) -> Result<(), Error> {
        self.ask_before_wait(false)
    }

    /// Asks the hooks, if there are any, before a reader of all shards of the stream waits.
    pub(crate) fn before_wait_for_all(&self) -> Result<(), Error> {
        self.ask_before_wait(true)
    }

    fn ask_before_wait(&self, all: bool) -> Result<(), Error> {
        let Some(hooked) = &self.settings().hooked else {
            return Ok(());
        };
        let verdict = hooked.hooks.wait(self, all);
        hooked.carry_out(&*self.settings().clock, verdict, || Ok(()))
    }

    /// Trims all records but the newest `kept`.
    pub(crate) fn trim_to_newest(&self, kept: u64, aftermath: &mut Aftermath) {
        self.look(aftermath, |core, state| {
            let place = state.writer.next().saturating_sub(kept);
            state.writer.trim_before(&core.log, place);
        });
    }
}
