//! How the hooks of a test get at their stream.

use std::any::Any;

use crate::shard::Shard;
use crate::stream::{Inner, Stream};
use crate::sync::{Arc, PlainWeak};

impl Stream {
    /// Tells the hooks, if there are any, which stream they are of.
    pub(super) fn tell_hooks(&self) {
        if let Some(hooked) = &self.settings().hooked {
            let inner: PlainWeak<Inner> = Arc::downgrade(&self.inner);
            let inner: PlainWeak<dyn Any + Send + Sync> = inner;
            hooked.set_stream(inner);
        }
    }

    /// The stream that a shard with hooks is of, unless it is gone.
    pub(crate) fn of_hooked(shard: &Shard) -> Option<Self> {
        let stream = shard.settings().hooked.as_ref()?.stream()?;
        let inner = stream.downcast().ok()?;
        Some(Self { inner })
    }
}
