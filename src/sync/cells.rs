//! Memory that is written while it is shared.

use std::cell::UnsafeCell;
use std::ops::Range;

/// One unit of memory; its address, and those of its neighbours, are asked for without unsafe code.
pub(crate) type Unit = UnsafeCell<u64>;

/// Units of memory. Whoever is about to touch some says which and how, right before, so that a model
/// checker sees each access and finds those that race, and that other threads may get their turn
/// between two of them in a random schedule; otherwise this is a slice.
#[derive(Debug)]
pub(crate) struct Cells {
    units: Box<[Unit]>,
    /// For each unit, who has touched it.
    #[cfg(all(test, loom))]
    watched: Box<[loom::cell::UnsafeCell<()>]>,
    #[cfg(all(test, shuttle))]
    turns: crate::sync::AtomicBool,
}

impl Cells {
    pub(crate) fn new(units: Box<[Unit]>) -> Self {
        Self {
            #[cfg(all(test, loom))]
            watched: units.iter().map(|_| Default::default()).collect(),
            #[cfg(all(test, shuttle))]
            turns: Default::default(),
            units,
        }
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.units.len()
    }

    /// Where the units begin.
    #[inline]
    pub(crate) const fn as_ptr(&self) -> *const Unit {
        self.units.as_ptr()
    }

    /// Units that are about to be read.
    #[inline]
    #[cfg_attr(all(test, loom), track_caller)]
    pub(crate) fn read(&self, range: Range<usize>) -> &[Unit] {
        self.note_read(range.clone());
        &self.units[range]
    }

    /// Says of units that are at hand that they are about to be read.
    #[inline]
    #[cfg_attr(all(test, loom), track_caller)]
    pub(crate) fn note_read(&self, range: Range<usize>) {
        self.let_others_run();
        #[cfg(all(test, loom))]
        for unit in &self.watched[range] {
            unit.with(|_| {});
        }
        #[cfg(not(all(test, loom)))]
        let _nobody_watches = range;
    }

    /// Units that are about to be written.
    #[inline]
    #[cfg_attr(all(test, loom), track_caller)]
    pub(crate) fn write(&self, range: Range<usize>) -> &[Unit] {
        self.let_others_run();
        #[cfg(all(test, loom))]
        for unit in &self.watched[range.clone()] {
            unit.with_mut(|_| {});
        }
        &self.units[range]
    }

    /// In a random schedule another thread may get its turn before each access, and so after each
    /// but the last; behind that comes a store or a lock, where one may, too. Looking at an atomic
    /// does that; a yield would tell the scheduler that this thread has nothing to do.
    #[inline]
    fn let_others_run(&self) {
        #[cfg(all(test, shuttle))]
        self.turns.load(crate::sync::Ordering::Relaxed);
    }
}
