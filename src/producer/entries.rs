//! The entries of one `put_records`, where they were made.

use std::mem::{ManuallyDrop, take};
use std::ops::Deref;

use crate::put_entry::PutEntry;

/// Entries that own nothing, as most do, are given back as a whole: asking each what it has to drop is a
/// sixth of a batch.
#[derive(Default)]
pub(super) struct Entries<'a> {
    entries: Vec<ManuallyDrop<PutEntry<'a>>>,
    /// Whether it was found that none owns anything.
    own_nothing: bool,
}

impl<'a> Entries<'a> {
    /// Gathers entries. What they own is dropped with them, also if making one of them panics.
    pub(super) fn gather(entries: impl Iterator<Item = PutEntry<'a>>) -> Self {
        let mut gathered = Self::default();
        gathered.entries.extend(entries.map(ManuallyDrop::new));
        gathered
    }

    /// None of them owns anything: none has to be dropped.
    pub(super) fn own_nothing(&mut self) {
        debug_assert!(self.entries.iter().all(|entry| entry.owns_nothing()));
        self.own_nothing = true;
    }

    pub(super) fn get_mut(&mut self, index: u32) -> &mut PutEntry<'a> {
        &mut self.entries[index as usize]
    }

    /// The entries, to be taken apart.
    #[cfg(feature = "testing")]
    pub(super) fn into_vec(mut self) -> Vec<PutEntry<'a>> {
        let entries = take(&mut self.entries).into_iter();
        entries.map(ManuallyDrop::into_inner).collect()
    }
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
            let entries = take(&mut self.entries).into_iter();
            drop(entries.map(ManuallyDrop::into_inner).collect::<Vec<_>>());
        }
    }
}
