//! One request and its answer.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout;

use crate::protocol::{self, Service, X_AMZ_TARGET};
use crate::server::gate::{KnownHost, Rare, Refused, asks_for_h2c};
use crate::server::reply::{Events, Permit, Reply, last, not_stalled, refusal};
use crate::server::watch::Watch;
use crate::server::{Answered, Shared};
use crate::sync::{Mutex, Ordering, PlainArc};

/// What a request's body is read into at once, if it is as long as it says.
const BODY_BYTES_TRUSTED: usize = 1024 * 1024;

/// How many bodies' worth of bytes are read of a body that is too long, so that its client gets to
/// read the answer: one that is still sending when the connection ends sees that end only.
const BODIES_DRAINED: u64 = 4;

/// Answers the requests of one connection.
#[derive(Debug)]
pub(crate) struct Exchanges {
    pub(crate) shared: PlainArc<Shared>,
    pub(crate) watch: PlainArc<Watch>,
    pub(crate) transport: Transport,
    pub(crate) known_host: KnownHost,
    /// A request that is to be answered in HTTP/2, though it came in HTTP/1.1.
    pub(crate) upgrade: Mutex<Upgrade>,
}

/// What carries the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Http1,
    Http1OverTls,
    Http2,
}

/// How far a connection is with going on in HTTP/2.
#[derive(Debug, Default)]
pub(crate) enum Upgrade {
    #[default]
    None,
    /// The client was told to go on.
    Told(OnUpgrade, Box<Request<Bytes>>),
    /// It did: the first stream is that of this request.
    Done(Box<Request<Bytes>>),
}

thread_local! {
    /// Memory for the headers of an answer: what the headers of a request before it took.
    static SPARE: Cell<HeaderMap> = Cell::default();
}

/// A request that is let in, or what is to be said to it.
type Admitted<T> = Result<T, Response<Reply>>;

