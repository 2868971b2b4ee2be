//! What a page in the developer's browser, or a client that means harm, gets.

use std::time::Duration;

use brooklet::protocol::Service;
use brooklet::server::{Server, ServerError};
use brooklet::{Clock, Registry, Timestamp};

use crate::client::{Client, call, call_with, head, headers};
use crate::{SHORT, server, server_with, service};

/// A request with these as its lines of `Host`.
fn with_hosts(target: &str, hosts: &[&str]) -> String {
    let hosts: String = hosts
        .iter()
        .map(|host| format!("Host: {host}\r\n"))
        .collect();
    let rest = headers("ListStreams");
    format!("POST {target} HTTP/1.1\r\n{hosts}{rest}Content-Length: 2\r\n\r\n{{}}")
}

#[test]
fn a_host_that_is_not_this_machine_is_refused_on_every_path_and_method() {
    let server = server();
    let status = |request: &str| Client::connect(server.local_addr()).ask(request).status;
    for host in [
        "localhost",
        "localhost:4567",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]:4567",
    ] {
        assert_eq!(status(&with_hosts("/", &[host])), 200, "{host}");
    }
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil",
        "evil.example:4567",
        "10.0.0.1",
    ] {
        assert_eq!(status(&with_hosts("/", &[host])), 403, "{host}");
        for start in ["GET /health", "OPTIONS /", "PUT /x", "DELETE /"] {
            let request = format!("{start} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(status(&request), 403, "{start} {host}");
        }
    }
    assert_eq!(status(&with_hosts("/", &["localhost", "localhost"])), 400);
    assert_eq!(
        status(&with_hosts("/", &["localhost", "evil.example"])),
        400
    );
    assert_eq!(status(&with_hosts("/", &[])), 400);
    assert_eq!(status("GET /health HTTP/1.0\r\n\r\n"), 400);
    assert_eq!(
        status(&with_hosts("http://localhost/", &["localhost"])),
        200
    );
    assert_eq!(
        status(&with_hosts("http://evil.example/", &["localhost"])),
        403
    );
    assert_eq!(
        status(&with_hosts("http://localhost/", &["evil.example"])),
        403
    );
}

#[test]
fn a_host_is_allowed_when_it_was_asked_for() {
    let server = server_with(|builder| builder.allow_host("kinesis.test"));
    let status = |host| {
        Client::connect(server.local_addr())
            .ask(with_hosts("/", &[host]))
            .status
    };
    assert_eq!(status("kinesis.test:4567"), 200);
    assert_eq!(status("x.kinesis.test"), 403);
}

#[test]
fn a_web_page_is_refused_and_changes_nothing() {
    let registry = Registry::new();
    let server = Server::start(&Service::new(&registry)).expect("loopback");
    let mut client = Client::connect(server.local_addr());
    let body = r#"{"StreamName":"tea","ShardCount":1}"#;
    for origin in ["https://evil.example", "null", "http://localhost:3000"] {
        let origin = format!("Origin: {origin}\r\n");
        let answer = client.ask(call_with("CreateStream", &origin, body));
        assert_eq!(answer.status, 403);
        assert!(answer.header("access-control-allow-origin").is_none());
        let preflight = format!(
            "OPTIONS / HTTP/1.1\r\nHost: localhost\r\n{origin}\
             Access-Control-Request-Method: POST\r\n\r\n"
        );
        let answer = client.ask(preflight);
        assert_eq!(answer.status, 403);
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    // What a page may send without asking first, if its browser left the origin out.
    let simple = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n\
         {body}",
        body.len()
    );
    assert!(client.ask(simple).status >= 400);
    assert_eq!(registry.list(), [""; 0]);
}

