//! A connection's bytes, in clear or not, with an eye on how they flow.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::server::watch::Watch;
use crate::sync::PlainArc;

/// What a client has to take within the limit for writing, to count as one that takes anything.
const TAKEN_BYTES_MIN: usize = 64 * 1024;

/// Pieces of up to so many bytes together are copied behind each other: that costs less than to have the
/// system gather them. Head and body of most answers are no longer.
const GATHERED_BYTES_MAX: usize = 1024;

/// A connection in clear, or over TLS.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that is watched.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: Socket,
    /// What was read already, and is to be read again.
    again: Bytes,
    watch: PlainArc<Watch>,
    /// Whether it speaks HTTP/1, of which heads are watched.
    has_heads: bool,
    /// What the client has taken since it was blocked.
    taken_bytes: usize,
}

impl Watched {
    pub(crate) const fn new(
        socket: Socket,
        again: Bytes,
        watch: PlainArc<Watch>,
        has_heads: bool,
    ) -> Self {
        Self {
            socket,
            again,
            watch,
            has_heads,
            taken_bytes: 0,
        }
    }

    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }

    fn has_written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.watch.is_blocked(),
            Poll::Ready(Ok(bytes)) => {
                self.taken_bytes = self.taken_bytes.saturating_add(*bytes);
                if self.taken_bytes >= TAKEN_BYTES_MIN {
                    self.is_unblocked();
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    fn is_unblocked(&mut self) {
        self.taken_bytes = 0;
        self.watch.is_unblocked();
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if this.again.is_empty() {
            ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
        } else {
            let length = this.again.len().min(buffer.remaining());
            buffer.put_slice(&this.again[..length]);
            this.again.advance(length);
        }
        let read = &buffer.filled()[before..];
        if this.has_heads && !read.is_empty() {
            this.watch.read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.has_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        let mut room = [0; GATHERED_BYTES_MAX];
        let written = match gathered(pieces, &mut room) {
            Some(bytes) => socket.poll_write(context, bytes),
            None => socket.poll_write_vectored(context, pieces),
        };
        self.has_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Called when all is written: whatever blocked is over then.
        let flushed = Pin::new(&mut self.socket).poll_flush(context);
        match flushed.is_ready() {
            true => self.is_unblocked(),
            false => self.watch.is_blocked(),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.socket).poll_shutdown(context);
        if shut.is_pending() {
            self.watch.is_blocked();
        }
        shut
    }
}

/// Pieces behind each other, if there is room for them.
fn gathered<'a>(pieces: &[IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let bytes = pieces.iter().map(|piece| piece.len()).sum();
    let room = room.get_mut(..bytes)?;
    let mut rest = &mut *room;
    for piece in pieces {
        rest.put_slice(piece);
    }
    Some(room)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
            Self::Tls(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_gathered_in_their_order_as_long_as_there_is_room() {
        let pieces = [b"head", &b""[..], b"body"].map(IoSlice::new);
        assert_eq!(gathered(&pieces, &mut [0; 9]), Some(&b"headbody"[..]));
        assert_eq!(gathered(&pieces, &mut [0; 8]), Some(&b"headbody"[..]));
        assert_eq!(gathered(&pieces, &mut [0; 7]), None);
        assert_eq!(gathered(&[], &mut [0; 7]), Some(&b""[..]));
    }
}
