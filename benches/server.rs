//! What the endpoint costs: processor time of the server's process for a request, beside a handler that
//! does nothing on the same HTTP stack; the time from its start to its first answer; its memory.
//!
//! ```text
//! cargo bench --features server --bench server
//! ```
//!
//! Varies: the request (one record of 100 bytes or 1 KiB, 500 records of 1 KiB, a pull of up to 10,000),
//! and who answers. Both are processes of their own, asked in turns over one connection of loopback by
//! the same client; a round is some thousands of requests to one of them, and the ratio is that of
//! neighbouring rounds. The client's own time does not count.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use brooklet::protocol::{Body, Encoding, Service};
use brooklet::server::Server;
use brooklet::{Limits, Registry, Stream};
use cpu_time::ProcessTime;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

const ROUNDS: usize = 15;
const WARM_UP: usize = 2;

/// Where a pull begins: a stream with 1,000 records.
const GET_ITERATOR: (&str, &str) = (
    "Kinesis_20131202.GetShardIterator",
    r#"{"StreamName":"replay","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}"#,
);

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "serve", who] => serve(who),
        _ => {
            requests();
            start();
            memory();
        }
    }
}

/// Asks both in turns.
fn requests() {
    let mut brooklet = Peer::start("brooklet");
    let mut nothing = Peer::start("nothing");
    let iterator = brooklet.iterator();
    let record = |bytes: usize| {
        let data = "A".repeat(bytes.div_ceil(3) * 4);
        format!(r#""PartitionKey":"customer-17","Data":"{data}""#)
    };
    let many = vec![format!("{{{}}}", record(1024)); 500].join(",");
    let put = |bytes| format!(r#"{{"StreamName":"orders",{}}}"#, record(bytes));
    let cases = [
        ("put_record, 100 bytes", "PutRecord", put(100), 4000, 1),
        ("put_record, 1 KiB", "PutRecord", put(1024), 4000, 1),
        // What comes before the service and after it.
        ("health, 100 bytes", "PutRecord", put(100), 4000, 1),
        (
            "put_records, 500 x 1 KiB",
            "PutRecords",
            format!(r#"{{"StreamName":"orders","Records":[{many}]}}"#),
            40,
            500,
        ),
        (
            "get_records, 1,000 x 1 KiB",
            "GetRecords",
            iterator,
            40,
            1000,
        ),
    ];
    println!("processor time of the server, us; the median of {ROUNDS} rounds, min..max");
    println!(
        "{:28} {:>26} {:>26} {:>7} {:>16}",
        "", "brooklet", "does nothing", "ratio", "without a socket"
    );
    let (service, _registry) = service();
    for (name, operation, body, count, records) in cases {
        let mut request = request(operation, &body);
        if name.starts_with("health") {
            let rest = request.split_off("POST /".len());
            request = [b"GET /health".as_slice(), &rest].concat();
        }
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS + WARM_UP {
            let (our, their) = if round % 2 == 0 {
                let our = brooklet.round(&request, count);
                (our, nothing.round(&request, count))
            } else {
                let their = nothing.round(&request, count);
                (brooklet.round(&request, count), their)
            };
            if round >= WARM_UP {
                ours.push(our);
                theirs.push(their);
                ratios.push(our / their);
            }
        }
        let our = spread(&mut ours);
        let their = spread(&mut theirs);
        ratios.sort_by(f64::total_cmp);
        let body = match operation {
            // An iterator is good where it was made.
            "GetRecords" => text_of(service.call(GET_ITERATOR.0, Encoding::Json, GET_ITERATOR.1)),
            _ => body,
        };
        let alone = in_process(&service, operation, &body, count);
        println!(
            "{name:28} {our:>26} {their:>26} {:>7.2} {alone:>16.2}",
            ratios[ratios.len() / 2]
        );
        if records > 1 {
            let each = ours[ours.len() / 2] / f64::from(records);
            println!("{:28} {each:>13.2} a record", "");
        }
    }
    println!("the bar: a put_record at most 1.20, put_records 1.4 us a record, get_records 1.1\n");
}

fn text_of(response: http::Response<Body>) -> String {
    match response.into_body() {
        Body::Whole(bytes) => String::from_utf8(bytes.into()).expect("it is text"),
        other => panic!("the answer is {other:?}"),
    }
}

/// Microseconds that the service alone takes for a request, in this process.
fn in_process(service: &Service, operation: &str, body: &str, count: u32) -> f64 {
    let text = String::from_utf8(request(operation, "")).expect("it is text");
    let headers = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let builder = http::Request::builder().method("POST").uri("/");
    let request = headers
        .fold(builder, |builder, (name, value)| {
            builder.header(name, value)
        })
        .body(bytes::Bytes::copy_from_slice(body.as_bytes()))
        .expect("it is a request");
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let begun = ProcessTime::now();
            for _ in 0..count {
                drop(std::hint::black_box(service.respond(&request)));
            }
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// From the start of the binary to its first answer.
fn start() {
    let request = request("ListStreams", "{}");
    let mut took: Vec<_> = (0..21)
        .map(|_| {
            let begun = Instant::now();
            let mut binary = Binary::start();
            let answer = binary.client.ask(&request);
            let took = begun.elapsed();
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            took.as_secs_f64() * 1e3
        })
        .collect();
    println!(
        "from the start of the binary to its first answer, ms: {}",
        spread(&mut took)
    );
    println!("the bar: 5\n");
}

/// What the binary keeps for 200,000 records.
fn memory() {
    const RECORDS: usize = 200_000;
    let mut binary = Binary::start();
    let data = "A".repeat(1024 / 3 * 4);
    let record = format!(r#"{{"PartitionKey":"customer-17","Data":"{data}"}}"#);
    let many = vec![record; 500].join(",");
    let request = request(
        "PutRecords",
        &format!(r#"{{"StreamName":"orders","Records":[{many}]}}"#),
    );
    for _ in 0..RECORDS / 500 {
        assert!(binary.client.ask(&request).starts_with(b"HTTP/1.1 200"));
    }
    let path = format!("/proc/{}/status", binary.child.id());
    let Ok(status) = fs::read_to_string(path) else {
        println!("this system does not say how much memory a process has");
        return;
    };
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    let kib: f64 = kib
        .and_then(|kib| kib.parse().ok())
        .expect("it is a number");
    let payload = (RECORDS * (1024 / 3 * 3)) as f64;
    println!(
        "resident after {RECORDS} records of 1 KiB: {:.0} MiB, {:.2} of the payload",
        kib / 1024.0,
        kib * 1024.0 / payload
    );
    println!("the bar: 1.10");
}

/// The median, and how far the rest is from it. Sorts.
fn spread(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let (median, last) = (values[values.len() / 2], values[values.len() - 1]);
    format!("{median:.2} ({:.2}..{last:.2})", values[0])
}

/// A server in a process of its own, which says what it has cost.
struct Peer {
    child: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
    client: Client,
}

impl Peer {
    fn start(who: &str) -> Self {
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
    fn round(&mut self, request: &[u8], count: u32) -> f64 {
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

    /// The body of a pull from the beginning of a stream with 1,000 records.
    fn iterator(&mut self) -> String {
        let answer = self
            .client
            .ask(&request("GetShardIterator", GET_ITERATOR.1));
        let text = String::from_utf8_lossy(answer);
        let (_, body) = text.split_once("\r\n\r\n").expect("it has a body");
        body.to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().expect("it still serves");
        self.child.wait().expect("it ends");
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("it can be read");
    line.trim().to_owned()
}

/// The program `brooklet`.
struct Binary {
    child: Child,
    client: Client,
}

impl Binary {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_brooklet"))
            .args(["serve", "--port=0", "--create=orders:1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let stdout = child.stdout.as_mut().expect("it is piped");
        let line = line(&mut BufReader::new(stdout));
        let (_, address) = line.rsplit_once("://").expect("the line has an address");
        let address = address.parse().expect("it is an address");
        Self {
            child,
            client: Client::connect(address),
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        self.child.kill().expect("it still serves");
        self.child.wait().expect("it ends");
    }
}

/// A client that costs little itself.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("it is a socket");
        Self {
            stream,
            read: vec![0; 16 * 1024 * 1024],
        }
    }

    /// Sends a request, and reads the answer whole.
    fn ask(&mut self, request: &[u8]) -> &[u8] {
        self.stream.write_all(request).expect("the server reads");
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

/// A request as boto3 sends it.
fn request(operation: &str, body: &str) -> Vec<u8> {
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

/// Serves until the parent kills this process, and says what that has cost whenever it asks.
fn serve(who: &str) {
    let address = match who {
        "brooklet" => serve_brooklet(),
        _ => serve_nothing(),
    };
    println!("{address}");
    for _ in std::io::stdin().lines() {
        println!("{}", ProcessTime::now().as_duration().as_nanos());
    }
}

/// A service with a stream to put into, and one with records to pull.
fn service() -> (Service, Registry) {
    let registry = Registry::new();
    let orders = Stream::builder("orders").limits(Limits::unlimited());
    registry.create(orders).expect("the name is free");
    let replay = Stream::builder("replay");
    let replay = registry.create(replay).expect("the name is free");
    for _ in 0..1000 {
        let data = vec![b'x'; 1024];
        let put = replay.producer().put_record("customer-17", data);
        put.expect("it is open");
    }
    (Service::new(&registry), registry)
}

fn serve_brooklet() -> SocketAddr {
    let (service, _registry) = service();
    let server = Server::start(&service).expect("loopback");
    let address = server.local_addr();
    // It serves as long as the process lives.
    std::mem::forget(server);
    address
}

/// A handler that reads the request and answers as briefly as the service, on a plain hyper.
fn serve_nothing() -> SocketAddr {
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
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<Body>, std::convert::Infallible> {
    const ANSWER: &[u8] = br#"{"SequenceNumber":"49649400000000000000000000000000000000000000000000000000","ShardId":"shardId-000000000000"}"#;
    let mut body = request.into_body();
    while let Some(frame) = std::future::poll_fn(|context| {
        http_body::Body::poll_frame(std::pin::Pin::new(&mut body), context)
    })
    .await
    {
        // Whatever it is, it is read.
        drop(frame);
    }
    let mut response = http::Response::new(Body::Whole(bytes::Bytes::from_static(ANSWER)));
    let content_type = http::HeaderValue::from_static("application/x-amz-json-1.1");
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, content_type);
    Ok(response)
}
