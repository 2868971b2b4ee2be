//! What is left to be done after a change to a shard.

use crate::call_out::CallOuts;
use crate::log::{Chunk, clean};
use crate::shard::Shard;
use crate::sync::Arc;

/// What changes to shards leave to be done when no lock is held, because it runs user code:
/// readers and puts to be woken, data to be dropped. It is done when this is dropped.
#[derive(Default)]
#[must_use = "it has to be dropped after the locks are released"]
pub(crate) struct Aftermath {
    shards: Vec<(Shard, Leftover)>,
}

/// What one change leaves.
pub(super) struct Leftover {
    pub(super) wake_readers: bool,
    pub(super) wake_putters: bool,
    /// Trimmed chunks with data to be dropped.
    pub(super) retired: Vec<Arc<Chunk>>,
}

impl Aftermath {
    pub(super) fn add(&mut self, shard: &Shard, leftover: Leftover) {
        self.shards.push((shard.clone(), leftover));
    }

    /// Has all who wait for a shard look at what has changed.
    ///
    /// The shard's lock was taken since the change: whoever is about to wait has looked either
    /// before, and is registered, or after it.
    pub(crate) fn wake(&mut self, shard: &Shard) {
        let leftover = Leftover {
            wake_readers: true,
            wake_putters: true,
            retired: Vec::new(),
        };
        self.add(shard, leftover);
    }
}

impl Drop for Aftermath {
    fn drop(&mut self) {
        let mut calls = CallOuts::default();
        for (shard, leftover) in self.shards.drain(..) {
            calls.run(|| leftover.settle(&shard));
            calls.run(|| drop(shard));
        }
        calls.finish();
    }
}

impl Leftover {
    /// Does it; no lock may be held.
    #[cold]
    pub(super) fn settle(self, shard: &Shard) {
        let mut calls = CallOuts::default();
        if self.wake_readers {
            calls.run(|| shard.core.readers.wake_all());
        }
        if self.wake_putters {
            calls.run(|| shard.core.putters.wake_all());
        }
        for chunk in self.retired {
            calls.run(|| {
                if let Some(spare) = clean(chunk) {
                    shard.core.state.lock().writer.offer_spare(spare);
                }
            });
        }
        calls.finish();
    }
}
