//! Channels: each record goes to one reader, and is gone.

use std::hint::black_box;
use std::sync::mpsc;

use crossbeam_channel::{never, select};

use crate::contenders::{Carries, Sink, Source, Wait, insist};
use crate::records::{Message, Records, Tally};

pub const CARRIES: Carries = Carries("..B...W");

#[derive(Debug, Clone)]
pub struct CrossbeamSink(crossbeam_channel::Sender<Message>);
#[derive(Debug)]
pub struct CrossbeamSource(crossbeam_channel::Receiver<Message>);

pub fn crossbeam(capacity: usize) -> (CrossbeamSink, CrossbeamSource) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    (CrossbeamSink(sender), CrossbeamSource(receiver))
}

impl Sink for CrossbeamSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        insist(records.message(index), |message| {
            self.0.try_send(message).map_err(|error| error.into_inner())
        });
    }
}

impl Source for CrossbeamSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        see(tally, self.0.try_recv().ok())
    }
}

impl Wait for CrossbeamSource {
    fn wait(&mut self, tally: &mut Tally) {
        see(tally, self.0.recv().ok());
    }
}

/// crossbeam's channel in a `select!` of two.
#[derive(Debug)]
pub struct CrossbeamSelect {
    pub source: CrossbeamSource,
    never: crossbeam_channel::Receiver<()>,
}

impl CrossbeamSelect {
    pub fn new(source: CrossbeamSource) -> Self {
        let never = never();
        Self { source, never }
    }
}

impl Source for CrossbeamSelect {
    fn take(&mut self, tally: &mut Tally) -> bool {
        self.source.take(tally)
    }
}

impl Wait for CrossbeamSelect {
    fn wait(&mut self, tally: &mut Tally) {
        select! {
            recv(self.source.0) -> message => { see(tally, message.ok()); }
            recv(self.never) -> _ => unreachable!("nobody sends there"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct FlumeSink(flume::Sender<Message>);
#[derive(Debug)]
pub struct FlumeSource(flume::Receiver<Message>);

pub fn flume(capacity: usize) -> (FlumeSink, FlumeSource) {
    let (sender, receiver) = flume::bounded(capacity);
    (FlumeSink(sender), FlumeSource(receiver))
}

impl Sink for FlumeSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        insist(records.message(index), |message| {
            self.0.try_send(message).map_err(|error| error.into_inner())
        });
    }
}

impl Source for FlumeSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        see(tally, self.0.try_recv().ok())
    }
}

impl Wait for FlumeSource {
    fn wait(&mut self, tally: &mut Tally) {
        see(tally, self.0.recv().ok());
    }
}

/// All that flume holds, taken under one lock.
#[derive(Debug)]
pub struct FlumeDrain(pub FlumeSource);

impl Source for FlumeDrain {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let before = tally.count;
        for message in self.0.0.drain() {
            see(tally, Some(message));
        }
        tally.count > before
    }
}

/// flume's channel as a future.
#[derive(Debug)]
pub struct FlumeAsync(pub FlumeSource);

impl Source for FlumeAsync {
    fn take(&mut self, tally: &mut Tally) -> bool {
        self.0.take(tally)
    }
}

impl Wait for FlumeAsync {
    fn wait(&mut self, tally: &mut Tally) {
        see(
            tally,
            futures_executor::block_on(self.0.0.recv_async()).ok(),
        );
    }
}

#[derive(Debug, Clone)]
pub struct KanalSink(kanal::Sender<Message>);
#[derive(Debug)]
pub struct KanalSource(kanal::Receiver<Message>);

pub fn kanal(capacity: usize) -> (KanalSink, KanalSource) {
    let (sender, receiver) = kanal::bounded(capacity);
    (KanalSink(sender), KanalSource(receiver))
}

impl Sink for KanalSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        insist(Some(records.message(index)), |mut message| {
            let sent = self.0.try_send_option(&mut message);
            if sent.expect("the receiver lives") {
                Ok(())
            } else {
                Err(message)
            }
        });
    }
}

impl Source for KanalSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        see(tally, self.0.try_recv().expect("the sender lives"))
    }
}

impl Wait for KanalSource {
    fn wait(&mut self, tally: &mut Tally) {
        see(tally, self.0.recv().ok());
    }
}

/// All that kanal holds, taken under one lock.
#[derive(Debug)]
pub struct KanalDrain {
    source: KanalSource,
    messages: Vec<Message>,
}

impl KanalDrain {
    pub fn new(source: KanalSource) -> Self {
        Self {
            source,
            messages: Vec::new(),
        }
    }
}

impl Source for KanalDrain {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        let count = self.source.0.drain_into(&mut self.messages);
        for message in self.messages.drain(..) {
            see(tally, Some(message));
        }
        count.expect("the sender lives") > 0
    }
}

#[derive(Debug, Clone)]
pub struct StdSink(mpsc::SyncSender<Message>);
#[derive(Debug)]
pub struct StdSource(mpsc::Receiver<Message>);

pub fn std_mpsc(capacity: usize) -> (StdSink, StdSource) {
    let (sender, receiver) = mpsc::sync_channel(capacity);
    (StdSink(sender), StdSource(receiver))
}

impl Sink for StdSink {
    #[inline]
    fn put(&mut self, records: &Records, index: usize) {
        insist(records.message(index), |message| {
            self.0.try_send(message).map_err(|error| match error {
                mpsc::TrySendError::Full(message) | mpsc::TrySendError::Disconnected(message) => {
                    message
                }
            })
        });
    }
}

impl Source for StdSource {
    #[inline]
    fn take(&mut self, tally: &mut Tally) -> bool {
        see(tally, self.0.try_recv().ok())
    }
}

impl Wait for StdSource {
    fn wait(&mut self, tally: &mut Tally) {
        see(tally, self.0.recv().ok());
    }
}

#[inline]
fn see(tally: &mut Tally, message: Option<Message>) -> bool {
    match message {
        Some(message) => {
            tally.see_message(&black_box(message));
            true
        }
        None => false,
    }
}
