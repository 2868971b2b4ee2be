//! The primitives as they are.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
#[cfg(not(brooklet_tsan))]
pub(crate) use std::sync::{Arc, OnceLock};
pub(crate) use std::thread::yield_now;
pub(crate) use std::thread_local;

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

/// ThreadSanitizer sees what happens in code that was compiled for it, which the standard library was
/// not; nor does it know fences, by which the last `Arc` of that waits for the others.
#[cfg(brooklet_tsan)]
pub(crate) use servo_arc::Arc;

/// The value, if this is its last holder; of several who ask at once, one is given it.
#[inline]
pub(crate) fn into_inner<T>(value: Arc<T>) -> Option<T> {
    #[cfg(not(brooklet_tsan))]
    return Arc::into_inner(value);
    // It gives nobody its value: the last one drops it.
    #[cfg(brooklet_tsan)]
    return {
        drop(value);
        None
    };
}
