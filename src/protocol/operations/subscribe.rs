//! `SubscribeToShard`: records pushed as they come.

/// Ends a subscription from outside.
#[derive(Debug, Default)]
pub(crate) struct Ending;
