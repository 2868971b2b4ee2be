//! The unmodified AWS SDK for Rust on a registry, in the same process.

#[path = "../../contract/door.rs"]
mod door;
#[path = "../../contract/promises.rs"]
mod promises;

mod calls;
mod client;
mod errors;
mod readme;
mod retries;
mod subscriptions;
mod waiting;
mod world;

/// The promises that all doors keep.
mod contract {
    use super::*;

    promises::every_promise!(world::World::new());
}
