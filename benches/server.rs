//! What the endpoint costs: processor time of the server's process for a request, beside a handler that
//! does nothing on the same HTTP stack; the time from its start to its first answer; the time from a put
//! to who has subscribed; its memory.
//!
//! ```text
//! cargo bench --features server --bench server
//! cargo bench --features server --bench server -- latency     one of requests, start, latency, memory
//! ```
//!
//! Varies: the request (one record of 100 bytes or 1 KiB, 500 records of 1 KiB, a pull of up to 10,000),
//! and who answers. Both are processes of their own, asked in turns over one connection of loopback by
//! the same client; a round is some thousands of requests to one of them, and the ratio is that of
//! neighbouring rounds. The client's own time does not count; it shares a core with both.

use std::fs;
use std::io::{BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use brooklet::protocol::{Body, Encoding, Service};
use brooklet::server::Server;
use brooklet::{Limits, Registry, Stream};
use cpu_time::ProcessTime;

use endpoint::{Client, Peer, from_horizon, line, request};

mod endpoint;

const ROUNDS: usize = 15;
const WARM_UP: usize = 2;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, "serve", who] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return endpoint::serve(match who {
            "brooklet" => serve_brooklet(),
            _ => endpoint::serve_nothing(),
        });
    }
    // What begins with a dash is cargo's.
    let named = arguments[1..].iter().map(String::as_str);
    let named: Vec<_> = named.filter(|name| !name.starts_with('-')).collect();
    for (name, run) in [
        ("requests", requests as fn()),
        ("start", start),
        ("latency", latency),
        ("memory", memory),
    ] {
        if named.is_empty() || named.contains(&name) {
            run();
        }
    }
}

/// Asks both in turns.
fn requests() {
    endpoint::share_a_core();
    let mut brooklet = Peer::start("brooklet");
    let mut nothing = Peer::start("nothing");
    let iterator = iterator(&mut brooklet);
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
            "GetRecords" => text_of(service.call(
                "Kinesis_20131202.GetShardIterator",
                Encoding::Json,
                from_horizon("replay"),
            )),
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

/// The body of a request that pulls a stream with 1,000 records from its beginning.
fn iterator(peer: &mut Peer) -> String {
    let request = request("GetShardIterator", &from_horizon("replay"));
    let text = String::from_utf8_lossy(peer.client.ask(&request));
    let (_, body) = text.split_once("\r\n\r\n").expect("it has a body");
    // An answer with nothing but the iterator is a request with it.
    body.to_owned()
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

/// From the first byte of a put to the last one of the event that has its record, at a client that had
/// subscribed on another connection before; then the same without a socket.
fn latency() {
    const PUTS: usize = 5000;
    const WARM_UP: usize = 500;
    let mut binary = Binary::start();
    let mut nothing = Peer::start("nothing");
    let mut events = Events::subscribe(&mut binary);
    let (mut over_sockets, mut floor) = (Vec::new(), Vec::new());
    for count in 0..WARM_UP + PUTS {
        let request = request("PutRecord", &counted(count));
        let begun = Instant::now();
        binary.client.send(&request);
        events.wait_for(count);
        let took = begun.elapsed();
        assert!(binary.client.answer().starts_with(b"HTTP/1.1 200"));
        let begun = Instant::now();
        nothing.client.ask(&request);
        if count >= WARM_UP {
            floor.push(begun.elapsed().as_secs_f64() * 1e6);
            over_sockets.push(took.as_secs_f64() * 1e6);
        }
    }
    println!("from a put of 1 KiB to the event at a subscriber, us; {PUTS} puts");
    println!(
        "{:28} {}",
        "over two connections",
        percentiles(over_sockets)
    );
    println!(
        "{:28} {}",
        "without a socket",
        percentiles(latency_in_process(PUTS))
    );
    println!(
        "{:28} {}",
        "a handler that does nothing",
        percentiles(floor)
    );
    println!("the bar: well under 1,000; the last line is a request and its answer only\n");
}

/// Microseconds from a call of the service to the event, on a thread that waits for it.
fn latency_in_process(puts: usize) -> Vec<f64> {
    let (service, _registry) = service();
    let call = |operation: &str, body: String| {
        service.call(
            &format!("Kinesis_20131202.{operation}"),
            Encoding::Json,
            body,
        )
    };
    let registered = call("RegisterStreamConsumer", REGISTER.to_owned());
    let subscribed = call("SubscribeToShard", subscribe_body(&text_of(registered)));
    let Body::Events(mut frames) = subscribed.into_body() else {
        panic!("a subscription is answered with events");
    };
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for count in 0..puts {
                let is_it = |frame: &[u8]| has_count(frame, count);
                loop {
                    let next = std::future::poll_fn(|context| {
                        futures_core::Stream::poll_next(std::pin::Pin::new(&mut frames), context)
                    });
                    let frame = futures_executor::block_on(next).expect("it goes on");
                    if is_it(&frame) {
                        break;
                    }
                }
                tell.send(Instant::now()).expect("it is waited for");
            }
        });
        let rounds = (0..puts).map(|count| {
            let body = counted(count);
            let begun = Instant::now();
            assert_eq!(call("PutRecord", body).status(), 200);
            let there = told.recv().expect("it is told");
            there.duration_since(begun).as_secs_f64() * 1e6
        });
        rounds.collect()
    })
}

