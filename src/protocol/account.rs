//! What an account has besides streams.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::protocol::token::TokenKey;
use crate::registry::Registry;
use crate::sync::{AtomicU64, Mutex, Ordering, PlainArc};
use crate::timer::Timer;

/// The state of an account: kept in its registry.
pub(crate) struct Account {
    /// Authenticates the tokens of this account.
    pub(crate) token_key: TokenKey,
    /// Wakes those who wait for a time.
    pub(crate) timer: PlainArc<Timer>,
    /// Distinguishes streams, tokens and whatever else must not be taken for another.
    serial: AtomicU64,
    pub(crate) commitment: Mutex<Commitment>,
    pub(crate) registered: Mutex<Registered>,
    /// The channels by their ids.
    pub(crate) channels: Mutex<BTreeMap<String, super::operations::Channel>>,
}

/// The commitment to a minimum throughput, as an account's settings have it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Commitment {
    pub(crate) started: Option<Timestamp>,
    /// When it was, or is to be, given up.
    pub(crate) ended: Option<Timestamp>,
}

impl Commitment {
    /// Whether it holds at a time.
    pub(crate) fn is_enabled(&self, now: Timestamp) -> bool {
        self.started.is_some() && self.ended.is_none_or(|ended| ended > now)
    }
}

/// When each consumer was registered last, in seconds, so that one of the same name has another ARN
/// though it is registered within the same second.
#[derive(Debug, Default)]
pub(crate) struct Registered(BTreeMap<(String, String), u64>);

impl Registered {
    /// The second that a consumer is said to be registered in.
    pub(crate) fn next(&mut self, stream: &str, consumer: &str, now: Timestamp) -> u64 {
        let now_secs = now.as_secs();
        // One that is registered later than that has another second anyway.
        self.0.retain(|_, secs| *secs >= now_secs);
        let key = (stream.to_owned(), consumer.to_owned());
        let last = self.0.get(&key).copied();
        let secs = last.map_or(now_secs, |last| last + 1);
        self.0.insert(key, secs);
        secs
    }
}

impl Account {
    /// The account of a registry.
    pub(crate) fn of(registry: &Registry) -> &Self {
        registry.extension().get_or_init(|| Self {
            token_key: TokenKey::random(),
            timer: PlainArc::clone(registry.timer()),
            serial: AtomicU64::new(1),
            commitment: Mutex::default(),
            registered: Mutex::default(),
            channels: Mutex::default(),
        })
    }

    /// A number that was not given before.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }
}