#[test]
fn a_web_page_that_may_ask_gets_answers_it_can_read() {
    let server = server_with(|builder| builder.allow_origin("https://fine.example"));
    let mut client = Client::connect(server.local_addr());
    let fine = "Origin: https://fine.example\r\n";
    let answer = client.ask(call_with("ListStreams", fine, "{}"));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://fine.example")
    );
    assert_eq!(answer.header("vary"), Some("Origin"));
    let exposed = answer
        .header("access-control-expose-headers")
        .expect("there");
    assert!(
        exposed.starts_with("x-amzn-RequestId,x-amzn-ErrorType"),
        "{exposed}"
    );

    let preflight = client.ask(format!(
        "OPTIONS / HTTP/1.1\r\nHost: localhost\r\n{fine}Access-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: x-amz-target\r\n\r\n"
    ));
    assert_eq!(preflight.status, 200);
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("POST")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("x-amz-target")
    );
    assert_eq!(preflight.header("access-control-max-age"), Some("172800"));
    assert!(preflight.header("x-amzn-requestid").is_some());
    assert!(preflight.header("x-amz-id-2").is_none());
    assert!(preflight.header("access-control-expose-headers").is_none());

    let other = "Origin: https://fine.example.evil\r\n";
    assert_eq!(
        client.ask(call_with("ListStreams", other, "{}")).status,
        403
    );

    let any = server_with(|builder| builder.allow_origin("*"));
    let answer = Client::connect(any.local_addr()).ask(call_with("ListStreams", other, "{}"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn a_body_is_bounded_by_what_is_read_of_it() {
    let server = server_with(|builder| builder.body_bytes_max(100_000));
    let client = || Client::connect(server.local_addr());
    let fits = format!("{{}}{}", " ".repeat(99_998));
    assert_eq!(client().ask(call("ListStreams", &fits)).status, 200);
    // Too long by a little, by its word or not: it is read, so that the answer is.
    let over = call("ListStreams", &format!("{fits} "));
    let answer = client().ask(&over);
    assert_eq!((answer.status, answer.text()), (413, ""));
    assert!(answer.header("x-amzn-requestid").is_none());
    let chunked = head("ListStreams") + "Transfer-Encoding: chunked\r\n\r\n";
    let answer = client().ask(format!("{chunked}186a1\r\n{fits} \r\n0\r\n\r\n"));
    assert_eq!(answer.status, 413);
    // Too long by far.
    for length in ["30000000", "18446744073709551615"] {
        let request = head("ListStreams") + &format!("Content-Length: {length}\r\n\r\n");
        let mut client = client();
        client.send(request);
        let status = client.answer().status;
        assert!(matches!(status, 413 | 431), "{status}");
        assert_eq!(client.end(), b"");
    }
    // Without end.
    let mut client = client();
    client.send(chunked);
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    assert!(
        (0..1000).any(|_| !client.try_send(&piece)),
        "all of it was read"
    );
}

#[test]
fn a_body_that_is_too_long_is_not_asked_for() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    client.send(head("ListStreams") + "Expect: 100-continue\r\nContent-Length: 16777217\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    assert_eq!(client.end(), b"");
}

#[test]
fn bodies_together_are_bounded() {
    let server = server_with(|builder| builder.bodies_bytes_max(300_000));
    let client = || Client::connect(server.local_addr());
    let request = call("ListStreams", &format!("{{}}{}", " ".repeat(200_000)));
    let (most, rest) = request.split_at(150_000);
    let mut first = client();
    first.send(most);
    // How much of the first was read is not known: others ask until there is no room.
    let mut others = Vec::new();
    let refused = (0..10).any(|_| {
        let mut other = client();
        other.send(most);
        others.push(other);
        let status = client().ask(&request).status;
        assert!(matches!(status, 200 | 503), "{status}");
        status == 503
    });
    assert!(refused);
    drop(others);
    // What they held is given back.
    first.try_send(rest);
    first.try_answer();
    while client().ask(&request).status != 200 {}
}

#[test]
fn a_head_is_bounded() {
    let server = server();
    let with = |headers: &str| {
        let mut client = Client::connect(server.local_addr());
        client.send(call_with("ListStreams", headers, "{}"));
        client.answer().status
    };
    let line = |bytes: usize| format!("X-Long: {}\r\n", "a".repeat(bytes));
    assert_eq!(with(&line(15_000)), 200);
    assert_eq!(with(&line(17_000)), 431);
    assert_eq!(with(&"X-A: b\r\n".repeat(80)), 200);
    assert_eq!(with(&"X-A: b\r\n".repeat(101)), 431);
    // One that has no end.
    let mut client = Client::connect(server.local_addr());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nX-Long: ");
    let piece = "a".repeat(10_000);
    assert!(
        (0..10_000).any(|_| !client.try_send(&piece)),
        "all of it was read"
    );
}

#[test]
fn a_body_that_is_packed_is_refused() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    for (encoding, status) in [("gzip", 415), ("deflate, gzip", 415), ("identity", 200)] {
        let header = format!("Content-Encoding: {encoding}\r\n");
        let answer = client.ask(call_with("ListStreams", &header, "{}"));
        assert_eq!(answer.status, status, "{encoding}");
    }
    let twice = "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n";
    assert_eq!(
        client.ask(call_with("ListStreams", twice, "{}")).status,
        415
    );
}

#[test]
fn a_body_that_is_deep_is_refused_without_looking_far() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    for open in ["[", r#"{"a":"#] {
        let answer = client.ask(call("ListStreams", &open.repeat(100_000)));
        assert_eq!(answer.status, 400);
        assert!(
            answer.text().contains("SerializationException"),
            "{}",
            answer.text()
        );
    }
}

