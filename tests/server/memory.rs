//! What attacks that aim at memory cost the process of the endpoint, as a user starts it.
//!
//! Each has a process of its own, so that its peak is that of the attack. What is compared with the
//! bound is that peak, which nothing has to be in time for; what a client sends has been read when
//! others, who came later, were answered, or when the connection has ended.

use crate::binary::{Serving, program};
use crate::client::{Client, call, head};
use crate::http2::frame as next_frame;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The largest head, and the largest body, of a request.
const HEAD_BYTES: u64 = 16 * KIB;
const BODY_BYTES: u64 = 16 * MIB;
/// Buffers of a connection, each of which grows by doubling: what was read, and what is kept of the head
/// to be looked at again.
const BUFFERS: u64 = 6 * HEAD_BYTES;
/// What the process may take for what is not of the attack: buffers, threads' heaps, pages of code that
/// is run for the first time.
const REST: u64 = 12 * MIB;
/// Connections at once: half of what the endpoint allows, as a process may have 1,024 files.
const CROWD: u64 = 500;

/// An endpoint that is attacked.
struct Attacked {
    serving: Serving,
    before: u64,
}

impl Attacked {
    fn start() -> Self {
        let serving = Serving::start(&mut program(&["serve", "--port=0", "--create=orders:1"]));
        let mut attacked = Self { serving, before: 0 };
        attacked.others_are_answered();
        attacked.before = attacked.peak();
        attacked
    }

    fn connect(&self) -> Client {
        Client::connect(self.serving.address())
    }

    /// Asks on connections that are new, some on each thread of the endpoint.
    fn others_are_answered(&self) {
        for _ in 0..16 {
            let answer = self.connect().ask(call("ListStreams", "{}"));
            assert_eq!(answer.status, 200);
        }
    }

    /// The most memory that the process had so far.
    fn peak(&self) -> u64 {
        let path = format!("/proc/{}/status", self.serving.id());
        let status = std::fs::read_to_string(path).expect("it lives");
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("in kB") * KIB
    }

    /// Asserts that the attack has taken no more than this so far, and that others are answered.
    #[track_caller]
    fn has_taken_at_most(&self, bytes: u64) {
        self.others_are_answered();
        let taken = self.peak() - self.before;
        let (taken_kib, most_kib) = (taken / KIB, (bytes + REST) / KIB);
        assert!(taken <= bytes + REST, "{taken_kib} KiB, at most {most_kib}");
    }
}

#[test]
fn heads_that_do_not_end_take_little_each() {
    let attacked = Attacked::start();
    let half = format!(
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Filler: {}",
        "a".repeat(14 * 1024)
    );
    let mut crowd: Vec<_> = (0..CROWD).map(|_| attacked.connect()).collect();
    for client in &mut crowd {
        client.send(&half);
    }
    attacked.has_taken_at_most(CROWD * BUFFERS);
    // All of them were there at the same time.
    for client in &mut crowd {
        assert_eq!(client.ask("\r\n\r\n").status, 200);
    }
    attacked.has_taken_at_most(CROWD * BUFFERS);
}

#[test]
fn heads_that_never_end_are_cut_off() {
    let attacked = Attacked::start();
    let piece = format!("X-Filler: {}\r\n", "a".repeat(1000)).repeat(64);
    let crowd: Vec<_> = (0..CROWD / 5)
        .map(|_| {
            let mut client = attacked.connect();
            client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n");
            let _refused = (0..8).all(|_| client.try_send(&piece));
            client
        })
        .collect();
    for client in crowd {
        // Whether the refusal is still to be read is up to the system.
        let _refusal = client.end();
    }
    attacked.has_taken_at_most(CROWD / 5 * BUFFERS);
}

#[test]
fn bodies_that_are_promised_take_what_was_sent() {
    const SENT: u64 = 16 * KIB;
    let attacked = Attacked::start();
    let start = format!(
        "{}Content-Length: {BODY_BYTES}\r\n\r\n{}",
        head("PutRecord"),
        "a".repeat(usize::try_from(SENT).expect("it is small"))
    );
    let mut crowd: Vec<_> = (0..CROWD).map(|_| attacked.connect()).collect();
    for client in &mut crowd {
        client.send(&start);
    }
    attacked.has_taken_at_most(CROWD * (SENT + BUFFERS));
}