impl Exchanges {
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        let (open, is_fresh) = self.watch.open();
        let rare = Rare::of(request.headers());
        let origin = match rare.origin {
            true => request.headers().get(header::ORIGIN).cloned(),
            false => None,
        };
        let mut response = match self.admit(request, rare, is_fresh).await {
            Ok(request) => self.ask(request).await,
            Err(response) => response,
        };
        if origin.is_some() {
            self.shared
                .gate
                .share(origin.as_ref(), response.headers_mut());
        }
        response.body_mut().keep(open);
        response
    }

    /// Checks a request and reads its body.
    async fn admit(
        &self,
        mut request: Request<Incoming>,
        rare: Rare,
        is_fresh: bool,
    ) -> Admitted<Request<Bytes>> {
        if self.transport == Transport::Http2
            && let Upgrade::Done(first) = std::mem::take(&mut *self.upgrade.lock())
        {
            // It was checked when it came.
            return Ok(*first);
        }
        let upgrade =
            (rare.upgrade && self.may_upgrade(&request)).then(|| hyper::upgrade::on(&mut request));
        let (head, body) = request.into_parts();
        if let Some(response) = self.without_service(&head, rare) {
            if !rare.expect {
                // Read all the same, so that the client gets to read why.
                let _whatever = self.collect(body, rare).await;
            }
            return Err(response);
        }
        if rare.transfer_encoding && (!is_fresh || self.watch.saw_content_length()) {
            // Behind another request on the same line it cannot be known what the parser dropped.
            return Err(last(refusal(
                StatusCode::BAD_REQUEST,
                "A request has a Content-Length or a Transfer-Encoding, not both, and one with a \
                 Transfer-Encoding waits for the answer before it.\n",
            )));
        }
        let body = self.collect(body, rare).await?;
        let request = Request::from_parts(head, body);
        match upgrade {
            Some(upgrade) => Err(self.upgrade(upgrade, request)),
            None => Ok(request),
        }
    }

    /// The answer to a request that is not for the service.
    fn without_service(&self, head: &Parts, rare: Rare) -> Option<Response<Reply>> {
        let gate = &self.shared.gate;
        if let Err(Refused(status, text)) = gate.check(head, rare, &self.known_host) {
            return Some(refusal(status, text));
        }
        let looks = matches!(head.method, Method::GET | Method::HEAD);
        match looks && head.uri.path() == "/health" {
            true => Some(refusal(StatusCode::OK, "ok\n")),
            false => gate.preflight(head, rare),
        }
    }

    /// Reads a body, of which nothing is known.
    async fn collect(&self, body: Incoming, rare: Rare) -> Admitted<Bytes> {
        let max = self.shared.settings.body_bytes_max;
        let too_large = || {
            let mut response = Response::new(Reply::empty());
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            last(response)
        };
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let said = body.size_hint().lower();
        // One that expects to be asked for its body has not begun to send it.
        let refused_at_once = if rare.expect {
            max
        } else {
            max.saturating_mul(BODIES_DRAINED)
        };
        if said > refused_at_once {
            return Err(too_large());
        }
        let mut held = Held::none(&self.shared);
        let mut collecting = pin!(read_whole(body, max, &mut held));
        // Most come with their head.
        let at_once = poll_fn(|context| Poll::Ready(collecting.as_mut().poll(context))).await;
        let read = match (at_once, self.transport) {
            (Poll::Ready(read), _) => Some(read),
            (Poll::Pending, Transport::Http2) => {
                let mut limited = pin!(timeout(self.shared.settings.patience.body, collecting));
                let limited = poll_fn(|context| {
                    not_stalled();
                    limited.as_mut().poll(context)
                });
                limited.await.ok()
            }
            (Poll::Pending, Transport::Http1 | Transport::Http1OverTls) => {
                self.watch.in_time(collecting).await
            }
        };
        match read {
            Some(Ok(body)) => Ok(body),
            Some(Err(Unread::TooLarge)) => Err(too_large()),
            Some(Err(Unread::NoRoom)) => Err(last(refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many large requests at the same time.\n",
            ))),
            Some(Err(Unread::Broken)) => Err(last(refusal(
                StatusCode::BAD_REQUEST,
                "The body of the request does not come to its end.\n",
            ))),
            None => Err(last(refusal(
                StatusCode::REQUEST_TIMEOUT,
                "The body of the request takes too long.\n",
            ))),
        }
    }

    /// Whether a request asks to go on in HTTP/2, where that can be done.
    fn may_upgrade(&self, request: &Request<Incoming>) -> bool {
        self.transport == Transport::Http1
            && request.version() == Version::HTTP_11
            && asks_for_h2c(request.headers())
    }

    fn upgrade(&self, upgrade: OnUpgrade, request: Request<Bytes>) -> Response<Reply> {
        *self.upgrade.lock() = Upgrade::Told(upgrade, Box::new(request));
        let mut response = Response::new(Reply::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("h2c"));
        response
    }

    /// Has the service answer.
    async fn ask(&self, request: Request<Bytes>) -> Response<Reply> {
        let shared = &self.shared;
        if shared.answers_bytes.load(Ordering::Relaxed) >= shared.settings.answers_bytes_max {
            return refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many large answers that nobody takes.\n",
            );
        }
        let target = request.headers().get(&X_AMZ_TARGET);
        let subscribes =
            target.is_some_and(|target| target.as_bytes().ends_with(b".SubscribeToShard"));
        let permit = match subscribes {
            false => None,
            true => {
                let max = shared.settings.subscriptions_max;
                match Permit::take(&shared.subscriptions, max) {
                    Some(permit) => Some(permit),
                    None => {
                        let response = Service::too_many_subscriptions(request.headers());
                        return self.answered(&request, response.map(Reply::new));
                    }
                }
            }
        };
        #[cfg(feature = "testing")]
        let answer = match shared.service.may_be_late() {
            true => respond_apart(&shared.service, &request).await,
            false => respond(&shared.service, &request),
        };
        #[cfg(not(feature = "testing"))]
        let answer = respond(&shared.service, &request);
        let mut response = match answer {
            Ok(response) => response.map(|body| Reply::weighed(body, &shared.answers_bytes)),
            Err(panic) => {
                // Even the drop of what was thrown may panic.
                std::mem::forget(panic);
                last(Service::internal_failure(request.headers()).map(Reply::new))
            }
        };
        if let Some(permit) = permit.filter(|_| response.body().is_events()) {
            let drained = PlainArc::clone(&shared.drained).notified_owned();
            response = response.map(|reply| {
                reply.with_events(Events {
                    _permit: permit,
                    draining: PlainArc::clone(&shared.draining),
                    drained: Box::pin(drained),
                })
            });
        }
        let response = self.answered(&request, response);
        let mut spare = request.into_parts().0.headers;
        spare.clear();
        SPARE.set(spare);
        response
    }

    /// Tells whoever wants to know.
    fn answered(&self, request: &Request<Bytes>, response: Response<Reply>) -> Response<Reply> {
        if let Some(tell) = &self.shared.settings.on_answer {
            let target = request.headers().get(&X_AMZ_TARGET);
            let target = target.and_then(|target| target.to_str().ok());
            let answered = Answered {
                target: target.unwrap_or("-"),
                request_bytes: request.body().len(),
                status: response.status().as_u16(),
                response_bytes: response.body().size_hint().exact(),
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(&answered))) {
                // The answer is there, whatever whoever counts it makes of it.
                std::mem::forget(panic);
            }
        }
        response
    }
}