const REGISTER: &str = r#"{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders","ConsumerName":"audit"}"#;

/// The body of a subscription for the consumer that was registered, from its answer.
fn subscribe_body(registered: &str) -> String {
    let registered: serde_json::Value = serde_json::from_str(registered).expect("it is JSON");
    let consumer = registered["Consumer"]["ConsumerARN"].as_str();
    let consumer = consumer.expect("it is registered");
    format!(
        r#"{{"ConsumerARN":"{consumer}","ShardId":"shardId-000000000000","StartingPosition":{{"Type":"LATEST"}}}}"#
    )
}

/// The body of a put of 1 KiB that can be told from all others.
fn counted(count: usize) -> String {
    let rest = "A".repeat(1024 / 3 * 4 - 8);
    format!(r#"{{"StreamName":"orders","PartitionKey":"customer-17","Data":"{count:08}{rest}"}}"#)
}

/// Whether an event has that record.
fn has_count(event: &[u8], count: usize) -> bool {
    let data = format!("\"Data\":\"{count:08}");
    event
        .windows(data.len())
        .any(|window| window == data.as_bytes())
}

fn percentiles(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| values[values.len() * percent / 100];
    let (p50, p99, last) = (at(50), at(99), values[values.len() - 1]);
    format!("p50 {p50:>8.1}   p99 {p99:>8.1}   longest {last:>8.1}")
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

/// The events of a subscription, over a connection of their own.
struct Events {
    stream: BufReader<TcpStream>,
    chunk: Vec<u8>,
}

impl Events {
    fn subscribe(binary: &mut Binary) -> Self {
        let answer = binary
            .client
            .ask(&request("RegisterStreamConsumer", REGISTER));
        let text = String::from_utf8_lossy(answer);
        let (_, registered) = text.split_once("\r\n\r\n").expect("it has a body");
        let body = subscribe_body(registered);
        let address = binary.client.stream.peer_addr().expect("it is connected");
        let mut client = Client::connect(address);
        client.send(&request("SubscribeToShard", &body));
        let mut stream = BufReader::with_capacity(64 * 1024, client.stream);
        assert_eq!(line(&mut stream), "HTTP/1.1 200 OK");
        while !line(&mut stream).is_empty() {}
        let mut events = Self {
            stream,
            chunk: Vec::new(),
        };
        // The first frame, and the first event, which has nothing in it.
        for _ in 0..2 {
            events.next();
        }
        events
    }

    /// The next frame: each is a chunk of the body.
    fn next(&mut self) -> &[u8] {
        let bytes = usize::from_str_radix(&line(&mut self.stream), 16).expect("it is a length");
        self.chunk.resize(bytes + 2, 0);
        self.stream.read_exact(&mut self.chunk).expect("it goes on");
        &self.chunk[..bytes]
    }

    fn wait_for(&mut self, count: usize) {
        // There may be events without records meanwhile.
        while !has_count(self.next(), count) {}
    }
}

/// A service with a stream to put into, and one with records to pull.
fn service() -> (Service, Registry) {
    let registry = Registry::new();
    // Full after the first rounds: what comes after them is in memory that was used before.
    let orders = Stream::builder("orders")
        .limits(Limits::unlimited())
        .capacity_bytes(16 * 1024 * 1024);
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
