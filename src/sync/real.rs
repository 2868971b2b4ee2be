//! The primitives as they are.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
pub(crate) use std::sync::{Arc, OnceLock};
pub(crate) use std::thread::yield_now;
pub(crate) use std::thread_local;

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

/// The value, if this is its last holder; of several who ask at once, one is given it.
#[inline]
pub(crate) fn into_inner<T>(value: Arc<T>) -> Option<T> {
    Arc::into_inner(value)
}
