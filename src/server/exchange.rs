//! One request and its answer.

use std::any::Any;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{self, Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::time::timeout;

use crate::protocol::{self, Head, Service};
use crate::server::gate::{KnownHost, Refused, Seen, asks_for_h2c};
use crate::server::reply::{Events, Permit, Reply, last, not_stalled, refusal};
use crate::server::watch::{Open, Watch};
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
    static SPARE: Cell<Option<HeaderMap>> = const { Cell::new(None) };
}

/// What is kept of a request until it is answered.
#[derive(Debug)]
struct Exchange {
    open: Open,
    has_origin: bool,
    /// What is to be said to it, if it is not for the service.
    refused: Option<Instead>,
    /// How its connection goes on in HTTP/2, if it asks for that.
    upgrade: Option<OnUpgrade>,
}

/// What is to be said to a request in place of an answer of the service. In a box, since it is rare: so the
/// usual ways stay narrow.
type Instead = Box<Response<Reply>>;

/// What comes of a request whose body is not there yet.
type Rest<'a> = Pin<Box<dyn Future<Output = Response<Reply>> + Send + 'a>>;

impl Exchanges {
    /// Answers a request. Most bodies come with their head: the answer is there at once then, and only for
    /// others is anything kept that could wait.
    pub(crate) fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Reply>, Infallible>> + Send {
        let mut request = Some(request);
        let mut rest: Option<Rest<'_>> = None;
        poll_fn(move |context| {
            if let Some(request) = request.take() {
                match self.begin(request, context) {
                    Ok(response) => return Poll::Ready(Ok(response)),
                    Err(waiting) => rest = Some(waiting),
                }
            }
            let rest = rest.as_mut().expect("nobody polls what is done");
            rest.as_mut().poll(context).map(Ok)
        })
    }

