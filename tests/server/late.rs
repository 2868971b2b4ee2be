//! Answers that a test makes late.

use std::time::Duration;

use brooklet::protocol::Service;
use brooklet::server::Server;
use brooklet::testing::FaultPlan;
use brooklet::{ManualClock, Registry, Stream};

use crate::client::{Client, call};
use crate::until;

#[test]
fn a_late_answer_keeps_no_other_client_waiting() {
    let clock = ManualClock::default();
    let faults = FaultPlan::new().late_answers_wait();
    faults.on_put().nth(1).answer_late(Duration::from_secs(10));
    let registry = Registry::builder()
        .clock(clock.clone())
        .faults(&faults)
        .build();
    registry
        .create(Stream::builder("orders"))
        .expect("the name is free");
    // All clients are on one thread.
    let server = Server::builder(&Service::new(&registry)).threads(1);
    let server = server.start("127.0.0.1:0").expect("loopback");
    let connect = || Client::connect(server.local_addr());
    let put = |data| {
        let body = format!(r#"{{"StreamName":"orders","PartitionKey":"k","Data":"{data}"}}"#);
        call("PutRecord", &body)
    };

    let (mut late, mut other) = (connect(), connect());
    late.send(put("YQ=="));
    until(|| clock.sleeper_count() == 1);
    assert_eq!(other.ask(put("Yg==")).status, 200);
    assert_eq!(other.ask(call("ListStreams", "{}")).status, 200);
    assert_eq!(clock.sleeper_count(), 1, "the first is not answered yet");
    clock.advance(Duration::from_secs(10));
    assert_eq!(late.answer().status, 200);
}
