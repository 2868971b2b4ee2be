//! The primitives of concurrency, in one place, so that a model checker can stand in for them.
//!
//! Nothing else in the crate names `std::sync`, `std::thread`, `UnsafeCell`, `parking_lot` or `spin`.
//!
//! # Models and schedules
//!
//! The crate's own tests, built with `--cfg loom`, get the primitives of [loom](https://docs.rs/loom)
//! instead: with these it runs a model (`src/models`) in every order that could make a difference.
//! Built with `--cfg shuttle`, they get those of [shuttle](https://docs.rs/shuttle), which runs larger
//! scenarios (`src/schedules`) in random orders. A program that uses this crate and is built with one of
//! these itself gets the real ones. With `--cfg brooklet_tsan` a few are replaced of which
//! ThreadSanitizer knows too little. `tests/README.md` says how.

use std::{io, thread};

#[cfg(not(all(test, any(loom, shuttle))))]
mod brief;
mod cells;
#[cfg(all(test, loom))]
mod modelled;
#[cfg(any(brooklet_tsan, all(test, any(loom, shuttle))))]
mod once;
#[cfg(not(all(test, any(loom, shuttle))))]
mod real;
#[cfg(all(test, shuttle))]
mod scheduled;
#[cfg(all(test, any(loom, shuttle)))]
mod shaped;
mod weak;

#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use brief::BriefMutex;
pub(crate) use cells::{Cells, Unit};
#[cfg(all(test, loom))]
pub(crate) use modelled::*;
#[cfg(any(brooklet_tsan, all(test, any(loom, shuttle))))]
pub(crate) use once::*;
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use real::*;
#[cfg(all(test, shuttle))]
pub(crate) use scheduled::*;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use shaped::*;
pub(crate) use weak::{Weak, downgrade};

/// Whether a checker stands in. Sizes and patience are small then, so that it comes to what happens
/// when something is full, or somebody has to wait.
pub(crate) const MODELLED: bool = cfg!(all(test, any(loom, shuttle)));

/// Never modelled: counts references to what a model's [`Arc`] cannot hold, that is trait objects,
/// text and wakers.
pub(crate) use std::sync::Arc as PlainArc;
/// Never modelled: made once a process, and no part of what a model looks at.
pub(crate) use std::sync::LazyLock;
/// Never modelled: the other form of a value that one thread has, made when it is asked for.
pub(crate) use std::sync::OnceLock as PlainOnceLock;
/// Never modelled: what the hooks of tests know their stream by.
#[cfg(feature = "testing")]
pub(crate) use std::sync::Weak as PlainWeak;
/// Never modelled: what is found out once a process, of the processor and not of the program.
pub(crate) use std::sync::atomic::AtomicU64 as PlainAtomicU64;
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
