//! The protocol over HTTP, for programs that speak it: an endpoint that an SDK can be pointed at.
//!
//! ```
//! use brooklet::Registry;
//! use brooklet::protocol::Service;
//! use brooklet::server::Server;
//!
//! let registry = Registry::new();
//! let server = Server::start(&Service::new(&registry))?;
//! // The program that is to be tested is given this as its endpoint.
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! server.shutdown();
//! # Ok::<(), brooklet::server::ServerError>(())
//! ```
//!
//! In a program that runs on tokio, [`ServerBuilder::bind`] and [`Server::serve`] use its runtime;
//! [`Server::run`] and [`ServerBuilder::start`] have threads of their own. The binary `brooklet` is the
//! latter with a command line.
//!
//! ```text
//!   accept ──> watch ──> tls ──> HTTP/1.1 or HTTP/2 ──> gate ──> body ──> Service::respond ──> reply
//!              limits on        by the first bytes     Host,    bounded                        bounded
//!              all waits                               Origin                                  in time
//! ```
//!
//! # Promises, and how they could break
//!
//! 1. **Nobody is let in by accident**: the address is one of loopback unless signatures are checked
//!    or the user insists; a web page cannot ask, under its own name or another (`gate`).
//! 2. **A client takes no more than its share**: connections, heads, bodies, subscriptions and the
//!    memory of all bodies, and of all answers that nobody takes, are bounded; whoever keeps the server
//!    waiting is cut off (`watch`).
//!    The limits on clients are in real time, whichever clock the streams have.
//! 3. **A panic fails one request**: it is answered with 500, and the server lives.
//! 4. **An answer is on its way as soon as it is there**: nothing waits for more to send.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::protocol::Service;
use crate::sync::{AtomicBool, AtomicUsize, Ordering, PlainArc};

mod connection;
mod exchange;
mod gate;
mod listen;
mod reply;
mod socket;
mod tls;
mod watch;

pub use tls::Tls;

use gate::Gate;
use reply::Streams;
use watch::{Connections, Patience};

/// The longest head of a request.
const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// An endpoint that has an address and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    threads: usize,
    shared: PlainArc<Shared>,
}

/// Makes a [`Server`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `bind` or `start` is called"]
pub struct ServerBuilder {
    service: Service,
    settings: Settings,
    gate: Gate,
    tls: Option<Tls>,
    insecure: bool,
    threads: usize,
}

/// Ends a [`Server`]. Clones end the same one.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    shared: PlainArc<Shared>,
}

/// An endpoint that answers on threads of its own, until this is dropped.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    url: String,
    handle: ServerHandle,
    /// Disconnected when the last thread has ended.
    ended: crossbeam_channel::Receiver<()>,
}

/// A request that was answered, for whoever counts them. It has neither data nor keys in it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answered<'a> {
    /// The operation with its version, as `Kinesis_20131202.PutRecord`; `-` if none was named.
    pub target: &'a str,
    /// Size of the request's body.
    pub request_bytes: usize,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Size of the answer's body, unless it is a stream of events.
    pub response_bytes: Option<u64>,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Other machines could reach the address, and nothing would keep them out.
    #[error(
        "{address} can be reached from other machines: have signatures checked (--access-key, \
         --secret-key), or insist (--insecure)"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// A certificate or its key is of no use.
    #[error("no TLS with this certificate")]
    Tls {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no thread or no runtime to answer on.
    #[error("cannot start a thread")]
    Thread {
        /// Why not.
        source: io::Error,
    },
}

/// What all connections share.
pub(crate) struct Shared {
    service: Service,
    settings: Settings,
    gate: Gate,
    tls: Option<TlsAcceptor>,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
    connections: PlainArc<Connections>,
    subscriptions: PlainArc<AtomicUsize>,
    /// Memory that bodies take which are being read.
    bodies_bytes: AtomicUsize,
    answers_bytes: PlainArc<AtomicUsize>,
    /// Whether no more requests are taken.
    draining: PlainArc<AtomicBool>,
    /// Told when that begins.
    drained: PlainArc<Notify>,
}