    /// Checks a request, and answers it if its body is there.
    fn begin(
        &self,
        request: Request<Incoming>,
        context: &mut Context<'_>,
    ) -> Result<Response<Reply>, Rest<'_>> {
        let (open, is_fresh) = self.watch.open();
        let mut exchange = Exchange {
            open,
            has_origin: false,
            refused: None,
            upgrade: None,
        };
        if self.transport == Transport::Http2
            && let Upgrade::Done(first) = std::mem::take(&mut *self.upgrade.lock())
        {
            // It was checked when it came.
            let (parts, body) = first.into_parts();
            return Err(Box::pin(self.finish_later(
                parts,
                exchange,
                future::ready(Ok(body)),
            )));
        }
        let (mut parts, body) = request.into_parts();
        let mut seen = Seen::default();
        let head = Head::and_others(&parts.method, &parts.uri, &parts.headers, |name, value| {
            seen.note(name, value);
        });
        exchange.has_origin = seen.origin;
        if seen.upgrade && self.may_upgrade(parts.version, head.headers) {
            exchange.upgrade = parts.extensions.remove();
        }
        exchange.refused = self.without_service(&head, &seen).map(Box::new);
        let is_refused = exchange.refused.is_some();
        let mut reading = Reading::new(body, &self.shared);
        let read = if is_refused && seen.expect {
            // Its client has not begun to send the body, and need not.
            Poll::Ready(Ok(Bytes::new()))
        } else if !is_refused
            && seen.transfer_encoding
            && (!is_fresh || self.watch.saw_content_length())
        {
            // Behind another request on the same line it cannot be known what the parser dropped.
            Poll::Ready(Err(Unread::TwoLengths))
        } else {
            // What is refused is read all the same, so that the client gets to read why.
            reading.begin(seen.expect, context)
        };
        match read {
            #[cfg(feature = "testing")]
            Poll::Ready(read) if self.shared.service.may_be_late() => Err(Box::pin(
                self.finish_later(parts, exchange, future::ready(read)),
            )),
            Poll::Ready(read) => {
                // The memory that it holds is that of others from here on.
                drop(reading);
                let response = self.finish(&head, exchange, read);
                keep_memory(parts.headers);
                Ok(response)
            }
            Poll::Pending => {
                let read = self.read(reading);
                Err(Box::pin(self.finish_later(parts, exchange, read)))
            }
        }
    }

    /// The answer to a request that is not for the service.
    fn without_service(&self, head: &Head<'_>, seen: &Seen<'_>) -> Option<Response<Reply>> {
        let gate = &self.shared.gate;
        if let Err(Refused(status, text)) = gate.check(head, seen, &self.known_host) {
            return Some(refusal(status, text));
        }
        let looks = matches!(*head.method, Method::GET | Method::HEAD);
        match looks && head.uri.path() == "/health" {
            true => Some(refusal(StatusCode::OK, "ok\n")),
            false => gate.preflight(head, seen),
        }
    }

    /// Reads the rest of a body, of which nothing is known.
    async fn read(&self, mut reading: Reading<'_>) -> Result<Bytes, Unread> {
        let reading = poll_fn(|context| reading.poll(context));
        let read = match self.transport {
            Transport::Http2 => {
                let mut limited = pin!(timeout(self.shared.settings.patience.body, reading));
                let limited = poll_fn(|context| {
                    not_stalled();
                    limited.as_mut().poll(context)
                });
                limited.await.ok()
            }
            Transport::Http1 | Transport::Http1OverTls => self.watch.in_time(reading).await,
        };
        read.unwrap_or(Err(Unread::Late))
    }

    /// Answers a request of which all is there that will be.
    fn finish(
        &self,
        head: &Head<'_>,
        mut exchange: Exchange,
        read: Result<Bytes, Unread>,
    ) -> Response<Reply> {
        let mut response = match self.admit(head, &mut exchange, read) {
            Ok((body, permit)) => {
                let answer = respond(&self.shared.service, head, &body);
                self.reply(head, &body, permit, answer)
            }
            Err(instead) => *instead,
        };
        self.close(head, exchange, &mut response);
        response
    }

    /// Answers a request when all of it is there.
    async fn finish_later(
        &self,
        parts: Parts,
        exchange: Exchange,
        read: impl Future<Output = Result<Bytes, Unread>>,
    ) -> Response<Reply> {
        let read = read.await;
        let head = Head::of(&parts.method, &parts.uri, &parts.headers);
        #[cfg(feature = "testing")]
        if self.shared.service.may_be_late() {
            let mut exchange = exchange;
            let mut response = match self.admit(&head, &mut exchange, read) {
                Ok((body, permit)) => {
                    let answer = respond_apart(&self.shared.service, &head, &body).await;
                    self.reply(&head, &body, permit, answer)
                }
                Err(instead) => *instead,
            };
            self.close(&head, exchange, &mut response);
            return response;
        }
        self.finish(&head, exchange, read)
    }

    /// Lets a request in to the service, with its body, or says what is to be said to it instead.
    fn admit(
        &self,
        head: &Head<'_>,
        exchange: &mut Exchange,
        read: Result<Bytes, Unread>,
    ) -> Result<(Bytes, Option<Permit>), Instead> {
        if let Some(refused) = exchange.refused.take() {
            return Err(refused);
        }
        let body = read.map_err(Unread::response)?;
        if let Some(upgrade) = exchange.upgrade.take() {
            return Err(Box::new(self.upgrade(upgrade, head, body)));
        }
        let shared = &self.shared;
        if shared.answers_bytes.load(Ordering::Relaxed) >= shared.settings.answers_bytes_max {
            return Err(Box::new(refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many large answers that nobody takes.\n",
            )));
        }
        let subscribes = head
            .target
            .is_some_and(|target| target.as_bytes().ends_with(b".SubscribeToShard"));
        if !subscribes {
            return Ok((body, None));
        }
        match Permit::take(&shared.subscriptions, shared.settings.subscriptions_max) {
            Some(permit) => Ok((body, Some(permit))),
            None => {
                let response = Service::too_many_subscriptions(head).map(Reply::new);
                self.tell(head, &body, &response);
                Err(Box::new(response))
            }
        }
    }

    /// Whether a request asks to go on in HTTP/2, where that can be done.
    fn may_upgrade(&self, version: Version, headers: &HeaderMap) -> bool {
        self.transport == Transport::Http1 && version == Version::HTTP_11 && asks_for_h2c(headers)
    }

    fn upgrade(&self, upgrade: OnUpgrade, head: &Head<'_>, body: Bytes) -> Response<Reply> {
        let request = Box::new(head.with_body(body));
        *self.upgrade.lock() = Upgrade::Told(upgrade, request);
        let mut response = Response::new(Reply::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("h2c"));
        response
    }

    /// What the service answered, on its way out.
    fn reply(
        &self,
        head: &Head<'_>,
        body: &Bytes,
        permit: Option<Permit>,
        answer: Answer,
    ) -> Response<Reply> {
        let shared = &self.shared;
        let mut response = match answer {
            Ok(response) => response.map(|body| Reply::weighed(body, &shared.answers_bytes)),
            Err(panic) => {
                // Even the drop of what was thrown may panic.
                std::mem::forget(panic);
                last(Service::internal_failure(head).map(Reply::new))
            }
        };
        if let Some(permit) = permit.filter(|_| response.body().is_events()) {
            let drained = PlainArc::clone(&shared.drained).notified_owned();
            response.body_mut().add_events(Events {
                _permit: permit,
                draining: PlainArc::clone(&shared.draining),
                drained: Box::pin(drained),
            });
        }
        self.tell(head, body, &response);
        response
    }

    /// Tells whoever wants to know.
    fn tell(&self, head: &Head<'_>, body: &Bytes, response: &Response<Reply>) {
        let Some(tell) = &self.shared.settings.on_answer else {
            return;
        };
        let target = head.target.and_then(|target| target.to_str().ok());
        let answered = Answered {
            target: target.unwrap_or("-"),
            request_bytes: body.len(),
            status: response.status().as_u16(),
            response_bytes: response.body().size_hint().exact(),
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(&answered))) {
            // The answer is there, whatever whoever counts it makes of it.
            std::mem::forget(panic);
        }
    }

    /// What every answer has, and that it keeps its request open.
    fn close(&self, head: &Head<'_>, exchange: Exchange, response: &mut Response<Reply>) {
        if exchange.has_origin {
            let origin = head.headers.get(header::ORIGIN);
            self.shared.gate.share(origin, response.headers_mut());
        }
        response.body_mut().keep(exchange.open);
    }
}

