//! The endpoint, asked by clients that send exactly the bytes that a test wants: a library would not
//! send most of them.
//!
//! Limits in time are set short where a test waits for them, and nothing is asserted about how soon a
//! connection ends, but that it does: a client here gives up after [`PATIENCE`] only.

mod binary;
mod client;
mod crowds;
mod http2;
#[cfg(feature = "testing")]
mod late;
// Only there a process can be asked how much memory it had at most.
#[cfg(target_os = "linux")]
mod memory;
mod signatures;
mod trust;
mod wire;

use std::time::Duration;

use brooklet::Registry;
use brooklet::protocol::Service;
use brooklet::server::{RunningServer, Server, ServerBuilder};

/// After which a client takes a server for dead that should have answered.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A limit that a test waits for.
pub const SHORT: Duration = Duration::from_millis(200);

/// Waits until something holds that should, sooner or later.
pub fn until(holds: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never holds");
        std::thread::yield_now();
    }
}

/// A service with a stream `orders` of one shard.
pub fn service() -> Service {
    let registry = Registry::new();
    registry
        .create(brooklet::Stream::builder("orders"))
        .expect("the name is free");
    Service::new(&registry)
}

/// An endpoint with default settings.
pub fn server() -> RunningServer {
    Server::start(&service()).expect("loopback has a port that is free")
}

/// An endpoint with settings.
pub fn server_with(set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> RunningServer {
    let builder = set(Server::builder(&service()));
    builder
        .start("127.0.0.1:0")
        .expect("loopback has a port that is free")
}
