//! The primitives of concurrency, in one place, so that a model checker can stand in for them.
//!
//! Nothing else in the crate names `std::sync`, `std::thread` or `parking_lot`.

use std::{io, thread};

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, LazyLock, OnceLock};
pub(crate) use std::thread::{panicking, yield_now};

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

/// Starts a thread that nobody waits for. What it runs ends by itself.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
    drop(thread);
    Ok(())
}

/// A value on cache lines of its own, so that a neighbour's writes do not slow its readers.
///
/// 128 bytes, because the prefetcher of current x86-64 processors fetches lines in pairs and some
/// Arm processors have lines of that size.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct OwnLine<T>(pub(crate) T);

impl<T> std::ops::Deref for OwnLine<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
