//! The body of an answer: one piece, or frames as they come.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};

/// The body of an answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// The frames of `SubscribeToShard`, each as soon as there is one.
    Events(EventStream),
}

/// Frames of an event stream, each whole. It ends when the subscription does, and stays so.
pub struct EventStream {
    frames: Option<Pin<Box<dyn Stream<Item = Bytes> + Send + Sync>>>,
}

impl Body {
    /// Whether the body has no byte.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }
}

impl EventStream {
    pub(crate) fn new(frames: impl Stream<Item = Bytes> + Send + Sync + 'static) -> Self {
        Self {
            frames: Some(Box::pin(frames)),
        }
    }
}

impl Stream for EventStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(frames) = &mut self.frames else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(frames.as_mut().poll_next(context));
        if frame.is_none() {
            // What the subscription holds is released at once.
            self.frames = None;
        }
        Poll::Ready(frame)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("ended", &self.frames.is_none())
            .finish()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let data = match this {
            Self::Whole(bytes) if bytes.is_empty() => None,
            Self::Whole(bytes) => Some(std::mem::take(bytes)),
            Self::Events(events) => std::task::ready!(Pin::new(events).poll_next(context)),
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Events(events) => events.frames.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