type OnAnswer = PlainArc<dyn Fn(&Answered<'_>) + Send + Sync>;

#[derive(Clone)]
struct Settings {
    patience: Patience,
    grace: Duration,
    connections_max: usize,
    subscriptions_max: usize,
    body_bytes_max: u64,
    bodies_bytes_max: usize,
    answers_bytes_max: usize,
    on_answer: Option<OnAnswer>,
}

impl Server {
    /// Begins to describe an endpoint.
    pub fn builder(service: &Service) -> ServerBuilder {
        ServerBuilder {
            service: service.clone(),
            settings: Settings::default(),
            gate: Gate::default(),
            tls: None,
            insecure: false,
            threads: 1,
        }
    }

    /// Answers on 127.0.0.1, on a port that is free, on a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::start`].
    pub fn start(service: &Service) -> Result<RunningServer, ServerError> {
        Self::builder(service).start("127.0.0.1:0")
    }

    /// The address, with the port that it was given.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address as SDKs want it.
    pub fn url(&self) -> String {
        let scheme = match self.shared.tls {
            None => "http",
            Some(_) => "https",
        };
        format!("{scheme}://{}", self.address)
    }

    /// What ends it from elsewhere.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            shared: PlainArc::clone(&self.shared),
        }
    }

    /// Answers, on the tokio runtime that polls this, until [`ServerHandle::shutdown`]; then lets the
    /// requests that are being answered come to their end.
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`] if the runtime has no I/O.
    pub async fn serve(self) -> Result<(), ServerError> {
        let address = self.address;
        let listener = listen::register(self.listener).map_err(|source| ServerError::Listen {
            address: address.to_string(),
            source,
        })?;
        let ticks = listen::Ticks::of(&self.shared);
        listen::serve(&self.shared, listener, &[], ticks).await;
        Ok(())
    }

    /// Answers, on this thread and as many more as were asked for, until `until` is done or
    /// [`ServerHandle::shutdown`] is called.
    ///
    /// # Errors
    ///
    /// [`ServerError::Thread`] if there is no runtime to be had.
    pub fn run(self, until: impl Future<Output = ()>) -> Result<(), ServerError> {
        let handle = self.handle();
        listen::on_threads(self.shared, self.listener, self.threads, async move {
            until.await;
            handle.shutdown();
        })
        .map_err(|source| ServerError::Thread { source })
    }
}

impl ServerBuilder {
    /// Whether another address than one of loopback may be listened on though no signatures are
    /// checked: whoever reaches it may do everything.
    pub const fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// One more name that clients may call this machine, besides `localhost` and loopback addresses;
    /// `*` for any name.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.gate.hosts.push(host.into());
        self
    }

    /// One more origin whose web pages may ask, such as `https://example.org`; `*` for any page, on
    /// any site. None may unless set.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.gate.origins.push(origin.into());
        self
    }

    /// Answers over TLS only.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Threads that answer, of [`Server::run`] and [`ServerBuilder::start`]; 1 unless set, 0 for as
    /// many as there are cores.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How long a client may take for the head of a request, and for a TLS handshake; 10 seconds
    /// unless set.
    pub const fn head_timeout(mut self, timeout: Duration) -> Self {
        self.settings.patience.head = timeout;
        self
    }

    /// How long a client may take for the body of a request; 30 seconds unless set.
    pub const fn body_timeout(mut self, timeout: Duration) -> Self {
        self.settings.patience.body = timeout;
        self
    }

    /// How long a client may take nothing, or next to nothing, of an answer; 30 seconds unless set.
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.settings.patience.write = timeout;
        self
    }

    /// How long a connection may be idle between requests; 75 seconds unless set.
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.patience.idle = timeout;
        self
    }

    /// How long requests may take to come to their end when the server does; 5 seconds unless set.
    /// Streams of events end at once.
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How many connections there may be; 1,024 unless set. One more takes the place of the one that
    /// has been idle for longest, or is turned away with 503.
    pub const fn connections_max(mut self, connections: usize) -> Self {
        self.settings.connections_max = connections;
        self
    }

    /// How many streams of `SubscribeToShard` there may be; 512 unless set. One more is told
    /// `LimitExceededException`.
    pub const fn subscriptions_max(mut self, subscriptions: usize) -> Self {
        self.settings.subscriptions_max = subscriptions;
        self
    }

    /// The largest body of a request; 16 MiB unless set, which 10 MiB of data need. One that is larger
    /// is answered with 413.
    pub const fn body_bytes_max(mut self, bytes: u64) -> Self {
        self.settings.body_bytes_max = bytes;
        self
    }

    /// The memory that all bodies may take which are being read; 512 MiB unless set. One more is
    /// answered with 503. Those that come in one piece do not count.
    pub const fn bodies_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.bodies_bytes_max = bytes;
        self
    }

    /// The memory that answers may take which their clients have not taken yet; 512 MiB unless set, and
    /// one answer for each thread. Requests are answered with 503 as long as there is that much, and
    /// have no effect. Answers of up to 4 KiB do not count.
    pub const fn answers_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.answers_bytes_max = bytes;
        self
    }

    /// Has something called for every request that the service answered. It is called on the thread
    /// that answers: it should be quick.
    pub fn on_answer(mut self, tell: impl Fn(&Answered<'_>) + Send + Sync + 'static) -> Self {
        self.settings.on_answer = Some(PlainArc::new(tell));
        self
    }

    /// Listens on an address; port 0 for any that is free.
    ///
    /// # Errors
    ///
    /// [`ServerError::Listen`]; [`ServerError::Exposed`] if the address is not one of loopback, no
    /// signatures are checked and nobody insisted.
    pub async fn bind(
        self,
        address: impl tokio::net::ToSocketAddrs + fmt::Debug,
    ) -> Result<Server, ServerError> {
        let text = text_of(&address);
        let addresses = tokio::net::lookup_host(address).await;
        let addresses = addresses
            .map(Vec::from_iter)
            .map_err(|source| ServerError::Listen {
                address: text.clone(),
                source,
            })?;
        self.listen_on(&addresses[..], text)
    }

    /// As [`ServerBuilder::bind`], for programs without a runtime.
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::bind`].
    pub fn listen(self, address: impl ToSocketAddrs + fmt::Debug) -> Result<Server, ServerError> {
        let text = text_of(&address);
        self.listen_on(address, text)
    }

    /// Listens on an address and answers on threads of its own, until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::bind`]; [`ServerError::Thread`].
    pub fn start(
        self,
        address: impl ToSocketAddrs + fmt::Debug,
    ) -> Result<RunningServer, ServerError> {
        let server = self.listen(address)?;
        let (address, url, handle) = (server.local_addr(), server.url(), server.handle());
        let (alive, ended) = crossbeam_channel::bounded(0);
        crate::sync::spawn("brooklet-server", move || {
            // Without a runtime nobody is answered, and the drop below tells that it is over.
            let _ended = server.run(std::future::pending());
            drop::<crossbeam_channel::Sender<()>>(alive);
        })
        .map_err(|source| ServerError::Thread { source })?;
        Ok(RunningServer {
            address,
            url,
            handle,
            ended,
        })
    }

    fn listen_on(self, address: impl ToSocketAddrs, text: String) -> Result<Server, ServerError> {
        let failed = |source| ServerError::Listen {
            address: text.clone(),
            source,
        };
        let listener = std::net::TcpListener::bind(&address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let is_exposed = !bound.ip().is_loopback();
        if is_exposed && !self.insecure && !self.service.checks_signatures() {
            return Err(ServerError::Exposed { address: bound });
        }
        let mut gate = self.gate;
        gate.any_address = is_exposed;
        Ok(Server {
            listener,
            address: bound,
            threads: match self.threads {
                0 => crate::sync::core_count(),
                threads => threads,
            },
            shared: PlainArc::new(Shared::new(
                self.service,
                self.settings,
                gate,
                self.tls.as_ref(),
            )),
        })
    }
}