#[test]
fn a_body_that_is_too_long_takes_no_more_than_the_longest() {
    let attacked = Attacked::start();
    let mebibyte = "a".repeat(1024 * 1024);
    let chunk = format!("100000\r\n{mebibyte}\r\n");
    let endless = head("PutRecord") + "Transfer-Encoding: chunked\r\n\r\n";
    let lying = head("PutRecord") + "Content-Length: 67108864\r\n\r\n";
    for (start, piece) in [(endless, &chunk), (lying, &mebibyte)] {
        let mut client = attacked.connect();
        client.send(start);
        let _refused = (0..80).all(|_| client.try_send(piece));
        let said = client.end();
        let head = String::from_utf8_lossy(&said);
        assert!(
            said.is_empty() || head.starts_with("HTTP/1.1 413"),
            "{head}"
        );
    }
    // The buffer grows by doubling.
    attacked.has_taken_at_most(2 * BODY_BYTES);
}

#[test]
fn bodies_of_very_many_small_things_take_no_more_than_their_bytes() {
    const JSON: &str = "application/x-amz-json-1.1";
    const CBOR: &str = "application/x-amz-cbor-1.1";
    const SENT: u64 = 4 * MIB;
    let fill = |start: &[u8], piece: &[u8]| {
        let bytes = usize::try_from(SENT).expect("it is small");
        [start, &piece.repeat((bytes - start.len()) / piece.len())].concat()
    };
    let attacked = Attacked::start();
    let mut client = attacked.connect();
    for (encoding, start, piece) in [
        (JSON, &b"{\"Records\":"[..], &b"["[..]),
        (JSON, b"", b"{\"a\":"),
        (JSON, b"{\"Records\":[", b"0,"),
        (JSON, b"{\"Records\":[", b"{},"),
        (JSON, b"{\"Records\":[", b"{\"Data\":\"\"},"),
        (JSON, b"{", b"\"a\":0,"),
        (JSON, b"{\"StreamName\":\"", b"\\u0041"),
        (JSON, b"", b" "),
        (CBOR, b"", b"\x81"),
        (CBOR, b"", b"\xa1\x61a"),
        (CBOR, b"\xa1\x67Records\x9f", b"\x00"),
        (CBOR, b"\xa1\x67Records\x9f", b"\xa0"),
        (CBOR, b"\xbf", b"\x61a\x00"),
        (CBOR, b"\xa1\x67Records\x7f", b"\x61a"),
        (
            CBOR,
            b"\xa1\x67Records\x9b\x0f\xff\xff\xff\xff\xff\xff\xff",
            b"\x00",
        ),
    ] {
        let body = fill(start, piece);
        let head = head("PutRecords").replace(JSON, encoding);
        client.send(format!("{head}Content-Length: {}\r\n\r\n", body.len()));
        client.send(body);
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{start:?} {piece:?}");
        assert!(answer.body.len() < 1000, "{start:?} {piece:?}");
    }
    attacked.has_taken_at_most(2 * SENT);
}

