//! The protocol over sockets: JSON on HTTP/1.1, CBOR on HTTP/2.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use brooklet::Registry;
use brooklet::protocol::{Encoding, Service};
use brooklet::server::{RunningServer, Server};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::runtime::Runtime;

use crate::wire::Carrier;

/// Nobody looks at who signs: the endpoint is told no key.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0";

fn serve(registry: &Registry) -> (RunningServer, SocketAddr) {
    let server = Server::start(&Service::new(registry)).expect("a port is free");
    let address = server.url().trim_start_matches("http://").parse();
    (server, address.expect("an address"))
}

/// One connection, of which each request waits for its answer.
pub struct Http1 {
    connection: RefCell<BufReader<TcpStream>>,
    address: SocketAddr,
    // Dropped last: the connection goes first.
    _server: RunningServer,
}

impl Http1 {
    pub fn json(registry: &Registry) -> Self {
        let (server, address) = serve(registry);
        let stream = TcpStream::connect(address).expect("it listens");
        Self {
            connection: RefCell::new(BufReader::new(stream)),
            address,
            _server: server,
        }
    }
}

impl Carrier for Http1 {
    fn encoding(&self) -> Encoding {
        Encoding::Json
    }

    fn call(&self, operation: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\nX-Amz-Target: \
             Kinesis_20131202.{operation}\r\nX-Amz-Date: 20200101T000000Z\r\nAuthorization: \
             {AUTHORIZATION}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            Encoding::Json.content_type(),
            body.len()
        );
        let mut connection = self.connection.borrow_mut();
        let stream = connection.get_mut();
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.write_all(&body).expect("it reads");
        let mut lines = (&mut *connection)
            .lines()
            .map(|line| line.expect("a line of the head"));
        let status = lines.next().expect("a status");
        let status = status.split(' ').nth(1).expect("a code").parse();
        let length = lines
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .last();
        let mut body = vec![0; length.expect("a length")];
        connection.read_exact(&mut body).expect("a body");
        (status.expect("a number"), body)
    }
}

/// One connection, known before to be HTTP/2.
pub struct Http2 {
    client: SendRequest<Bytes>,
    runtime: Runtime,
    address: SocketAddr,
    _server: RunningServer,
}

impl Http2 {
    pub fn cbor(registry: &Registry) -> Self {
        let (server, address) = serve(registry);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("there is a runtime");
        let client = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address)
                .await
                .expect("it listens");
            let (client, connection) = h2::client::handshake(stream).await.expect("it speaks it");
            tokio::spawn(connection);
            client
        });
        Self {
            client,
            runtime,
            address,
            _server: server,
        }
    }

    async fn ask(&self, operation: &str, body: Vec<u8>) -> Result<(u16, Vec<u8>), h2::Error> {
        let request = Request::post(format!("http://{}/", self.address))
            .header("content-type", Encoding::Cbor.content_type())
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .header("x-amz-date", "20200101T000000Z")
            .header("authorization", AUTHORIZATION)
            .body(())
            .expect("it is a request");
        let mut client = self.client.clone().ready().await?;
        let (response, mut sending) = client.send_request(request, false)?;
        sending.send_data(body.into(), true)?;
        let response = response.await?;
        let status = response.status().as_u16();
        let mut receiving = response.into_body();
        let mut body = Vec::new();
        while let Some(data) = receiving.data().await {
            let data = data?;
            receiving.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        Ok((status, body))
    }
}

impl Carrier for Http2 {
    fn encoding(&self) -> Encoding {
        Encoding::Cbor
    }

    fn call(&self, operation: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let answer = self.runtime.block_on(self.ask(operation, body));
        answer.expect("it answers")
    }
}
