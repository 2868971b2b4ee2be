//! A client over a bare socket.

use std::io::{ErrorKind, Read, Write};
#[cfg(target_os = "linux")]
use std::net::Shutdown;
use std::net::{SocketAddr, TcpStream};

use crate::PATIENCE;

/// A connection that says what a test wants.
pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it is not zero");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("it is not zero");
        stream.set_nodelay(true).expect("it is a socket");
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the server reads");
    }

    /// Sends as much as the server takes.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next answer.
    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("the server answers")
    }

    /// Waits until the next answer has begun, and takes no more of it.
    pub fn begins(&mut self) {
        assert!(!self.read.is_empty() || self.fill(), "the server answers");
    }

    /// The next answer, unless the connection ends before it.
    pub fn try_answer(&mut self) -> Option<Answer> {
        let head_bytes = loop {
            match find(&self.read, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if self.fill() => {}
                None => return None,
            }
        };
        let head: Vec<_> = self.read.drain(..head_bytes).collect();
        let head = String::from_utf8(head).expect("heads are text");
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().expect("there is a first line");
        let status = first.split(' ').nth(1).expect("a status is second");
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header has a colon");
            (name.to_owned(), value.to_owned())
        });
        let mut answer = Answer {
            status: status.parse().expect("a status is a number"),
            headers: headers.collect(),
            body: Vec::new(),
        };
        let length = answer.header("content-length").unwrap_or("0");
        let length = length.parse().expect("a length is a number");
        while self.read.len() < length {
            if !self.fill() {
                return None;
            }
        }
        answer.body = self.read.drain(..length).collect();
        Some(answer)
    }

    /// Sends, and takes the answer.
    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes);
        self.answer()
    }

    /// Exactly so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.fill(), "the connection ended after {:?}", self.read);
        }
        self.read.drain(..count).collect()
    }

    /// Waits until the server ends the connection, and gives what it said until then.
    pub fn end(mut self) -> Vec<u8> {
        while self.fill() {}
        self.read
    }

    /// Says that nothing more comes, and waits until the server has read everything that did.
    #[cfg(target_os = "linux")]
    pub fn finish(self) -> Vec<u8> {
        // The server may have ended the connection already.
        let _shut = self.stream.shutdown(Shutdown::Write);
        self.end()
    }

    /// Reads some more; `false` at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut piece) {
                // The end of a process that another test started: a socket with a time-out does not go
                // on by itself.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server neither answers nor ends the connection")
            }
            // Reset: what was sent last was not read.
            Err(_) => false,
        }
    }
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// A call of an operation, with any credentials.
pub fn call(operation: &str, body: &str) -> String {
    call_with(operation, "", body)
}

/// A call of an operation with more headers, each ended by CR LF.
pub fn call_with(operation: &str, headers: &str, body: &str) -> String {
    format!(
        "{}{headers}Content-Length: {}\r\n\r\n{body}",
        head(operation),
        body.len()
    )
}

/// The head of a call, but for what says how long the body is.
pub fn head(operation: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n{}",
        headers(operation)
    )
}

/// The headers of a call but for the host.
pub fn headers(operation: &str) -> String {
    format!(
        "Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
         X-Amz-Date: 20231114T221320Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=a/20231114/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0\r\n"
    )
}
