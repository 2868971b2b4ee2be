//! rtrb: a wait-free ring for one producer and one reader; the limit of what moving records costs.

use std::hint::black_box;
use std::ops::Range;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use crate::contenders::{Carries, Sink, Source, insist};
use crate::records::{Message, Records, Tally};

pub const CARRIES: Carries = Carries("..B....");

#[derive(Debug)]
pub struct RtrbSink(Producer<Message>);
#[derive(Debug)]
pub struct RtrbSource(Consumer<Message>);
/// Takes all that is there at once.
#[derive(Debug)]
pub struct RtrbChunks(pub RtrbSource);

pub fn rtrb(capacity: usize) -> (RtrbSink, RtrbSource) {
    let (producer, consumer) = RingBuffer::new(capacity);
    (RtrbSink(producer), RtrbSource(consumer))
}

impl Sink for RtrbSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        insist(records.message(index), |message| {
            self.0
                .push(message)
                .map_err(|PushError::Full(message)| message)
        });
    }

    fn put_batch(&mut self, records: &Records, indices: Range<usize>) {
        let mut backoff = super::Backoff::default();
        loop {
            if let Ok(chunk) = self.0.write_chunk_uninit(indices.len()) {
                chunk.fill_from_iter(indices.map(|index| records.message(index)));
                return;
            }
            backoff.snooze();
        }
    }
}

impl Source for RtrbSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        match self.0.pop() {
            Ok(message) => tally.see_message(&black_box(message)),
            Err(_) => return false,
        }
        true
    }
}

impl Source for RtrbChunks {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let consumer = &mut self.0.0;
        match consumer.slots() {
            0 => false,
            slots => {
                let chunk = consumer.read_chunk(slots).expect("they are there");
                for message in chunk {
                    tally.see_message(&black_box(message));
                }
                true
            }
        }
    }
}
