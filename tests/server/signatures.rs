//! Requests that are signed by the signer of the Rust SDK, which shares no code with the endpoint's.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use brooklet::protocol::Service;
use brooklet::server::{RunningServer, Server};
use brooklet::{ManualClock, Registry, Timestamp};

use crate::client::{Answer, Client};

const START_MS: u64 = 1_700_000_000_000;
const BODY: &str = r#"{"Limit":7}"#;

/// An endpoint that knows a key, on a clock that is turned by hand.
fn signed_server() -> (RunningServer, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_millis(START_MS));
    let registry = Registry::builder().clock(clock.clone()).build();
    let service = Service::builder(&registry)
        .region("eu-west-1")
        .credentials("AKIDTEST", "secret")
        .build();
    (Server::start(&service).expect("loopback"), clock)
}

/// A request that is signed with a key.
fn signed(location: SignatureLocation, key: &str, secret: &str, region: &str) -> String {
    let mut settings = SigningSettings::default();
    settings.signature_location = location;
    if location == SignatureLocation::QueryParams {
        settings.expires_in = Some(Duration::from_secs(60));
    }
    let identity = Credentials::from_keys(key, secret, None).into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kinesis")
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(START_MS))
        .settings(settings)
        .build()
        .expect("nothing is missing")
        .into();
    let mut request = http::Request::builder()
        .method("POST")
        .uri("http://localhost/")
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "Kinesis_20131202.ListStreams")
        .body(BODY)
        .expect("it is a request");
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
    let body = SignableBody::Bytes(BODY.as_bytes());
    let signable = SignableRequest::new("POST", "http://localhost/", headers, body);
    let (instructions, _) = sign(signable.expect("it can be signed"), &params)
        .expect("it is signed")
        .into_parts();
    instructions.apply_to_request_http1x(&mut request);

    let target = request.uri().path_and_query().expect("there is a path");
    let mut text = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\r\n", value.to_str().expect("text"));
    }
    text + &format!("Content-Length: {}\r\n\r\n{BODY}", BODY.len())
}

fn in_header() -> String {
    signed(
        SignatureLocation::Headers,
        "AKIDTEST",
        "secret",
        "eu-west-1",
    )
}

fn ask(server: &RunningServer, request: impl AsRef<[u8]>) -> Answer {
    Client::connect(server.local_addr()).ask(request)
}

fn assert_refused(answer: &Answer, error: &str) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(
        answer.header("x-amzn-errortype"),
        Some(error),
        "{}",
        answer.text()
    );
}

#[test]
fn a_request_that_is_signed_with_the_key_is_answered() {
    let (server, _clock) = signed_server();
    for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
        let request = signed(location, "AKIDTEST", "secret", "eu-west-1");
        let answer = ask(&server, request);
        assert_eq!(answer.status, 200, "{location:?}: {}", answer.text());
    }
}

#[test]
fn a_request_that_is_signed_otherwise_is_refused() {
    let (server, _clock) = signed_server();
    for location in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
        let by = |key, secret, region| ask(&server, signed(location, key, secret, region));
        let wrong = by("AKIDTEST", "Secret", "eu-west-1");
        assert_refused(&wrong, "InvalidSignatureException");
        assert!(!wrong.text().contains("secret"), "{}", wrong.text());
        let unknown = by("AKIDOTHER", "secret", "eu-west-1");
        assert_refused(&unknown, "UnrecognizedClientException");
        let elsewhere = by("AKIDTEST", "secret", "us-east-1");
        assert_refused(&elsewhere, "InvalidSignatureException");
    }
}

#[test]
fn a_request_that_is_changed_on_the_way_is_refused() {
    let (server, _clock) = signed_server();
    let request = in_header();
    for (what, changed) in [
        ("the body", request.replace(":7}", ":8}")),
        (
            "the target",
            request.replace(".ListStreams", ".CreateStream"),
        ),
        (
            "the host",
            request.replace("Host: localhost", "Host: 127.0.0.1"),
        ),
        ("the query", request.replace("POST / ", "POST /?a=b ")),
    ] {
        assert_ne!(changed, request, "{what}");
        let answer = ask(&server, changed);
        assert_refused(&answer, "InvalidSignatureException");
    }
}

#[test]
fn a_request_cannot_be_sent_again_later() {
    let (server, clock) = signed_server();
    let request = in_header();
    clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(ask(&server, &request).status, 200);
    clock.advance(Duration::from_secs(60));
    let late = ask(&server, &request);
    assert_refused(&late, "InvalidSignatureException");
    assert!(
        late.text().contains("Signature expired: 20231114T221320Z"),
        "{}",
        late.text()
    );
}

#[test]
fn a_request_without_a_signature_is_refused() {
    let (server, _clock) = signed_server();
    let request = in_header();
    let without: String = request
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("authorization"))
        .collect();
    assert_ne!(without, request);
    assert_refused(
        &ask(&server, without),
        "MissingAuthenticationTokenException",
    );
}
