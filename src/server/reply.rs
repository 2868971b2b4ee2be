//! The body of an answer on its way out.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::futures::OwnedNotified;
use tokio::time::timeout;

use crate::protocol;
use crate::server::watch::Open;
use crate::sync::{AtomicBool, AtomicUsize, Ordering, PlainArc};

/// The body of an answer, and what is given back when it has been sent.
#[derive(Debug)]
pub(crate) struct Reply {
    body: protocol::Body,
    /// The request is open until this is dropped.
    open: Option<Open>,
    events: Option<Box<Events>>,
}

/// What a stream of events has besides.
#[derive(Debug)]
pub(crate) struct Events {
    /// Given back with the stream.
    pub(crate) _permit: Permit,
    /// Whether the server is about to end, and with it the stream.
    pub(crate) draining: PlainArc<AtomicBool>,
    pub(crate) drained: Pin<Box<OwnedNotified>>,
}

/// One of as many as there may be at the same time.
#[derive(Debug)]
pub(crate) struct Permit(PlainArc<AtomicUsize>);

impl Permit {
    /// One more, unless there are as many as there may be.
    pub(crate) fn take(count: &PlainArc<AtomicUsize>, max: usize) -> Option<Self> {
        let permit = Self(PlainArc::clone(count));
        let before = count.fetch_add(1, Ordering::Relaxed);
        // Otherwise it is given back here.
        (before < max).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers of up to so many bytes are not counted: a connection's buffers take as much.
const UNWEIGHED_BYTES_MAX: usize = 4096;

/// The bytes of an answer, wherever they wait to be sent: they have left the reply by then.
struct Weighed {
    bytes: Bytes,
    all: PlainArc<AtomicUsize>,
}

impl AsRef<[u8]> for Weighed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Weighed {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl Reply {
    pub(crate) const fn new(body: protocol::Body) -> Self {
        Self {
            body,
            open: None,
            events: None,
        }
    }

    /// One that counts among the memory of all answers until its client has taken it.
    pub(crate) fn weighed(body: protocol::Body, all: &PlainArc<AtomicUsize>) -> Self {
        Self::new(match body {
            protocol::Body::Whole(bytes) if bytes.len() > UNWEIGHED_BYTES_MAX => {
                all.fetch_add(bytes.len(), Ordering::Relaxed);
                let all = PlainArc::clone(all);
                protocol::Body::Whole(Bytes::from_owner(Weighed { bytes, all }))
            }
            other => other,
        })
    }

    pub(crate) const fn empty() -> Self {
        Self::new(protocol::Body::Whole(Bytes::new()))
    }

    /// Keeps a request open until this is sent.
    pub(crate) fn keep(&mut self, open: Open) {
        self.open = Some(open);
    }

    pub(crate) fn add_events(&mut self, events: Events) {
        self.events = Some(Box::new(events));
    }

    pub(crate) const fn is_events(&self) -> bool {
        matches!(self.body, protocol::Body::Events(_))
    }
}

/// An answer of the server's own, in plain text.
pub(crate) fn refusal(status: StatusCode, text: &'static str) -> Response<Reply> {
    let body = protocol::Body::Whole(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(Reply::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    crate::protocol::add_request_id(headers);
    response
}

/// An answer after which the connection ends: what else is on it cannot be trusted, or read.
pub(crate) fn last(mut response: Response<Reply>) -> Response<Reply> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(events) = &mut this.events {
            let is_over = events.drained.as_mut().poll(context).is_ready();
            if is_over || events.draining.load(Ordering::Acquire) {
                this.body = protocol::Body::Whole(Bytes::new());
                return Poll::Ready(None);
            }
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        match &polled {
            Poll::Pending => not_stalled(),
            Poll::Ready(Some(_)) => MOVED.set(true),
            Poll::Ready(None) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

thread_local! {
    /// Whether what the current task waits for is not up to the client, or has a limit of its own.
    static NOT_STALLED: Cell<bool> = const { Cell::new(false) };
    /// Whether the client has taken a piece of a body.
    static MOVED: Cell<bool> = const { Cell::new(false) };
}

/// Says that the stream which is being polled does not wait for its client to take something.
pub(crate) fn not_stalled() {
    NOT_STALLED.set(true);
}

/// Runs the streams of HTTP/2, each a task, and drops those whose client takes nothing for too long:
/// a window that the client never opens would hold an answer for ever.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    pub(crate) patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let patience = self.patience;
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            let mut stalled = None;
            poll_fn(|context| {
                NOT_STALLED.set(false);
                MOVED.set(false);
                if stream.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                if NOT_STALLED.get() {
                    stalled = None;
                    return Poll::Pending;
                }
                if MOVED.get() {
                    stalled = None;
                }
                let stalled =
                    stalled.get_or_insert_with(|| Box::pin(timeout(patience, pending::<()>())));
                stalled.as_mut().poll(context).map(|_| ())
            })
            .await;
        });
    }
}