impl ServerHandle {
    /// Ends the server: nobody is let in any more, streams of events end, and requests that are being
    /// answered come to their end. Does not wait for that.
    pub fn shutdown(&self) {
        self.shared.draining.store(true, Ordering::Release);
        self.shared.drained.notify_waiters();
    }
}

impl RunningServer {
    /// The address, with the port that it was given.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address as SDKs want it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the server as [`ServerHandle::shutdown`] does, and waits until it has ended.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.handle.shutdown();
        // Nothing is ever sent: this is the end of the last thread.
        let _ended = self.ended.recv();
    }
}

impl ServerError {
    fn tls(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Tls {
            source: source.into(),
        }
    }
}

/// An address as it was given.
fn text_of(address: &impl fmt::Debug) -> String {
    format!("{address:?}").trim_matches('"').to_owned()
}

impl Shared {
    fn new(service: Service, settings: Settings, gate: Gate, tls: Option<&Tls>) -> Self {
        let mut http1 = http1::Builder::new();
        // Heads have their limit in `watch`, without a timer for each.
        http1
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES_MAX as usize)
            .max_buf_size(64 * 1024);
        let streams = Streams {
            patience: settings.patience.write,
        };
        let mut http2 = http2::Builder::new(streams);
        http2
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_concurrent_streams(128)
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024)
            .max_frame_size(64 * 1024);
        let connections = Connections::new(settings.connections_max, settings.patience);
        Self {
            service,
            gate,
            tls: tls.map(Tls::acceptor),
            http1,
            http2,
            connections: PlainArc::new(connections),
            subscriptions: PlainArc::default(),
            bodies_bytes: AtomicUsize::new(0),
            answers_bytes: PlainArc::default(),
            draining: PlainArc::default(),
            drained: PlainArc::new(Notify::new()),
            settings,
        }
    }

    /// Waits until [`ServerHandle::shutdown`] was called.
    async fn drained(&self) {
        let mut drained = pin!(self.drained.notified());
        // Registered before the flag is read, so that no call is missed between the two.
        drained.as_mut().enable();
        if !self.draining.load(Ordering::Acquire) {
            drained.await;
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            patience: Patience {
                head: Duration::from_secs(10),
                body: Duration::from_secs(30),
                write: Duration::from_secs(30),
                idle: Duration::from_secs(75),
            },
            grace: Duration::from_secs(5),
            connections_max: 1024,
            subscriptions_max: 512,
            body_bytes_max: 16 * 1024 * 1024,
            bodies_bytes_max: 512 * 1024 * 1024,
            answers_bytes_max: 512 * 1024 * 1024,
            on_answer: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("patience", &self.patience)
            .field("grace", &self.grace)
            .field("connections_max", &self.connections_max)
            .field("subscriptions_max", &self.subscriptions_max)
            .field("body_bytes_max", &self.body_bytes_max)
            .field("bodies_bytes_max", &self.bodies_bytes_max)
            .field("answers_bytes_max", &self.answers_bytes_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("service", &self.service)
            .field("settings", &self.settings)
            .field("gate", &self.gate)
            .field("connections", &self.connections.count())
            .finish_non_exhaustive()
    }
}
