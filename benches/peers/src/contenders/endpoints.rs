//! What answers requests of the Kinesis API: brooklet and ferrokinesis, each as a server in a process of
//! its own and as functions in this one; and a handler that reads a request and answers nothing.

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread;

use axum::Router;
use axum::body::{Body, to_bytes};
use brooklet::Registry;
use brooklet::protocol::{self, Service};
use brooklet::server::Server;
use bytes::Bytes;
use ferrokinesis::actions::{Operation, dispatch};
use ferrokinesis::create_app;
use ferrokinesis::store::{Store, StoreOptions};
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower_service::Service as _;

use crate::contenders::Carries;
use crate::endpoint::{self, Peer};

/// Of a handler that does nothing.
pub const NOTHING: Carries = Carries(".......");

/// Becomes a server, if this process was started to be one.
pub fn serve(who: &str) {
    endpoint::serve(match who {
        "brooklet" => serve_brooklet(),
        "ferrokinesis" => serve_ferrokinesis(),
        "nothing" => endpoint::serve_nothing(),
        other => panic!("there is no server of the name {other}"),
    });
}

fn serve_brooklet() -> SocketAddr {
    let server = Server::start(&Service::new(&Registry::new())).expect("loopback");
    let address = server.local_addr();
    // It serves as long as the process lives.
    std::mem::forget(server);
    address
}

/// The router of its server on a plain hyper, as there, but without a look at which HTTP is spoken; on
/// one thread, as brooklet's: one client is served by no more in any case.
fn serve_ferrokinesis() -> SocketAddr {
    let (tell, told) = channel();
    thread::spawn(move || {
        runtime().block_on(async {
            let (router, _store) = create_app(store_options());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.expect("loopback");
            let address = listener.local_addr().expect("it is bound");
            tell.send(address).expect("it is waited for");
            loop {
                let (stream, _) = listener.accept().await.expect("somebody connects");
                stream.set_nodelay(true).expect("it is a socket");
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
    });
    told.recv().expect("it is bound")
}

/// Streams that are there when they are asked for.
fn store_options() -> StoreOptions {
    StoreOptions {
        create_stream_ms: 0,
        ..StoreOptions::default()
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime starts")
}

/// Something that answers requests, each a whole one of HTTP.
pub trait Ask {
    /// The body of the answer, which has to be a good one.
    fn ask(&mut self, operation: &str, body: &str) -> Vec<u8>;
}

impl Ask for Peer {
    fn ask(&mut self, operation: &str, body: &str) -> Vec<u8> {
        let answer = self.client.ask(&endpoint::request(operation, body));
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{operation}");
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
        answer[head.expect("a head has an end") + 4..].to_vec()
    }
}

/// A request as it is when a server has read it.
pub fn request(operation: &str, body: &str) -> Request<Bytes> {
    let text = String::from_utf8(endpoint::request(operation, "")).expect("it is text");
    let headers = text.lines().filter_map(|line| line.split_once(": "));
    let builder = headers.fold(Request::post("/"), |builder, (name, value)| {
        builder.header(name, value)
    });
    let body = Bytes::copy_from_slice(body.as_bytes());
    builder.body(body).expect("it is a request")
}

/// brooklet without a socket.
pub struct Brooklet(Service);

impl Brooklet {
    pub fn new() -> Self {
        Self(Service::new(&Registry::new()))
    }

    pub fn respond(&self, request: &Request<Bytes>) -> Response<protocol::Body> {
        let answer = self.0.respond(request);
        assert_eq!(answer.status(), StatusCode::OK);
        answer
    }
}

impl Ask for Brooklet {
    fn ask(&mut self, operation: &str, body: &str) -> Vec<u8> {
        match self.respond(&request(operation, body)).into_body() {
            protocol::Body::Whole(bytes) => bytes.into(),
            other => panic!("{operation} is answered with {other:?}"),
        }
    }
}

/// ferrokinesis without a socket.
pub struct Ferrokinesis {
    runtime: Runtime,
    router: Router,
    store: Store,
}

impl Ferrokinesis {
    pub fn new() -> Self {
        let runtime = runtime();
        let (router, store) = runtime.block_on(async { create_app(store_options()) });
        Self {
            runtime,
            router,
            store,
        }
    }

    /// From a request to the bytes of an answer, as its server has them.
    pub fn respond(&mut self, request: Request<Bytes>) -> Bytes {
        let router = &mut self.router;
        self.runtime.block_on(async {
            let answer = router.call(request.map(Body::from)).await;
            let answer = answer.expect("it cannot fail");
            assert_eq!(answer.status(), StatusCode::OK);
            let whole = to_bytes(answer.into_body(), usize::MAX).await;
            whole.expect("it is in memory")
        })
    }

    /// From parsed JSON to JSON that nobody has written yet.
    pub fn dispatch(&self, operation: Operation, input: Value) -> Option<Value> {
        let dispatched = dispatch(&self.store, operation, input);
        match self.runtime.block_on(dispatched) {
            Ok(answer) => answer,
            Err(error) => panic!("{operation:?}: {:?}", error.body.message),
        }
    }
}

impl Ask for Ferrokinesis {
    fn ask(&mut self, operation: &str, body: &str) -> Vec<u8> {
        let answer = self.respond(request(operation, body));
        // A stream becomes active in a task of its own, which runs while somebody waits only.
        self.runtime.block_on(tokio::task::yield_now());
        answer.into()
    }
}
