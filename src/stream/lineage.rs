//! A shard and the shards that came of it.

use crate::shard::Shard;
use crate::sync::{Arc, OnceLock, into_inner};

/// A shard and, once it was split or merged, its children, and theirs.
///
/// Whoever holds it finds all that came of the shard, even what has expired and been forgotten: a
/// subscription goes on from there. Only the stream, for as long as a shard has not expired, and
/// subscriptions hold one; a shard itself does not know its children, so that an old handle of a
/// shard, or a routing table, keeps no generations alive.
#[derive(Debug)]
pub(crate) struct Lineage {
    pub(crate) shard: Shard,
    children: OnceLock<Vec<Arc<Self>>>,
}

impl Lineage {
    pub(crate) fn new(shard: Shard) -> Arc<Self> {
        Arc::new(Self {
            shard,
            children: OnceLock::new(),
        })
    }

    /// Tells what the shard was split or merged into; before it shows as closed.
    pub(crate) fn set_children(&self, children: Vec<Arc<Self>>) {
        self.children
            .set(children)
            .expect("a shard is split or merged once");
    }

    pub(crate) fn children(&self) -> &[Arc<Self>] {
        self.children.get().map_or(&[], Vec::as_slice)
    }
}

impl Drop for Lineage {
    /// Drops generation after generation, rather than each within the one before it: there may be
    /// more of them than the stack has room for.
    fn drop(&mut self) {
        let mut left = self.children.take().unwrap_or_default();
        while let Some(next) = left.pop() {
            if let Some(mut lineage) = into_inner(next) {
                left.extend(lineage.children.take().into_iter().flatten());
            }
        }
    }
}
