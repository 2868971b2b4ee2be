//! What an SDK relies on.

use std::time::Duration;

use brooklet::protocol::Service;
use brooklet::server::{Server, ServerError};
use brooklet::{Registry, StartingPosition};

use crate::client::{Client, call, call_with, head};
use crate::{SHORT, server, server_with, service};

#[test]
fn a_record_that_was_put_over_the_endpoint_is_read_in_the_program() {
    let registry = Registry::new();
    let server = Server::start(&Service::new(&registry)).expect("loopback");
    let mut client = Client::connect(server.local_addr());
    let created = client.ask(call(
        "CreateStream",
        r#"{"StreamName":"tea","ShardCount":1}"#,
    ));
    assert_eq!((created.status, created.text()), (200, ""));
    let put = client.ask(call(
        "PutRecord",
        r#"{"StreamName":"tea","PartitionKey":"k","Data":"dHdvIHRlYXBvdHM="}"#,
    ));
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(
        put.text().contains("shardId-000000000000"),
        "{}",
        put.text()
    );

    let stream = registry.get("tea").expect("it was created");
    let mut reader = stream
        .subscribe(StartingPosition::TrimHorizon)
        .expect("open");
    let batch = reader.get_records(10).expect("open");
    let data: Vec<_> = batch.iter().map(|record| record.data().to_vec()).collect();
    assert_eq!(data, [b"two teapots"]);
}

