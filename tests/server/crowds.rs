//! Many clients at the same time.

use std::time::Duration;

use brooklet::server::Server;

use crate::client::{Client, call, head};
use crate::{server_with, service, until};

const IDLE: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn any_number_of_idle_connections_keeps_nobody_out() {
    let server = server_with(|builder| {
        builder
            .connections_max(20)
            .idle_timeout(Duration::from_secs(3600))
            .head_timeout(Duration::from_secs(3600))
    });
    let mut idle = Vec::new();
    for round in 0..100 {
        let mut client = Client::connect(server.local_addr());
        if round % 2 == 0 {
            client.ask(IDLE);
        }
        idle.push(client);
    }
    assert_eq!(Client::connect(server.local_addr()).ask(IDLE).status, 200);
    // The longest idle had to go.
    for client in idle.drain(..20) {
        assert_eq!(client.end(), b"");
    }
    let mut newest = idle.pop().expect("there are many");
    assert_eq!(newest.ask(IDLE).status, 200);
}

#[test]
fn one_more_than_all_that_are_busy_is_turned_away() {
    let server = server_with(|builder| builder.connections_max(3));
    let mut busy: Vec<_> = (0..3)
        .map(|_| {
            let mut client = Client::connect(server.local_addr());
            client.send(head("ListStreams") + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
            assert_eq!(client.answer().status, 100);
            client
        })
        .collect();
    let mut late = Client::connect(server.local_addr());
    assert_eq!(late.answer().status, 503);
    assert_eq!(late.end(), b"");
    for client in &mut busy {
        assert_eq!(client.ask("{}").status, 200);
    }
    assert_eq!(Client::connect(server.local_addr()).ask(IDLE).status, 200);
}

#[test]
fn a_subscription_beyond_the_limit_is_told_so_and_others_go_on() {
    let server = server_with(|builder| builder.subscriptions_max(0));
    let mut client = Client::connect(server.local_addr());
    let answer = client.ask(call("SubscribeToShard", "{}"));
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.header("x-amzn-errortype"),
        Some("LimitExceededException")
    );
    assert_eq!(client.ask(call("ListStreams", "{}")).status, 200);
}

#[test]
fn clients_that_come_and_go_at_once_are_all_answered() {
    let server = server_with(|builder| builder.threads(2));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut client = Client::connect(server.local_addr());
                    assert_eq!(client.ask(call("ListStreams", "{}")).status, 200);
                }
            });
        }
    });
}

#[test]
fn answers_that_nobody_takes_are_bounded_together() {
    let service = service();
    let server = Server::builder(&service).answers_bytes_max(1);
    let server = server.start("127.0.0.1:0").expect("loopback");
    let connect = || Client::connect(server.local_addr());
    // More than a socket holds, of which a client reads only when it wants to.
    let data = "A".repeat(1024 * 1024);
    for _ in 0..13 {
        let body = format!(r#"{{"StreamName":"orders","PartitionKey":"k","Data":"{data}"}}"#);
        assert_eq!(connect().ask(call("PutRecord", &body)).status, 200);
    }
    let iterator = connect().ask(call(
        "GetShardIterator",
        r#"{"StreamName":"orders","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}"#,
    ));
    let mut lazy = connect();
    lazy.send(call("GetRecords", iterator.text()));
    lazy.begins();
    let refused = connect().ask(call("ListStreams", "{}"));
    assert_eq!(refused.status, 503, "{}", refused.text());
    let answer = lazy.answer();
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.len() > 13 * data.len() / 2,
        "all that it asked for"
    );
    // The server learns of it a moment later.
    until(|| connect().ask(call("ListStreams", "{}")).status == 200);
}
