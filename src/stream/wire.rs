//! What the wire protocol asks of a stream, and no other user.

use crate::error::Error;
use crate::extension::Extension;
use crate::shard::Shard;
use crate::stream::routes::Routes;
use crate::stream::routing::Taking;
use crate::stream::status::Phase;
use crate::stream::{Stream, StreamStatus};

impl Shard {
    /// The name of the stream that it is of.
    pub(crate) fn stream_name(&self) -> &str {
        &self.settings().stream
    }
}

impl Stream {
    /// What the protocol knows of the stream.
    pub(crate) fn extension(&self) -> &Extension {
        &self.settings().extension
    }

    /// Whether records are taken, as far as is known without looking at the clock.
    pub(crate) fn is_taking_records(&self) -> bool {
        let taking = match self.wire_routes().seen(self) {
            Some(routing) => routing.taking,
            None => self.inner.routing.lock().taking,
        };
        taking == Taking::Records
    }

    /// The routing tables that the protocol has seen.
    pub(crate) fn wire_routes(&self) -> &Routes {
        self.inner.wire_routes.get_or_init(|| Routes::new(self))
    }

    /// Has the stream UPDATING for as long as changes of its registry last.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub(crate) fn begin_update(&self) -> Result<(), Error> {
        let now = self.settings().now();
        let mut held = self.active(now)?;
        let delay = self.inner.delay.duration;
        held.control.phase = Phase::begin(StreamStatus::Updating, now, delay);
        Ok(())
    }

    /// Whether the stream can be changed.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotActive`] or [`Error::StreamNotFound`].
    pub(crate) fn check_active(&self) -> Result<(), Error> {
        self.active(self.settings().now()).map(drop)
    }
}