#[test]
fn answers_have_the_headers_of_the_service_and_ids_of_their_own() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = client.ask(call("ListStreams", "{}"));
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            Some("application/x-amz-json-1.1")
        );
        assert!(answer.header("date").is_some());
        assert!(answer.header("x-amz-crc32").is_none());
        assert!(answer.header("access-control-allow-origin").is_none());
        let id = answer.header("x-amzn-requestid").expect("each has one");
        assert_eq!(id.len(), 36);
        ids.push(id.to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[test]
fn errors_of_the_service_travel_as_they_are() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    let answer = client.ask(call("DescribeStreamSummary", r#"{"StreamName":"none"}"#));
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.header("x-amzn-errortype"),
        Some("ResourceNotFoundException")
    );
    assert!(
        answer
            .text()
            .contains(r#""__type":"ResourceNotFoundException""#)
    );
    // The connection is as good as before.
    assert_eq!(client.ask(call("ListStreams", "{}")).status, 200);
    // The contract, 7.2, 5.
    let get = client.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(get.status, 403);
    assert!(get.text().starts_with("<AccessDeniedException>"));
}

#[test]
fn a_content_type_in_which_nothing_is_called_is_told_as_the_service_tells_it() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    let output = |name: &str| {
        format!(r#"{{"Output":{{"__type":"com.amazon.coral.service#{name}"}},"Version":"1.0"}}"#)
    };
    let (unreadable, unknown) = (
        output("SerializationException"),
        output("UnknownOperationException"),
    );
    // The contract, 7.2, 8 and 9: a list passes for an object, nothing else does.
    for (body, status, text) in [
        ("{}", 404, &unknown),
        ("[]", 404, &unknown),
        ("null", 400, &unreadable),
        ("1", 400, &unreadable),
        ("\"a\"", 400, &unreadable),
        ("hello", 400, &unreadable),
    ] {
        let answer = client.ask(format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             X-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(
            (answer.status, answer.text()),
            (status, text.as_str()),
            "{body}"
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    // 7.
    for (target, status, text) in [
        ("Kinesis_20131202", 403, "<AccessDeniedException>\n"),
        (
            "Kinesis_20131202.ListStreams",
            404,
            "<UnknownOperationException/>\n",
        ),
    ] {
        let answer = client.ask(format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: {target}\r\nContent-Length: 2\r\n\
             \r\n{{}}"
        ));
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().starts_with(text), "{}", answer.text());
        assert!(answer.header("content-type").is_none());
    }
}

#[test]
fn a_body_in_pieces_is_put_together() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    let data = "A".repeat(4 * 300_000);
    let body = format!(r#"{{"StreamName":"orders","PartitionKey":"k","Data":"{data}"}}"#);
    let answer = client.ask(call("PutRecord", &body));
    assert_eq!(answer.status, 200, "{}", answer.text());

    client.send(head("PutRecord") + "Transfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(100_000) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    let answer = client.ask("0\r\n\r\n");
    assert_eq!(answer.status, 200, "{}", answer.text());

    let small = r#"{"StreamName":"orders"}"#;
    client.send(call("DescribeStreamSummary", small).split_at(40).0);
    let answer = client.ask(call("DescribeStreamSummary", small).split_at(40).1);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    let names = ["a", "b", "c"];
    let requests = names.map(|name| {
        call(
            "DescribeStreamSummary",
            &format!(r#"{{"StreamName":"{name}"}}"#),
        )
    });
    client.send(requests.concat());
    for name in names {
        let answer = client.answer();
        assert!(answer.text().contains(&format!("Stream {name} under")));
    }
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    client.send(head("ListStreams") + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    assert_eq!(client.ask("{}").status, 200);
}

#[test]
fn the_health_path_answers_whoever_looks() {
    let server = server();
    let mut client = Client::connect(server.local_addr());
    let answer = client.ask("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((answer.status, answer.text()), (200, "ok\n"));
    let evil = client.ask("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(evil.status, 403);
}

#[test]
fn a_server_ends_with_its_requests_answered_and_its_connections_closed() {
    let server = server();
    let mut idle = Client::connect(server.local_addr());
    assert_eq!(idle.ask(call("ListStreams", "{}")).status, 200);
    let mut busy = Client::connect(server.local_addr());
    let request = call("ListStreams", "{}");
    let (first, rest) = request.split_at(request.len() - 1);
    // Asked for, so that it is known to be read.
    busy.send(first.replace("Content-Length", "Expect: 100-continue\r\nContent-Length"));
    assert_eq!(busy.answer().status, 100);
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| server.shutdown());
        assert_eq!(idle.end(), b"");
        assert_eq!(busy.ask(rest).status, 200);
        assert_eq!(busy.end(), b"");
        ending.join().expect("it ends");
    });
}

#[test]
fn a_request_that_does_not_come_to_its_end_ends_with_the_server() {
    let server = server_with(|builder| builder.grace(SHORT));
    let mut client = Client::connect(server.local_addr());
    client.send(head("ListStreams") + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    server.shutdown();
    assert_eq!(client.end(), b"");
}

#[test]
fn who_says_nothing_or_half_of_it_does_not_hold_up_the_end() {
    let an_hour = Duration::from_secs(3600);
    let server = server_with(|builder| builder.grace(an_hour).head_timeout(an_hour));
    let silent = Client::connect(server.local_addr());
    let mut half = Client::connect(server.local_addr());
    half.send("POST / HTTP/1.1\r\nHost: local");
    // Connections are taken in their order: the two are known by now.
    let mut last = Client::connect(server.local_addr());
    assert_eq!(last.ask(call("ListStreams", "{}")).status, 200);
    std::thread::spawn(|| server.shutdown());
    for client in [silent, half, last] {
        assert_eq!(client.end(), b"");
    }
}

#[test]
fn a_panic_of_whoever_counts_requests_fails_none() {
    let server = server_with(|builder| builder.on_answer(|_| panic!("a test counts badly")));
    let mut client = Client::connect(server.local_addr());
    for _ in 0..2 {
        assert_eq!(client.ask(call("ListStreams", "{}")).status, 200);
    }
}

#[test]
fn a_program_on_tokio_serves_on_its_own_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("there is a runtime");
    runtime.block_on(async {
        let server = Server::builder(&service())
            .bind("127.0.0.1:0")
            .await
            .expect("loopback");
        let (address, handle) = (server.local_addr(), server.handle());
        let serving = tokio::spawn(server.serve());
        let asking = tokio::task::spawn_blocking(move || {
            Client::connect(address)
                .ask(call("ListStreams", "{}"))
                .status
        });
        assert_eq!(asking.await.expect("it is answered"), 200);
        handle.shutdown();
        serving.await.expect("no panic").expect("it served");
    });
}

#[test]
fn a_server_on_several_threads_answers_on_each() {
    let server = server_with(|builder| builder.threads(3));
    let mut clients: Vec<_> = (0..9)
        .map(|_| Client::connect(server.local_addr()))
        .collect();
    for _ in 0..2 {
        for client in &mut clients {
            assert_eq!(client.ask(call("ListStreams", "{}")).status, 200);
        }
    }
    server.shutdown();
    for client in clients {
        assert_eq!(client.end(), b"");
    }
}

#[test]
fn an_address_that_is_taken_is_told() {
    let server = server();
    let again = Server::builder(&service()).start(server.local_addr());
    let error = again.expect_err("it is taken");
    assert!(matches!(error, ServerError::Listen { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", server.local_addr())
    );
}

#[test]
fn whoever_counts_requests_is_told_of_each() {
    let (told, tells) = crossbeam_channel::unbounded();
    let server = server_with(|builder| {
        builder.on_answer(move |answered| {
            told.send(format!("{answered:?}"))
                .expect("the test listens");
        })
    });
    let mut client = Client::connect(server.local_addr());
    client.ask(call_with(
        "ListStreams",
        "X-Secret: canary\r\n",
        r#"{"Limit":7}"#,
    ));
    let line = tells
        .try_recv()
        .expect("it was told before the answer was sent");
    assert!(line.contains("Kinesis_20131202.ListStreams"), "{line}");
    assert!(line.contains("request_bytes: 11, status: 200"), "{line}");
    assert!(!line.contains("canary"), "{line}");
}
