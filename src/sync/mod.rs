//! The primitives of concurrency, in one place, so that a model checker can stand in for them.
//!
//! Nothing else in the crate names `std::sync`, `std::thread`, `UnsafeCell` or `parking_lot`.
//!
//! # Models
//!
//! The crate's own tests, built with `--cfg loom`, get the primitives of [loom](https://docs.rs/loom)
//! instead: with these it runs a model (`src/models`) in every order that could make a difference.
//! `tests/README.md` says how. A program that uses this crate and is built with `--cfg loom` itself
//! gets the real ones.

use std::{io, thread};

mod cells;
#[cfg(all(test, loom))]
mod modelled;
#[cfg(not(all(test, loom)))]
mod real;

pub(crate) use cells::{Cells, Unit};
#[cfg(all(test, loom))]
pub(crate) use modelled::*;
#[cfg(not(all(test, loom)))]
pub(crate) use real::*;

/// Never modelled: counts references to what a model's [`Arc`] cannot hold, that is trait objects,
/// text and wakers.
pub(crate) use std::sync::Arc as PlainArc;
/// Never modelled: made once a process, and no part of what a model looks at.
pub(crate) use std::sync::LazyLock;
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::thread::panicking;

/// Starts a thread that nobody waits for. What it runs ends by itself. Never modelled.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
    drop(thread);
    Ok(())
}

/// How many threads can run at the same time. Never modelled.
#[cfg(feature = "server")]
pub(crate) fn core_count() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
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
