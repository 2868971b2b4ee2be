//! Broadcast channels: every reader that is there sees every record, once.

use std::hint::black_box;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::contenders::{Carries, Sink, Source, Wait, insist};
use crate::records::{Message, Records, Tally};

pub const CARRIES: Carries = Carries(".MB...W");

#[derive(Debug, Clone)]
pub struct TokioSink(broadcast::Sender<Message>);
#[derive(Debug)]
pub struct TokioSource(broadcast::Receiver<Message>);

/// Overwrites the oldest record when it is full: readers may miss some.
pub fn tokio(capacity: usize, readers: usize) -> (TokioSink, Vec<TokioSource>) {
    let (sender, _) = broadcast::channel(capacity);
    let sources = (0..readers).map(|_| TokioSource(sender.subscribe()));
    let sources = sources.collect();
    (TokioSink(sender), sources)
}

/// The sink and its only source.
pub fn first<S, R>((sink, mut sources): (S, Vec<R>)) -> (S, R) {
    (sink, sources.remove(0))
}

impl Sink for TokioSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        let sent = self.0.send(records.message(index));
        black_box(sent.is_ok());
    }
}

impl Source for TokioSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        match self.0.try_recv() {
            Ok(message) => tally.see_message(&black_box(message)),
            Err(TryRecvError::Lagged(count)) => tally.missed += count,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return false,
        }
        true
    }
}

impl Wait for TokioSource {
    fn wait(&mut self, tally: &mut Tally) {
        see_received(tally, self.0.blocking_recv());
    }
}

/// tokio's channel as a future.
#[derive(Debug)]
pub struct TokioAsync(pub TokioSource);

impl Source for TokioAsync {
    fn take(&mut self, tally: &mut Tally) -> bool {
        self.0.take(tally)
    }
}

impl Wait for TokioAsync {
    fn wait(&mut self, tally: &mut Tally) {
        see_received(tally, futures_executor::block_on(self.0.0.recv()));
    }
}

fn see_received(tally: &mut Tally, received: Result<Message, RecvError>) {
    match received {
        Ok(message) => tally.see_message(&black_box(message)),
        Err(RecvError::Lagged(count)) => tally.missed += count,
        Err(RecvError::Closed) => panic!("the sender is gone"),
    }
}

#[derive(Debug)]
pub struct AsyncSink(async_broadcast::Sender<Message>);
#[derive(Debug)]
pub struct AsyncSource(async_broadcast::Receiver<Message>);

/// With `overflow` it drops the oldest record when it is full; without, it makes the sender wait.
pub fn async_broadcast(
    capacity: usize,
    readers: usize,
    overflow: bool,
) -> (AsyncSink, Vec<AsyncSource>) {
    let (mut sender, receiver) = async_broadcast::broadcast(capacity);
    sender.set_overflow(overflow);
    let mut sources: Vec<_> = (1..readers)
        .map(|_| AsyncSource(receiver.new_receiver()))
        .collect();
    sources.push(AsyncSource(receiver));
    (AsyncSink(sender), sources)
}

impl Sink for AsyncSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        insist(records.message(index), |message| {
            match self.0.try_broadcast(message) {
                Ok(dropped) => {
                    drop(dropped);
                    Ok(())
                }
                Err(error) => Err(error.into_inner()),
            }
        });
    }
}

impl Source for AsyncSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        match self.0.try_recv() {
            Ok(message) => tally.see_message(&black_box(message)),
            Err(async_broadcast::TryRecvError::Overflowed(count)) => tally.missed += count,
            Err(_) => return false,
        }
        true
    }
}

impl Wait for AsyncSource {
    fn wait(&mut self, tally: &mut Tally) {
        let message = futures_executor::block_on(self.0.recv_direct());
        tally.see_message(&black_box(message.expect("the sender lives")));
    }
}

pub struct BusSink(bus::Bus<Message>);
pub struct BusSource(bus::BusReader<Message>);

/// Makes the sender wait when it is full.
pub fn bus(capacity: usize, readers: usize) -> (BusSink, Vec<BusSource>) {
    let mut bus = bus::Bus::new(capacity);
    let sources = (0..readers).map(|_| BusSource(bus.add_rx())).collect();
    (BusSink(bus), sources)
}

impl Sink for BusSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        insist(records.message(index), |message| {
            self.0.try_broadcast(message)
        });
    }
}

impl Source for BusSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        match self.0.try_recv() {
            Ok(message) => tally.see_message(&black_box(message)),
            Err(_) => return false,
        }
        true
    }
}

impl Wait for BusSource {
    fn wait(&mut self, tally: &mut Tally) {
        let message = self.0.recv().expect("the sender lives");
        tally.see_message(&black_box(message));
    }
}