/// Keeps the memory of a request's headers for those of an answer.
fn keep_memory(mut headers: HeaderMap) {
    headers.clear();
    SPARE.set(Some(headers));
}

/// What the service answered, or what it threw.
type Answer = Result<Response<protocol::Body>, Box<dyn Any + Send>>;

fn respond(service: &Service, head: &Head<'_>, body: &Bytes) -> Answer {
    let headers = SPARE.take().unwrap_or_default();
    catch_unwind(AssertUnwindSafe(|| {
        service.respond_with(head, body, headers)
    }))
}

/// Has the service answer on a thread of its own: one that a test makes late keeps no other waiting.
#[cfg(feature = "testing")]
async fn respond_apart(service: &Service, head: &Head<'_>, body: &Bytes) -> Answer {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (service_apart, request) = (service.clone(), head.with_body(body.clone()));
    let spawned = crate::sync::spawn("brooklet-late", move || {
        let head = Head::of(request.method(), request.uri(), request.headers());
        // Nobody listens any more if the client has gone.
        let _unheard = tell.send(respond(&service_apart, &head, request.body()));
    });
    match (spawned, told.await) {
        (Ok(()), Ok(answer)) => answer,
        // There is no thread to be had.
        _ => respond(service, head, body),
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug)]
enum Unread {
    /// Its head says in two ways how long it is, or may have done so.
    TwoLengths,
    TooLarge,
    /// Other bodies take all the memory that there is for them.
    NoRoom,
    Broken,
    Late,
}

impl Unread {
    fn response(self) -> Instead {
        let (status, text) = match self {
            Self::TooLarge => {
                let mut response = Response::new(Reply::empty());
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                return Box::new(last(response));
            }
            Self::TwoLengths => (
                StatusCode::BAD_REQUEST,
                "A request has a Content-Length or a Transfer-Encoding, not both, and one with a \
                 Transfer-Encoding waits for the answer before it.\n",
            ),
            Self::NoRoom => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many large requests at the same time.\n",
            ),
            Self::Broken => (
                StatusCode::BAD_REQUEST,
                "The body of the request does not come to its end.\n",
            ),
            Self::Late => (
                StatusCode::REQUEST_TIMEOUT,
                "The body of the request takes too long.\n",
            ),
        };
        Box::new(last(refusal(status, text)))
    }
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

/// A body that is read to its end. The first piece is the whole of most, and handed on as it is.
#[derive(Debug)]
struct Reading<'a> {
    body: Incoming,
    max: u64,
    read: u64,
    buffer: BytesMut,
    held: Held<'a>,
}

impl<'a> Reading<'a> {
    fn new(body: Incoming, shared: &'a Shared) -> Self {
        Self {
            body,
            max: shared.settings.body_bytes_max,
            read: 0,
            buffer: BytesMut::new(),
            held: Held::none(shared),
        }
    }

    /// Reads what is there, unless the body is too long by its own word.
    fn begin(&mut self, expect: bool, context: &mut Context<'_>) -> Poll<Result<Bytes, Unread>> {
        if self.body.is_end_stream() {
            return Poll::Ready(Ok(Bytes::new()));
        }
        // One that expects to be asked for its body has not begun to send it.
        let refused_at_once = match expect {
            true => self.max,
            false => self.drained_max(),
        };
        if self.body.size_hint().lower() > refused_at_once {
            return Poll::Ready(Err(Unread::TooLarge));
        }
        self.poll(context)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Unread>> {
        loop {
            let data = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => break,
                Some(Err(_)) => return Poll::Ready(Err(Unread::Broken)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_trailers) => continue,
                },
            };
            self.read = self.read.saturating_add(data.len() as u64);
            if self.read > self.max {
                self.buffer = BytesMut::new();
                if self.read > self.drained_max() {
                    break;
                }
                continue;
            }
            if self.buffer.is_empty() && self.body.is_end_stream() {
                return Poll::Ready(Ok(data));
            }
            self.append(&data)?;
        }
        Poll::Ready(match self.read > self.max {
            true => Err(Unread::TooLarge),
            false => Ok(std::mem::take(&mut self.buffer).freeze()),
        })
    }

    fn append(&mut self, data: &[u8]) -> Result<(), Unread> {
        if self.buffer.capacity() - self.buffer.len() < data.len() {
            // As much as was said, unless that is much; from then on, twice as much each time.
            let said = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
            let room = said.min(BODY_BYTES_TRUSTED.max(self.buffer.len()));
            let more = data.len().saturating_add(room);
            self.held.grow(more)?;
            self.buffer.reserve(more);
        }
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    const fn drained_max(&self) -> u64 {
        self.max.saturating_mul(BODIES_DRAINED)
    }
}
