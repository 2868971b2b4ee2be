//! One connection: from its first bytes, which say what it speaks, to its end.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};

use bytes::{Bytes, BytesMut};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Shared;
use crate::server::exchange::{Exchanges, Transport, Upgrade};
use crate::server::gate::KnownHost;
use crate::server::socket::{Socket, Watched};
use crate::server::watch::{Admitted, Order, Watch};
use crate::sync::{Mutex, PlainArc};

/// What a client that speaks HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before the content of a frame of HTTP/2.
const FRAME_HEAD_BYTES: usize = 9;

/// The longest first frame of a client that was told to go on in HTTP/2: the default of the protocol.
const FIRST_FRAME_BYTES_MAX: usize = 16 * 1024;

/// The head of the stream that answers the request with which a client asked for HTTP/2: `POST`,
/// `http` and `/` out of the protocol's table, at the end of headers and stream. What it stands for is
/// the request that is kept.
const FIRST_STREAM: &[u8] = &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x83, 0x86, 0x84];

const READ_BYTES: usize = 8 * 1024;

/// Serves a connection in a task of its own.
pub(crate) fn spawn(shared: &PlainArc<Shared>, stream: TcpStream, admitted: Admitted) {
    let shared = PlainArc::clone(shared);
    tokio::spawn(async move {
        let watch = PlainArc::clone(&admitted.watch);
        let work = async {
            // An error is the client's: it is gone, or does not speak any protocol of ours.
            let _ended = serve(&shared, stream, &watch).await;
        };
        watch.obey(work).await;
        drop(admitted);
    });
}

/// Tells a client that there are too many.
pub(crate) async fn turn_away(stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
                            content-length: 0\r\n\r\n";
    let mut stream = stream;
    // It fits into the socket's buffer.
    let _sent = stream.write_all(ANSWER).await;
}

async fn serve(
    shared: &PlainArc<Shared>,
    stream: TcpStream,
    watch: &PlainArc<Watch>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut socket, http1) = match &shared.tls {
        None => (Socket::Plain(stream), Transport::Http1),
        Some(tls) => {
            let stream = Box::new(tls.accept(stream).await?);
            (Socket::Tls(stream), Transport::Http1OverTls)
        }
    };
    let first = read_first(&mut socket).await?;
    if first.starts_with(PREFACE) {
        serve_http2(shared, socket, first, watch, Upgrade::None).await;
        return Ok(());
    }
    let Some((socket, first, request)) = serve_http1(shared, socket, first, watch, http1).await
    else {
        return Ok(());
    };
    // The client goes on in HTTP/2, and is to get the answer to its request there.
    let (mut socket, mut first) = (socket, BytesMut::from(first));
    read_opening(&mut socket, &mut first).await?;
    serve_http2(shared, socket, first.freeze(), watch, request).await;
    Ok(())
}

/// Reads until it is clear what is spoken.
async fn read_first(socket: &mut Socket) -> io::Result<Bytes> {
    let mut read = BytesMut::with_capacity(READ_BYTES);
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        if socket.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(read.freeze())
}

/// Reads how a client opens HTTP/2, and puts the head of the first stream behind it, which it does not
/// send itself (RFC 7540, 3.2).
async fn read_opening(socket: &mut Socket, read: &mut BytesMut) -> io::Result<()> {
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let mut needed = PREFACE.len() + FRAME_HEAD_BYTES;
    loop {
        while read.len() < needed {
            if socket.read_buf(read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let frame = &read[PREFACE.len()..];
        let frame_bytes =
            usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
        // The first frame has to be the settings.
        let is_settings = read.starts_with(PREFACE) && frame[3] == 4;
        if !is_settings || frame_bytes > FIRST_FRAME_BYTES_MAX {
            return Err(broken());
        }
        let end = PREFACE.len() + FRAME_HEAD_BYTES + frame_bytes;
        if read.len() >= end {
            let rest = read.split_off(end);
            read.extend_from_slice(FIRST_STREAM);
            read.extend_from_slice(&rest);
            return Ok(());
        }
        needed = end;
    }
}

/// Serves HTTP/1; `Some` if the client asked to go on in HTTP/2.
async fn serve_http1(
    shared: &PlainArc<Shared>,
    socket: Socket,
    first: Bytes,
    watch: &PlainArc<Watch>,
    transport: Transport,
) -> Option<(Socket, Bytes, Upgrade)> {
    let exchanges = &exchanges(shared, watch, transport, Upgrade::None);
    let watched = Watched::new(socket, first, PlainArc::clone(watch), true);
    let service = service_fn(|request| exchanges.answer(request));
    let connection = shared
        .http1
        .serve_connection(TokioIo::new(watched), service);
    let mut connection = pin!(connection.with_upgrades());
    run(watch, connection.as_mut(), |connection| {
        connection.graceful_shutdown()
    })
    .await;

    let told = std::mem::take(&mut *exchanges.upgrade.lock());
    let Upgrade::Told(upgrade, request) = told else {
        return None;
    };
    let upgraded = upgrade.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<Watched>>().ok()?;
    let socket = parts.io.into_inner().into_socket();
    Some((socket, parts.read_buf, Upgrade::Done(request)))
}

async fn serve_http2(
    shared: &PlainArc<Shared>,
    socket: Socket,
    first: Bytes,
    watch: &PlainArc<Watch>,
    upgrade: Upgrade,
) {
    watch.reads_no_heads();
    let exchanges = PlainArc::new(exchanges(shared, watch, Transport::Http2, upgrade));
    let watched = Watched::new(socket, first, PlainArc::clone(watch), false);
    let service = service_fn(move |request| {
        let exchanges = PlainArc::clone(&exchanges);
        async move { exchanges.answer(request).await }
    });
    let connection = shared
        .http2
        .serve_connection(TokioIo::new(watched), service);
    let connection = pin!(connection);
    run(watch, connection, |connection| {
        connection.graceful_shutdown()
    })
    .await;
}

fn exchanges(
    shared: &PlainArc<Shared>,
    watch: &PlainArc<Watch>,
    transport: Transport,
    upgrade: Upgrade,
) -> Exchanges {
    Exchanges {
        shared: PlainArc::clone(shared),
        watch: PlainArc::clone(watch),
        transport,
        known_host: KnownHost::default(),
        upgrade: Mutex::new(upgrade),
    }
}

/// Runs a connection to its end, and has it finish when it is told to.
async fn run<C: Future>(watch: &Watch, mut connection: Pin<&mut C>, finish: impl Fn(Pin<&mut C>)) {
    let mut finishing = false;
    poll_fn(|context| {
        if !finishing && watch.order() >= Order::Finish {
            finishing = true;
            finish(connection.as_mut());
        }
        connection.as_mut().poll(context).map(|_| ())
    })
    .await;
}
