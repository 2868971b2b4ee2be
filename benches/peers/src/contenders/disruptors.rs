//! The disruptor: a ring of slots that producers overwrite in place, once all readers are past.

use std::ops::Range;

use disruptor::{
    BusySpin, EventPoller, MultiProducer, MultiProducerBarrier, Producer, SingleConsumerBarrier,
    SingleProducerBarrier, build_multi_producer, build_single_producer,
};

use crate::contenders::{Carries, Sink, Source};
use crate::records::{Message, Records, Tally};

pub const CARRIES: Carries = Carries(".MBS...");

#[derive(Debug, Clone)]
pub struct DisruptorSink<P>(P);
pub struct DisruptorSource<B>(EventPoller<Message, B>);

pub type Single = DisruptorSource<SingleProducerBarrier>;
pub type Multi = DisruptorSource<MultiProducerBarrier>;

/// One producer, one reader.
pub fn single(capacity: usize) -> (impl Sink, Single) {
    let builder = build_single_producer(capacity, Message::default, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    (DisruptorSink(builder.build()), DisruptorSource(poller))
}

/// One producer, three readers that see all.
pub fn single_with_three_readers(capacity: usize) -> (impl Sink, Vec<Single>) {
    let builder = build_single_producer(capacity, Message::default, BusySpin);
    let (first, builder) = builder.new_event_poller();
    let (second, builder) = builder.new_event_poller();
    let (third, builder) = builder.new_event_poller();
    let sources = [first, second, third].map(DisruptorSource);
    (DisruptorSink(builder.build()), sources.into())
}

/// Several producers (clone the sink), one reader.
pub fn multi(
    capacity: usize,
) -> (
    DisruptorSink<MultiProducer<Message, SingleConsumerBarrier>>,
    Multi,
) {
    let builder = build_multi_producer(capacity, Message::default, BusySpin);
    let (poller, builder) = builder.new_event_poller();
    (DisruptorSink(builder.build()), DisruptorSource(poller))
}

impl<P: Producer<Message> + Send> Sink for DisruptorSink<P> {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        let mut backoff = super::Backoff::default();
        while self
            .0
            .try_publish(|slot| *slot = records.message(index))
            .is_err()
        {
            backoff.snooze();
        }
    }

    fn put_batch(&mut self, records: &Records, indices: Range<usize>) {
        let mut backoff = super::Backoff::default();
        while self
            .0
            .try_batch_publish(indices.len(), |slots| {
                for (slot, index) in slots.zip(indices.clone()) {
                    *slot = records.message(index);
                }
            })
            .is_err()
        {
            backoff.snooze();
        }
    }
}

impl Source for Single {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let Ok(mut messages) = self.0.poll() else {
            return false;
        };
        for message in &mut messages {
            tally.see_message(message);
        }
        true
    }
}

impl Source for Multi {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let Ok(mut messages) = self.0.poll() else {
            return false;
        };
        for message in &mut messages {
            tally.see_message(message);
        }
        true
    }
}
