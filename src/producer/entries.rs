//! The entries of one `put_records`, where they were made.

use std::mem::{ManuallyDrop, forget, take};
use std::ops::Deref;

use crate::put_entry::PutEntry;

/// Entries that own nothing, as most do, are given back as a whole: asking each what it has to drop is a
/// sixth of a batch.
pub(super) struct Entries<'a> {
    entries: Vec<ManuallyDrop<PutEntry<'a>>>,
    /// Whether it was found that none owns anything.
    own_nothing: bool,
}

/// Drops what was gathered, should making the next one panic.
struct Gathering<'v, 'a>(&'v mut Vec<ManuallyDrop<PutEntry<'a>>>);

impl<'a> Entries<'a> {
    /// Made where they stay: moved there as a whole, each would have to wait until it was written (a
    /// sixth of a batch).
    pub(super) fn gather(entries: impl Iterator<Item = PutEntry<'a>>) -> Self {
        let entries = entries.map(ManuallyDrop::new);
        let mut gathered = Vec::with_capacity(entries.size_hint().0);
        let gathering = Gathering(&mut gathered);
        gathering.0.extend(entries);
        forget(gathering);
        Self {
            entries: gathered,
            own_nothing: false,
        }
    }

    /// None of them owns anything: none has to be dropped.
    pub(super) fn own_nothing(&mut self) {
        self.own_nothing = true;
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut PutEntry<'a> {
        &mut self.entries[index as usize]
    }

    /// The entries, to be taken apart.
    #[cfg(feature = "testing")]
    pub(super) fn into_vec(mut self) -> Vec<PutEntry<'a>> {
        owning(take(&mut self.entries))
    }
}

/// The same entries, which drop what they own.
fn owning<'a>(entries: Vec<ManuallyDrop<PutEntry<'a>>>) -> Vec<PutEntry<'a>> {
    entries.into_iter().map(ManuallyDrop::into_inner).collect()
}

impl<'a> Deref for Entries<'a> {
    type Target = [ManuallyDrop<PutEntry<'a>>];

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl Drop for Entries<'_> {
    fn drop(&mut self) {
        if !self.own_nothing {
            drop(owning(take(&mut self.entries)));
        }
    }
}

impl Drop for Gathering<'_, '_> {
    fn drop(&mut self) {
        drop(owning(take(self.0)));
    }
}
