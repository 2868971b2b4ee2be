//! Memory that is written while it is shared.

use std::cell::UnsafeCell;
use std::ops::Range;

/// One unit of memory; its address, and those of its neighbours, are asked for without unsafe code.
pub(crate) type Unit = UnsafeCell<u64>;

/// Units of memory. Whoever is about to touch some says which and how, right before, so that a model
/// checker sees each access and finds those that race; otherwise this is a slice.
#[derive(Debug)]
pub(crate) struct Cells {
    units: Box<[Unit]>,
    /// For each unit, who has touched it.
    #[cfg(all(test, loom))]
    watched: Box<[loom::cell::UnsafeCell<()>]>,
}

impl Cells {
    pub(crate) fn new(units: Box<[Unit]>) -> Self {
        Self {
            #[cfg(all(test, loom))]
            watched: units.iter().map(|_| Default::default()).collect(),
            units,
        }
    }

    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.units.len()
    }

    /// Units that are about to be read.
    #[inline]
    #[cfg_attr(all(test, loom), track_caller)]
    pub(crate) fn read(&self, range: Range<usize>) -> &[Unit] {
        #[cfg(all(test, loom))]
        for unit in &self.watched[range.clone()] {
            unit.with(|_| {});
        }
        &self.units[range]
    }

    /// One unit that is about to be read.
    #[inline]
    #[cfg_attr(all(test, loom), track_caller)]
    pub(crate) fn read_one(&self, index: usize) -> &Unit {
        #[cfg(all(test, loom))]
        self.watched[index].with(|_| {});
        &self.units[index]
    }

    /// Units that are about to be written.
    #[inline]
    #[cfg_attr(all(test, loom), track_caller)]
    pub(crate) fn write(&self, range: Range<usize>) -> &[Unit] {
        #[cfg(all(test, loom))]
        for unit in &self.watched[range.clone()] {
            unit.with_mut(|_| {});
        }
        &self.units[range]
    }
}
