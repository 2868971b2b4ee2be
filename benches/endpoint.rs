//! Servers in processes of their own, and a client that asks them: what the benches of the endpoint
//! share with those of its peers.

use std::future::poll_fn;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use brooklet::protocol::Body;
use bytes::Bytes;
use cpu_time::ProcessTime;
use http::{HeaderName, HeaderValue};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

/// A server in a process of its own, which says what it has cost.
pub struct Peer {
    child: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
    pub client: Client,
}

impl Peer {
    pub fn start(who: &str) -> Self {
        let program = std::env::current_exe().expect("a process has a program");
        let mut child = Command::new(program)
            .args(["serve", who])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run again");
        let ask = child.stdin.take().expect("it is piped");
        let mut told = BufReader::new(child.stdout.take().expect("it is piped"));
        let address = line(&mut told).parse().expect("it is an address");
        Self {
            child,
            ask,
            told,
            client: Client::connect(address),
        }
    }

    /// Processor time so far.
    fn cost(&mut self) -> Duration {
        self.ask.write_all(b"\n").expect("it listens");
        Duration::from_nanos(line(&mut self.told).parse().expect("it is a number"))
    }

    /// Microseconds for one of many requests.
    pub fn round(&mut self, request: &[u8], count: u32) -> f64 {
        let before = self.cost();
        for _ in 0..count {
            let answer = self.client.ask(request);
            assert!(
                answer.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(answer)
            );
        }
        (self.cost() - before).as_secs_f64() * 1e6 / f64::from(count)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().expect("it still serves");
        self.child.wait().expect("it ends");
    }
}

/// Has this thread, and the servers that it starts from now on, share one core, where there is a `taskset`:
/// on a virtual machine, to wake a thread on another core costs several times what a request does, and
/// differs as much from one to the next. Client and server work in turns, so neither waits for the core.
pub fn share_a_core() {
    let process = std::process::id().to_string();
    let mut pin = Command::new("taskset");
    pin.args(["--cpu-list", "--pid", "0", &process]);
    match pin.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => {}
        _ => println!("not on one core: there is no taskset, or no core 0"),
    }
}

pub fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("it can be read");
    line.trim().to_owned()
}

/// A client that costs little itself.
pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("it is a socket");
        Self {
            stream,
            read: vec![0; 16 * 1024 * 1024],
        }
    }

    /// Sends a request, and reads the answer whole.
    pub fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.send(request);
        self.answer()
    }

    pub fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the server reads");
    }

    pub fn answer(&mut self) -> &[u8] {
        let mut filled = 0;
        let mut end = None;
        while end.is_none_or(|end| filled < end) {
            let count = self
                .stream
                .read(&mut self.read[filled..])
                .expect("it answers");
            assert_ne!(count, 0, "the server ended the connection");
            filled += count;
            end = end.or_else(|| end_of(&self.read[..filled]));
        }
        &self.read[..filled]
    }
}

/// Where an answer ends, once its head is there.
fn end_of(read: &[u8]) -> Option<usize> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&read[..head]).expect("heads are text");
    let mut lines = text.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("it is a number"));
    Some(head + 4 + length)
}

/// The body of a request for an iterator at the beginning of a stream's only shard.
pub fn from_horizon(stream: &str) -> String {
    format!(
        r#"{{"StreamName":"{stream}","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}}"#
    )
}

/// A request as boto3 sends it.
pub fn request(operation: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:4567\r\nAccept-Encoding: identity\r\n\
         X-Amz-Target: Kinesis_20131202.{operation}\r\nContent-Type: application/x-amz-json-1.1\r\n\
         User-Agent: Boto3/1.38.0 md/Botocore#1.38.0 ua/2.1 os/linux#6.8 md/arch#x86_64 \
         lang/python#3.12.3 md/pyimpl#CPython cfg/retry-mode#legacy\r\n\
         X-Amz-Date: 20231114T221320Z\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=test/20231114/us-east-1/kinesis/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
         Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n\
         amz-sdk-invocation-id: 01234567-89ab-cdef-0123-456789abcdef\r\n\
         amz-sdk-request: attempt=1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Says where it serves and, whenever the parent asks, what that has cost; until the parent kills this
/// process.
pub fn serve(address: SocketAddr) {
    println!("{address}");
    for _ in std::io::stdin().lines() {
        println!("{}", ProcessTime::now().as_duration().as_nanos());
    }
}

/// A handler that reads the request and answers as many bytes in as many headers as the service, all the
/// same ones, on a plain hyper.
pub fn serve_nothing() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    listener.set_nonblocking(true).expect("it is a socket");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("there is a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is a socket");
            loop {
                let (stream, _) = listener.accept().await.expect("somebody connects");
                stream.set_nodelay(true).expect("it is a socket");
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(do_nothing)),
                );
            }
        });
    });
    address
}

async fn do_nothing(
    request: http::Request<Incoming>,
) -> Result<http::Response<Body>, std::convert::Infallible> {
    const ANSWER: &[u8] = br#"{"SequenceNumber":"49649400000000000000000000000000000000000000000000000000","ShardId":"shardId-000000000000"}"#;
    static HEADERS: [(HeaderName, HeaderValue); 3] = [
        (
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-amz-json-1.1"),
        ),
        (
            HeaderName::from_static("x-amzn-requestid"),
            HeaderValue::from_static("01234567-89ab-4cde-8f01-23456789abcd"),
        ),
        (
            HeaderName::from_static("x-amz-id-2"),
            HeaderValue::from_static(
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
                 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            ),
        ),
    ];
    let mut body = request.into_body();
    // Whatever it is, it is read.
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        drop(frame);
    }
    let mut response = http::Response::new(Body::Whole(Bytes::from_static(ANSWER)));
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers.insert(name, value.clone());
    }
    Ok(response)
}
