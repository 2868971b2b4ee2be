//! Ending a subscription from outside.

use std::task::Waker;

use crate::protocol::exception::Exception;
use crate::sync::Mutex;

/// Ends a subscription from outside: another has taken over, or its consumer is gone.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the subscription is to end with.
    last: Option<Exception>,
    /// The task that waits for records.
    waker: Option<Waker>,
    /// Whether the subscription has ended, or was dropped.
    is_over: bool,
}

impl Ending {
    /// Has the subscription end with an exception, unless it has ended or is about to. The task that
    /// reads it is woken, so no lock may be held.
    pub(crate) fn end(&self, with: Exception) {
        let waker = {
            let mut state = self.state.lock();
            if state.is_over || state.last.is_some() {
                return;
            }
            state.last = Some(with);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the subscription is still being read.
    pub(crate) fn is_open(&self) -> bool {
        let state = self.state.lock();
        !state.is_over && state.last.is_none()
    }

    /// What the subscription has to end with; otherwise the task is woken once there is something.
    pub(super) fn poll(&self, waker: &Waker) -> Option<Exception> {
        let mut state = self.state.lock();
        if let Some(last) = state.last.take() {
            state.is_over = true;
            return Some(last);
        }
        let is_known = |known: &Waker| known.will_wake(waker);
        if state.waker.as_ref().is_some_and(is_known) {
            return None;
        }
        // The clone and the drop of a waker may be user code: not under the lock.
        drop(state);
        let waker = waker.clone();
        let mut state = self.state.lock();
        let last = state.last.take();
        state.is_over = last.is_some();
        let before = state.waker.replace(waker);
        drop(state);
        drop(before);
        last
    }

    /// Nobody reads the subscription any more.
    pub(super) fn close(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.is_over = true;
            state.waker.take()
        };
        drop(waker);
    }
}