/// Every way of saying two lengths, or one that two readers could read differently. What comes after
/// it must never be taken for a request.
#[test]
fn no_request_hides_behind_another() {
    let server = server();
    let hidden = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", hidden.len());
    let vectors = [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "content-length: 5\r\nTRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "Content-Length: 2, 3\r\n\r\n{}",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: -2\r\n\r\n{}",
        "Content-Length: 0x2\r\n\r\n{}",
        "Content-Length: 2 2\r\n\r\n{}",
        "Content-Length: \r\n\r\n{}",
        "Content-Length: 99999999999999999999\r\n\r\n{}",
        "Transfer-Encoding: gzip\r\n\r\n{}",
        "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nx\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}X\r\n0\r\n\r\n",
        "Content-Length : 2\r\n\r\n{}",
        " Content-Length: 2\r\n\r\n{}",
        "X: a\r\n folded: b\r\nContent-Length: 2\r\n\r\n{}",
        "X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
        "X: a\rb\r\nContent-Length: 2\r\n\r\n{}",
        "Bad Name: a\r\nContent-Length: 2\r\n\r\n{}",
    ];
    for vector in vectors {
        let mut client = Client::connect(server.local_addr());
        client.try_send(head("ListStreams") + vector + hidden);
        let end = String::from_utf8_lossy(&client.end()).into_owned();
        let answers = end.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{vector:?} was answered with {end}");
        assert!(
            !end.contains("HTTP/1.1 2"),
            "{vector:?} was answered with {end}"
        );
    }
    // As a check of the check: with one length, the other is a body.
    let mut client = Client::connect(server.local_addr());
    client.send(head("ListStreams") + &length + "\r\n" + hidden);
    assert_eq!(client.answer().status, 400);
    assert_eq!(client.ask(hidden).status, 200);
}

#[test]
fn a_request_in_chunks_waits_for_the_answer_before_it() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    let chunked = head("ListStreams") + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(client.ask(&chunked).status, 200);
    assert_eq!(client.ask(&chunked).status, 200);
    client.send(call("ListStreams", "{}") + &chunked);
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.answer().status, 400);
    assert_eq!(client.end(), b"");
}

#[test]
fn half_a_head_is_not_waited_for_long() {
    let server = server_with(|builder| builder.head_timeout(SHORT));
    for start in [
        "",
        "P",
        "PRI * HTTP/2",
        "POST / HTTP/1.1\r\nHost: localhost\r\nX-",
    ] {
        let mut client = Client::connect(server.local_addr());
        client.send(start);
        assert_eq!(client.end(), b"", "{start:?}");
    }
    // Neither is the head of the second request.
    let mut client = Client::connect(server.local_addr());
    client.ask(call("ListStreams", "{}"));
    client.send("POST / HTTP/1.1\r\n");
    assert_eq!(client.end(), b"");
}

#[test]
fn a_head_byte_by_byte_is_not_waited_for_long() {
    let server = server_with(|builder| builder.head_timeout(SHORT));
    let mut client = Client::connect(server.local_addr());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    // It ends though there is always something new.
    while client.try_send("a") {
        std::thread::yield_now();
    }
}

#[test]
fn half_a_body_is_not_waited_for_long() {
    let server = server_with(|builder| builder.body_timeout(SHORT));
    let mut client = Client::connect(server.local_addr());
    client.send(head("ListStreams") + "Content-Length: 200000\r\n\r\n");
    client.send(" ".repeat(100_000));
    assert_eq!(client.answer().status, 408);
    assert_eq!(client.end(), b"");

    let mut client = Client::connect(server.local_addr());
    client.send(head("ListStreams") + "Transfer-Encoding: chunked\r\n\r\n");
    while client.try_send("1\r\n \r\n") {
        std::thread::yield_now();
    }
}

#[test]
fn a_body_that_breaks_off_changes_nothing() {
    let registry = Registry::new();
    let server = Server::start(&Service::new(&registry)).expect("loopback");
    let mut client = Client::connect(server.local_addr());
    let body = r#"{"StreamName":"tea","ShardCount":1}"#;
    let length = body.len() + 1;
    client.send(head("CreateStream") + &format!("Content-Length: {length}\r\n\r\n{body}"));
    drop(client);
    let mut other = Client::connect(server.local_addr());
    assert_eq!(other.ask(call("ListStreams", "{}")).status, 200);
    assert_eq!(registry.list(), [""; 0]);
}

