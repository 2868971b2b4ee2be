//! Wakers that count, polling by hand, and a guard against tests that hang.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_core::Stream;

/// What a test of some microseconds never needs, however busy the machine.
pub const FOREVER: Duration = Duration::from_secs(10);

/// Counts how often it is woken.
#[derive(Default)]
pub struct Wakes(AtomicUsize);

impl Wakes {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs a function whenever it is woken.
pub struct OnWake<F>(F);

impl<F: Fn() + Send + Sync + 'static> OnWake<F> {
    pub fn waker(run: F) -> Waker {
        Waker::from(Arc::new(Self(run)))
    }
}

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Polls a future once.
pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Polls a stream of batches once.
pub fn poll_next<S: Stream + Unpin>(stream: &mut S, waker: &Waker) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(waker))
}

/// Runs a test that would hang if it failed, and lets it fail instead: its thread is left behind.
#[track_caller]
pub fn in_time<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, ended) = channel();
    let running = thread::spawn(move || {
        let result = test();
        let _listened = done.send(());
        result
    });
    if ended.recv_timeout(FOREVER) == Err(RecvTimeoutError::Timeout) {
        panic!("no progress for {FOREVER:?}: it waits for something that never comes");
    }
    match running.join() {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    }
}
