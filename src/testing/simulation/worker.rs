//! What a consumer can do to the world: change its store, and keep its place.

use std::fmt;

use crate::clock::Timestamp;
use crate::testing::simulation::guard::{Leave, leave};
use crate::testing::simulation::run::Place;
use crate::testing::simulation::step::Cut;

/// The world of a simulation, as its workers see it.
pub(super) trait World<S> {
    fn store(&self) -> &S;
    fn store_mut(&mut self) -> &mut S;
    fn now(&self) -> Timestamp;
    /// Whether another worker has taken over from the one of this generation.
    fn is_replaced(&self, generation: u64) -> bool;
    /// Keeps a place.
    fn keep(&mut self, place: &Place);
    /// Has the next steps of the schedule happen now; `false` if the run is over with them.
    fn pause(&mut self, steps: u32) -> bool;
    /// Adds to the story.
    fn say(&mut self, what: &dyn Fn() -> String);
}

/// The worker that a [`Consumer`](crate::testing::Consumer) runs in, and its way to what survives a
/// crash: the store, and the place that is kept.
///
/// Each [`write`](Self::write), [`checkpoint`](Self::checkpoint) and [`commit`](Self::commit) happens as
/// a whole or not at all. Between any two of them the worker may crash, or stand still while others
/// go on.
pub struct Worker<'a, S> {
    pub(super) world: &'a mut (dyn World<S> + 'a),
    pub(super) call: Call,
    pub(super) place: &'a Place,
}

/// One call of a consumer.
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) generation: u64,
    pub(super) cut: Option<Cut>,
    pub(super) effects: u32,
    pub(super) crashed: bool,
}

impl<S> Worker<'_, S> {
    /// What the store holds now.
    pub fn store(&self) -> &S {
        self.world.store()
    }

    /// Changes the store, in one go: as one transaction of a database, or one request.
    pub fn write<R>(&mut self, change: impl FnOnce(&mut S) -> R) -> R {
        self.effect("writes");
        let result = change(self.world.store_mut());
        self.world.say(&|| "it writes".to_owned());
        result
    }

    /// Keeps the place after everything that [`process`](crate::testing::Consumer::process) was given up
    /// to now, this batch included: a restart goes on there.
    ///
    /// Whether it was kept: it is not if another worker has taken over.
    pub fn checkpoint(&mut self) -> bool {
        self.effect("keeps its place");
        self.keep()
    }

    /// Changes the store and keeps the place in one go, or does neither if another worker has taken
    /// over: as where both are in one database. Whether it was done.
    pub fn commit(&mut self, change: impl FnOnce(&mut S)) -> bool {
        self.effect("commits");
        if !self.keep() {
            return false;
        }
        change(self.world.store_mut());
        self.world.say(&|| "it writes in the same go".to_owned());
        true
    }

    /// The number of the worker, counted from 1.
    pub const fn number(&self) -> u32 {
        self.call.number
    }

    /// Counts the starts of workers: whoever started later has a greater one. A store that remembers
    /// the greatest can refuse a worker that was replaced.
    pub const fn generation(&self) -> u64 {
        self.call.generation
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn keep(&mut self) -> bool {
        if self.world.is_replaced(self.call.generation) {
            self.world
                .say(&|| "its place is not kept: another worker has taken over".to_owned());
            return false;
        }
        self.world.keep(self.place);
        let place = self.place;
        self.world.say(&|| format!("it keeps its place: {place}"));
        true
    }

    /// Called before each effect: this may be where the worker crashes or stands still.
    fn effect(&mut self, what: &str) {
        let Call { cut, effects, .. } = self.call;
        match cut {
            Some(Cut::Crash { after }) if effects >= after => {
                if !self.call.crashed {
                    self.world.say(&|| format!("it crashes before it {what}"));
                }
                self.call.crashed = true;
                leave(Leave::Crash);
            }
            Some(Cut::Pause { after, steps }) if effects == after => {
                self.call.cut = None;
                self.world
                    .say(&|| format!("it stands still before it {what}; meanwhile:"));
                if !self.world.pause(steps) {
                    leave(Leave::Over);
                }
                let number = self.call.number;
                self.world.say(&|| format!("worker {number} goes on"));
            }
            _ => {}
        }
        self.call.effects = effects.saturating_add(1);
    }
}

impl<S> fmt::Debug for Worker<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("number", &self.call.number)
            .field("generation", &self.call.generation)
            .finish_non_exhaustive()
    }
}