#[test]
fn a_client_that_takes_no_answer_is_not_waited_for_long() {
    let registry = Registry::new();
    let stream = registry
        .create(brooklet::Stream::builder("orders"))
        .expect("free");
    for _ in 0..8 {
        let data = vec![b'x'; 1024 * 1024];
        stream.producer().put_record("k", data).expect("it is open");
    }
    let server = Server::builder(&Service::new(&registry))
        .write_timeout(SHORT)
        .idle_timeout(Duration::from_secs(3600))
        .start("127.0.0.1:0")
        .expect("loopback");
    let ask = |client: &mut Client, operation: &str, body: &str| {
        let answer = client.ask(call(operation, body));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    };
    let mut client = Client::connect(server.local_addr());
    let iterator = ask(
        &mut client,
        "GetShardIterator",
        r#"{"StreamName":"orders","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}"#,
    );
    // Taken, it is an answer of 8 MiB.
    let size = ask(&mut client, "GetRecords", &iterator).len();
    assert!(size > 8 * 1024 * 1024, "{size}");
    // Many at once are more than the system's buffers hold, and none is taken.
    for _ in 0..8 {
        client.try_send(call("GetRecords", &iterator));
    }
    // The server lets go of the connection: what it had written is there, the rest is not.
    let ended = std::iter::repeat_with(|| client.try_send(call("ListStreams", "{}")));
    let mut tries = ended.inspect(|_| std::thread::yield_now());
    assert!(tries.any(|sent| !sent));
}

#[test]
fn an_idle_connection_is_closed() {
    let server = server_with(|builder| builder.idle_timeout(SHORT));
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.ask(call("ListStreams", "{}")).status, 200);
    assert_eq!(client.end(), b"");
}

/// A clock that cannot be read when it shows nothing: what goes wrong in a handler.
#[derive(Debug)]
struct Broken;

impl Clock for Broken {
    fn now(&self) -> Timestamp {
        panic!("a test breaks the handler, at /some/path.rs")
    }
}

#[test]
fn a_panic_is_a_500_that_tells_nothing_and_the_server_lives() {
    let registry = Registry::builder().clock(Broken).build();
    let server = Server::start(&Service::new(&registry)).expect("loopback");
    for _ in 0..3 {
        let mut client = Client::connect(server.local_addr());
        let answer = client.ask(call("ListStreams", "{}"));
        assert_eq!(answer.status, 500);
        assert_eq!(answer.header("x-amzn-errortype"), Some("InternalFailure"));
        assert!(!answer.text().contains('/'), "{}", answer.text());
        assert!(!answer.text().contains("panic"), "{}", answer.text());
        assert_eq!(client.end(), b"");
    }
    let mut client = Client::connect(server.local_addr());
    assert_eq!(
        client
            .ask("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .status,
        200
    );
}

#[test]
fn nobody_else_is_let_in_by_accident() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let Err(error) = Server::builder(&service()).listen(address) else {
            panic!("{address} was listened on");
        };
        // A machine may have no addresses of version 6.
        if matches!(error, ServerError::Listen { .. }) && address.starts_with('[') {
            continue;
        }
        assert!(matches!(error, ServerError::Exposed { .. }), "{error}");
        assert!(error.to_string().contains("--insecure"), "{error}");
    }
    let insisted = Server::builder(&service())
        .insecure(true)
        .listen("0.0.0.0:0");
    insisted.expect("the user insists");
    let signed = Service::builder(&Registry::new())
        .credentials("a", "b")
        .build();
    Server::builder(&signed)
        .listen("0.0.0.0:0")
        .expect("requests have to be signed");
}

#[test]
fn debug_of_nothing_shows_a_secret() {
    let service = Service::builder(&Registry::new())
        .credentials("key", "canary-secret")
        .build();
    let tls = brooklet::server::Tls::self_made([""; 0]).expect("it can be made");
    let builder = Server::builder(&service).tls(tls.clone());
    let server = builder.clone().listen("127.0.0.1:0").expect("loopback");
    let handle = server.handle();
    let running = builder.clone().start("127.0.0.1:0").expect("loopback");
    for text in [
        format!(
            "{service:?} {:?}",
            Service::builder(&Registry::new()).credentials("a", "canary-")
        ),
        format!("{builder:#?}"),
        format!("{server:#?}"),
        format!("{handle:?} {tls:?}"),
        format!("{running:?}"),
    ] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}
