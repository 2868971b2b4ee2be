//! HTTP/2: known before, asked for, or agreed on in the handshake.

use std::net::SocketAddr;

use brooklet::server::Tls;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Request, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::client::{Client, call, call_with};
use crate::{PATIENCE, SHORT, server, server_with};

/// Runs a test's client, which gives up when nothing happens.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("there is a runtime");
    let outcome = runtime.block_on(async { timeout(PATIENCE, test).await });
    outcome.expect("the server answers");
}

async fn open(
    builder: &Builder,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> SendRequest<Bytes> {
    let (client, connection) = builder.handshake(io).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    client
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    open(&Builder::new(), stream).await
}

fn request(authority: &str, operation: &str) -> Request<()> {
    Request::builder()
        .method("POST")
        .version(Version::HTTP_2)
        .uri(format!("http://{authority}/"))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("x-amz-date", "20231114T221320Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0",
        )
        .body(())
        .expect("it is a request")
}

/// Sends a request, and gives the status and the body of the answer.
async fn ask(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    body: &str,
) -> Result<(u16, String), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (response, mut sending) = client.send_request(request, false)?;
    sending.send_data(Bytes::copy_from_slice(body.as_bytes()), true)?;
    let response = response.await?;
    let status = response.status().as_u16();
    let mut receiving = response.into_body();
    let mut body = Vec::new();
    while let Some(data) = receiving.data().await {
        let data = data?;
        receiving.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok((status, String::from_utf8(body).expect("the body is text")))
}

#[test]
fn a_client_that_knows_the_server_speaks_it_from_the_start() {
    let server = server();
    run(async {
        let client = connect(server.local_addr()).await;
        for _ in 0..3 {
            let answer = ask(&client, request("localhost", "ListStreams"), "{}").await;
            let (status, body) = answer.expect("it is answered");
            assert_eq!(status, 200, "{body}");
            assert!(body.contains("orders"), "{body}");
        }
    });
}

#[test]
fn requests_at_the_same_time_share_a_connection() {
    let server = server();
    run(async {
        let client = connect(server.local_addr()).await;
        let data = "A".repeat(400_000);
        let body = format!(r#"{{"StreamName":"orders","PartitionKey":"k","Data":"{data}"}}"#);
        let asking = (0..50).map(|_| {
            let (client, body) = (client.clone(), body.clone());
            tokio::spawn(async move {
                let answer = ask(&client, request("localhost", "PutRecord"), &body).await;
                answer.expect("it is answered").0
            })
        });
        for asking in asking.collect::<Vec<_>>() {
            assert_eq!(asking.await.expect("no panic"), 200);
        }
    });
}

#[test]
fn the_gate_is_the_same() {
    let server = server();
    run(async {
        let client = connect(server.local_addr()).await;
        let status = |request| async {
            let answer = ask(&client, request, "{}").await;
            answer.expect("it is answered").0
        };
        assert_eq!(status(request("localhost:4567", "ListStreams")).await, 200);
        assert_eq!(status(request("evil.example", "ListStreams")).await, 403);
        let mut two_names = request("localhost", "ListStreams");
        let evil = "evil.example".parse().expect("it is a value");
        two_names.headers_mut().insert("host", evil);
        assert_eq!(status(two_names).await, 403);
        let mut page = request("localhost", "ListStreams");
        let evil = "https://evil.example".parse().expect("it is a value");
        page.headers_mut().insert("origin", evil);
        assert_eq!(status(page).await, 403);
    });
}

#[test]
fn a_body_that_is_too_long_is_refused_and_others_go_on() {
    let server = server_with(|builder| builder.body_bytes_max(1000));
    run(async {
        let client = connect(server.local_addr()).await;
        let long = " ".repeat(1001);
        let answer = ask(&client, request("localhost", "ListStreams"), &long).await;
        assert_eq!(answer.expect("it is answered").0, 413);
        let answer = ask(&client, request("localhost", "ListStreams"), "{}").await;
        assert_eq!(answer.expect("it is answered").0, 200);
    });
}

#[test]
fn half_a_body_is_not_waited_for_long() {
    let server = server_with(|builder| builder.body_timeout(SHORT));
    run(async {
        let client = connect(server.local_addr()).await;
        let mut ready = client.clone().ready().await.expect("it is open");
        let (response, _sending) = ready
            .send_request(request("localhost", "ListStreams"), false)
            .expect("it is sent");
        assert_eq!(response.await.expect("it is answered").status(), 408);
    });
}

#[test]
fn a_client_that_opens_no_window_is_not_waited_for_long() {
    let server = server_with(|builder| builder.write_timeout(SHORT));
    run(async {
        let stream = TcpStream::connect(server.local_addr())
            .await
            .expect("it listens");
        let mut shut = Builder::new();
        shut.initial_window_size(0);
        let client = open(&shut, stream).await;
        let answer = ask(&client, request("localhost", "ListStreams"), "{}").await;
        let error = answer.expect_err("there is no room for the body");
        assert!(error.is_reset(), "{error}");
    });
}

#[test]
fn an_idle_connection_is_told_to_go_away() {
    let server = server_with(|builder| builder.idle_timeout(SHORT));
    run(async {
        let stream = TcpStream::connect(server.local_addr())
            .await
            .expect("it listens");
        let (client, connection) = Builder::new()
            .handshake::<_, Bytes>(stream)
            .await
            .expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let answer = ask(&client, request("localhost", "ListStreams"), "{}").await;
        assert_eq!(answer.expect("it is answered").0, 200);
        connection
            .await
            .expect("no panic")
            .expect("it ends in good order");
    });
}

#[test]
fn a_connection_ends_with_the_server() {
    let server = server();
    run(async {
        let stream = TcpStream::connect(server.local_addr())
            .await
            .expect("it listens");
        let (client, connection) = Builder::new()
            .handshake::<_, Bytes>(stream)
            .await
            .expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let answer = ask(&client, request("localhost", "ListStreams"), "{}").await;
        assert_eq!(answer.expect("it is answered").0, 200);
        let ending = tokio::task::spawn_blocking(|| server.shutdown());
        connection
            .await
            .expect("no panic")
            .expect("it ends in good order");
        ending.await.expect("no panic");
    });
}

/// The type, the flags, the stream and the content of a frame.
pub fn frame(client: &mut Client) -> (u8, u8, u32, Vec<u8>) {
    let head = client.bytes(9);
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    (head[3], head[4], stream, client.bytes(length))
}

const UPGRADE: &str = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n";

#[test]
fn a_client_may_ask_to_go_on_in_it_and_gets_its_answer_there() {
    const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // In one piece with what comes next, and byte by byte.
    for piece in [1, OPENING.len()] {
        let server = server();
        let mut client = Client::connect(server.local_addr());
        let told = client.ask(call_with("ListStreams", UPGRADE, "{}"));
        assert_eq!(told.status, 101);
        assert_eq!(told.header("upgrade"), Some("h2c"));
        for piece in OPENING.chunks(piece) {
            client.send(piece);
        }
        let (mut settings_acknowledged, mut body) = (0, Vec::new());
        loop {
            match frame(&mut client) {
                // DATA on the first stream; its last flag ends it.
                (0, flags, 1, data) => {
                    body.extend_from_slice(&data);
                    if flags & 1 == 1 {
                        break;
                    }
                }
                (4, 1, 0, _) => settings_acknowledged += 1,
                (7, _, _, data) => panic!("told to go away: {data:?}"),
                _ => {}
            }
        }
        let body = String::from_utf8(body).expect("it is text");
        assert!(body.contains("orders"), "{body}");
        assert!(settings_acknowledged <= 1);

        // It goes on: a second stream, whose head is of the protocol's table, and `localhost`.
        client.send(b"\0\0\x0e\x01\x05\0\0\0\x03\x82\x86\x84\x41\x09localhost");
        loop {
            if let (1, _, 3, head) = frame(&mut client) {
                // A status of 403, as for any GET: not of the table, so in digits.
                assert!(!head.is_empty());
                break;
            }
        }
    }
}

#[test]
fn whoever_does_not_go_on_is_not_waited_for() {
    let server = server_with(|builder| builder.idle_timeout(SHORT).head_timeout(SHORT));
    for next in ["", "PRI", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut client = Client::connect(server.local_addr());
        assert_eq!(
            client.ask(call_with("ListStreams", UPGRADE, "{}")).status,
            101
        );
        client.send(next);
        assert_eq!(client.end(), b"", "{next:?}");
    }
}

#[test]
fn who_may_not_ask_may_not_ask_to_go_on_either() {
    let server = server();
    let status = |headers: &str| {
        let mut client = Client::connect(server.local_addr());
        client.ask(call_with("ListStreams", headers, "{}")).status
    };
    assert_eq!(
        status(&format!("{UPGRADE}Origin: https://evil.example\r\n")),
        403
    );
    // Half an upgrade is none.
    assert_eq!(status("Connection: Upgrade\r\nUpgrade: h2c\r\n"), 200);
    assert_eq!(status("Upgrade: websocket\r\nConnection: Upgrade\r\n"), 200);
}

fn connector(trusted_pem: &str, protocol: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(trusted_pem.as_bytes()).expect("it is PEM");
    roots.add(certificate).expect("it is a certificate");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    TlsConnector::from(std::sync::Arc::new(config))
}

#[test]
fn both_protocols_are_spoken_over_tls() {
    let tls = Tls::self_made(["kinesis.test"]).expect("it can be made");
    let server = server_with(|builder| builder.tls(tls.clone()).allow_host("kinesis.test"));
    assert!(server.url().starts_with("https://127.0.0.1:"));
    run(async {
        for name in ["localhost", "kinesis.test", "127.0.0.1"] {
            let connect = async |protocol| {
                let stream = TcpStream::connect(server.local_addr())
                    .await
                    .expect("it listens");
                let connector = connector(tls.certificate_pem(), protocol);
                let name = ServerName::try_from(name).expect("it is a name");
                connector
                    .connect(name, stream)
                    .await
                    .expect("it is trusted")
            };
            let client = open(&Builder::new(), connect("h2").await).await;
            let answer = ask(&client, request(name, "ListStreams"), "{}").await;
            assert_eq!(answer.expect("it is answered").0, 200);

            let mut stream = connect("http/1.1").await;
            let call =
                call("ListStreams", "{}").replace("Host: localhost", &format!("Host: {name}"));
            stream.write_all(call.as_bytes()).await.expect("it is sent");
            let mut answer = [0; 12];
            stream
                .read_exact(&mut answer)
                .await
                .expect("it is answered");
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
    });
}

#[test]
fn nothing_is_answered_without_tls_where_it_is_asked_for() {
    let tls = Tls::self_made([""; 0]).expect("it can be made");
    let server = server_with(|builder| builder.tls(tls).head_timeout(SHORT));
    let mut client = Client::connect(server.local_addr());
    client.send(call("ListStreams", "{}"));
    let end = client.end();
    assert!(!end.starts_with(b"HTTP"), "{end:?}");
    // Nor is a handshake waited for that does not come.
    assert_eq!(Client::connect(server.local_addr()).end(), b"");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let ours = Tls::self_made([""; 0]).expect("it can be made");
    let error = Tls::from_pem(ours.certificate_pem().as_bytes(), b"no key");
    assert!(error.is_err());
    assert!(Tls::from_pem(b"no certificate", b"no key").is_err());
}
