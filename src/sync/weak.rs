//! Handles that keep nothing alive.

#[cfg(any(brooklet_tsan, all(test, loom)))]
use std::marker::PhantomData;

use crate::sync::Arc;

#[cfg(not(any(brooklet_tsan, all(test, loom))))]
pub(crate) use std::sync::Weak;

/// The handles of these builds know of no others, so it is as if all that it could be of were gone.
#[cfg(any(brooklet_tsan, all(test, loom)))]
#[derive(Debug)]
pub(crate) struct Weak<T>(PhantomData<fn() -> T>);

#[cfg(any(brooklet_tsan, all(test, loom)))]
impl<T> Weak<T> {
    pub(crate) const fn upgrade(&self) -> Option<Arc<T>> {
        None
    }
}

/// A handle of the same that does not keep it alive.
#[cfg(not(any(brooklet_tsan, all(test, loom))))]
pub(crate) fn downgrade<T>(of: &Arc<T>) -> Weak<T> {
    Arc::downgrade(of)
}

/// A handle that does not keep it alive, and is of no use.
#[cfg(any(brooklet_tsan, all(test, loom)))]
pub(crate) fn downgrade<T>(_of: &Arc<T>) -> Weak<T> {
    Weak(PhantomData)
}
