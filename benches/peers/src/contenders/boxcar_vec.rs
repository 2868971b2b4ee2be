//! boxcar: a vector that grows without a lock. It never forgets a record, so it runs only where
//! rounds are small or nothing is appended.

use std::sync::Arc;

use crate::contenders::{Carries, Sink, Source};
use crate::records::{Message, Records, Tally};

pub const CARRIES: Carries = Carries("RM.S...");

pub struct BoxcarSink(Arc<boxcar::Vec<Message>>);
pub struct BoxcarSource {
    vec: Arc<boxcar::Vec<Message>>,
    next: usize,
}

pub fn boxcar(capacity: usize) -> (BoxcarSink, BoxcarSource) {
    let vec = Arc::new(boxcar::Vec::with_capacity(capacity));
    let source = BoxcarSource {
        vec: Arc::clone(&vec),
        next: 0,
    };
    (BoxcarSink(vec), source)
}

impl BoxcarSource {
    /// Begins at the first record again.
    pub fn rewind(&mut self) {
        self.next = 0;
    }
}

impl Sink for BoxcarSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        self.0.push(records.message(index));
    }
}

impl Source for BoxcarSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let before = self.next;
        while let Some(message) = self.vec.get(self.next) {
            tally.see_message(message);
            self.next += 1;
        }
        self.next > before
    }
}