/// What the service answered, or what it threw.
type Answer = Result<Response<protocol::Body>, Box<dyn Any + Send>>;

fn respond(service: &Service, request: &Request<Bytes>) -> Answer {
    let headers = SPARE.take();
    catch_unwind(AssertUnwindSafe(|| service.respond_with(request, headers)))
}

/// Has the service answer on a thread of its own: one that a test makes late keeps no other waiting.
#[cfg(feature = "testing")]
async fn respond_apart(service: &Service, request: &Request<Bytes>) -> Answer {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (service_apart, request_apart) = (service.clone(), request.clone());
    let spawned = crate::sync::spawn("brooklet-late", move || {
        // Nobody listens any more if the client has gone.
        let _unheard = tell.send(respond(&service_apart, &request_apart));
    });
    match (spawned, told.await) {
        (Ok(()), Ok(answer)) => answer,
        // There is no thread to be had.
        _ => respond(service, request),
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug)]
enum Unread {
    TooLarge,
    /// Other bodies take all the memory that there is for them.
    NoRoom,
    Broken,
}

/// Memory that a body takes, out of what all of them may take.
#[derive(Debug)]
struct Held<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl<'a> Held<'a> {
    const fn none(shared: &'a Shared) -> Self {
        Self { shared, bytes: 0 }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Unread> {
        self.bytes += bytes;
        let before = self.shared.bodies_bytes.fetch_add(bytes, Ordering::Relaxed);
        match before.saturating_add(bytes) <= self.shared.settings.bodies_bytes_max {
            true => Ok(()),
            false => Err(Unread::NoRoom),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let bytes = self.bytes;
            self.shared.bodies_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// Reads a body to its end. The first piece is the whole of most, and handed on as it is.
async fn read_whole(mut body: Incoming, max: u64, held: &mut Held<'_>) -> Result<Bytes, Unread> {
    let mut buffer = BytesMut::new();
    let mut read: u64 = 0;
    loop {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(Unread::Broken),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_trailers) => continue,
            },
        };
        read = read.saturating_add(data.len() as u64);
        if read > max {
            buffer = BytesMut::new();
            if read > max.saturating_mul(BODIES_DRAINED) {
                break;
            }
            continue;
        }
        if buffer.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        if buffer.capacity() - buffer.len() < data.len() {
            // As much as was said, unless that is much; from then on, twice as much each time.
            let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
            let room = said.min(BODY_BYTES_TRUSTED.max(buffer.len()));
            let more = data.len().saturating_add(room);
            held.grow(more)?;
            buffer.reserve(more);
        }
        buffer.extend_from_slice(&data);
    }
    match read > max {
        true => Err(Unread::TooLarge),
        false => Ok(buffer.freeze()),
    }
}