#[test]
fn subscriptions_that_are_not_read_take_a_few_events_each() {
    const SUBSCRIPTIONS: u64 = 10;
    const RECORDS: u64 = 16;
    /// The records of an event, in base 64.
    const EVENT_BYTES: u64 = 2 * MIB * 4 / 3;
    let attacked = Attacked::start();
    let mut client = attacked.connect();
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
    let crowd: Vec<_> = (0..SUBSCRIPTIONS)
        .map(|index| {
            let body = format!(r#"{{"StreamARN":"{arn}","ConsumerName":"audit-{index}"}}"#);
            let answer = client.ask(call("RegisterStreamConsumer", &body));
            let text = answer.text();
            let (_, rest) = text.split_once("\"ConsumerARN\":\"").expect("an ARN");
            let (consumer, _) = rest.split_once('"').expect("its end");
            let mut client = attacked.connect();
            client.send(call(
                "SubscribeToShard",
                &format!(
                    r#"{{"ConsumerARN":"{consumer}","ShardId":"shardId-000000000000","StartingPosition":{{"Type":"LATEST"}}}}"#
                ),
            ));
            assert_eq!(client.answer().status, 200);
            client
        })
        .collect();
    let data = "A".repeat(usize::try_from(MIB / 3 * 4).expect("it is small"));
    let body = format!(r#"{{"StreamName":"orders","PartitionKey":"k","Data":"{data}"}}"#);
    let put = call("PutRecord", &body);
    for _ in 0..RECORDS {
        assert_eq!(client.ask(&put).status, 200);
    }
    // All records for each would be three times as much.
    attacked.has_taken_at_most(RECORDS * MIB + SUBSCRIPTIONS * 2 * EVENT_BYTES);
    drop(crowd);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("it is short");
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(content);
    frame
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const ACKNOWLEDGED: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `POST`, `http`, `/` and `localhost`.
const POST: &[u8] = b"\x83\x86\x84\x41\x09localhost";

/// Numbers of streams that a client opens.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|index| 2 * index + 1)
}

fn connect_http2(attacked: &Attacked) -> Client {
    let mut client = attacked.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(frame(SETTINGS, 0, 0, &[]));
    client
}

#[test]
fn floods_of_frames_take_nothing() {
    let pings = frame(PING, 0, 0, b"flooding").repeat(50_000);
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]).repeat(50_000);
    let resets = streams(20_000).flat_map(|stream| {
        let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, stream, POST);
        frames.extend(frame(RESET, 0, stream, &[0, 0, 0, 8]));
        frames
    });
    let empty = streams(1).flat_map(|stream| {
        let mut frames = frame(HEADERS, END_HEADERS, stream, POST);
        frames.extend(frame(DATA, 0, stream, &[]).repeat(50_000));
        frames
    });
    // A header of 4,000 bytes, which is then said again by its number, a byte each.
    let mut known = [POST, &[0x40, 1, b'a', 0x7f, 0xa1, 0x1e]].concat();
    known.extend([b'a'; 4000]);
    let again = [0xbe; 10_000];
    let mut continued = frame(HEADERS, 0, 1, &known);
    continued.extend(frame(CONTINUATION, 0, 1, &again).repeat(300));
    let repeated = streams(100).flat_map(|stream| {
        let block = if stream == 1 { &known } else { POST };
        let block = [block, &again].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
    });
    for flood in [
        pings,
        settings,
        resets.collect(),
        empty.collect(),
        continued,
        repeated.collect(),
    ] {
        let attacked = Attacked::start();
        let mut crowd: Vec<_> = (0..2).map(|_| connect_http2(&attacked)).collect();
        for client in &mut crowd {
            // It may be cut off, and need not take anything back.
            let _cut_off = flood.chunks(16 * 1024).all(|part| client.try_send(part));
        }
        for client in crowd {
            let _said = client.finish();
        }
        attacked.has_taken_at_most(0);
    }
}

#[test]
fn streams_with_half_a_body_take_what_was_sent() {
    const CONNECTIONS: u64 = 8;
    const STREAMS: u32 = 100;
    const SENT: u64 = 32 * KIB;
    let attacked = Attacked::start();
    let mut half = frame(SETTINGS, ACKNOWLEDGED, 0, &[]);
    for stream in streams(STREAMS) {
        half.extend(frame(HEADERS, END_HEADERS, stream, POST));
        for _ in 0..2 {
            half.extend(frame(DATA, 0, stream, &[b'a'; 16 * 1024]));
        }
    }
    half.extend(frame(PING, 0, 0, b"all read"));
    let mut crowd: Vec<_> = (0..CONNECTIONS).map(|_| connect_http2(&attacked)).collect();
    for client in &mut crowd {
        // Before that there is less room.
        read_until(client, WINDOW);
        client.send(&half);
    }
    for client in &mut crowd {
        // The ping is answered once all before it was read.
        read_until(client, PING);
    }
    attacked.has_taken_at_most(CONNECTIONS * u64::from(STREAMS) * 2 * SENT);
}

/// Reads frames until there is one of a kind; none may refuse anything.
fn read_until(client: &mut Client, last: u8) {
    let mut kind = SETTINGS;
    while kind != last {
        (kind, ..) = next_frame(client);
        assert!(kind != RESET && kind != GO_AWAY, "a frame of kind {kind}");
    }
}
