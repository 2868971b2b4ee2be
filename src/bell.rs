//! A bell: a channel that holds one `()` while there is news, for `select!`.

use std::task::{Wake, Waker};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::sync::PlainArc;

/// Rings when a waker would wake. Clones are the same bell.
#[derive(Clone, Debug)]
pub(crate) struct Bell {
    sender: PlainArc<Ringer>,
    receiver: Receiver<()>,
}

#[derive(Debug)]
struct Ringer(Sender<()>);

impl Bell {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self {
            sender: PlainArc::new(Ringer(sender)),
            receiver,
        }
    }

    pub(crate) fn receiver(&self) -> Receiver<()> {
        self.receiver.clone()
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker::from(PlainArc::clone(&self.sender))
    }

    pub(crate) fn ring(&self) {
        self.sender.wake_by_ref();
    }

    pub(crate) fn silence(&self) {
        // Empty already: it has not rung since.
        let _rung = self.receiver.try_recv();
    }
}

impl Wake for Ringer {
    fn wake(self: PlainArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &PlainArc<Self>) {
        // Full: it has rung already, and nobody has listened since. Never disconnected: the bell
        // holds a receiver.
        let _full = self.0.try_send(());
    }
}
