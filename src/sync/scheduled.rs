//! The primitives of the scheduler that runs threads in random orders, in the shape of the real ones.
//!
//! Each access to an atomic or a lock is a place where another thread may get its turn. All orderings
//! are as the strongest one: what a weaker one allows is for the model checker to find.

pub(crate) use shuttle::sync::Arc;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
pub(crate) use shuttle::thread::yield_now;
pub(crate) use shuttle::thread_local;

pub(super) use shuttle::sync as locks;

/// Nothing: whoever is waited for gets its turn in any case.
pub(crate) const fn spin_loop() {}

/// The value, if this is its last holder; of several who ask at once, one is given it.
pub(crate) fn into_inner<T>(value: Arc<T>) -> Option<T> {
    Arc::into_inner(value)
}
