//! The Kinesis API over a [`Registry`]: a request goes in, an answer comes out, no I/O is done.
//!
//! ```
//! use brooklet::Registry;
//! use brooklet::protocol::{Encoding, Service};
//!
//! let service = Service::new(&Registry::new());
//! let created = service.call(
//!     "Kinesis_20131202.CreateStream",
//!     Encoding::Json,
//!     br#"{"StreamName":"orders","ShardCount":1}"#.as_slice(),
//! );
//! assert_eq!(created.status(), 200);
//! ```
//!
//! ```text
//!   respond   an HTTP request, in the order of checks that the service has
//!     │          method, content type, target, credentials        http, signature
//!     v
//!   call      one operation                                        operations
//!     │          body -> values                                    codec: json, cbor
//!     │          values -> typed members                           shape, shapes
//!     │          members -> effect on the registry's streams       account, stream_state, token
//!     v
//!   answer    values -> body, or frames                            codec, events
//! ```
//!
//! # What is kept, and not done
//!
//! Some operations set what a process on its own does not do. What they set is checked, kept and given
//! back as the service does it:
//!
//! - Encryption: records are marked as encrypted; none is, and no key is looked at.
//! - Policies: no call is refused for one.
//! - Shard-level metrics and logs of channels: none are sent.
//! - Channels: they come, change and go; no record is delivered anywhere.
//! - Warm throughput and the commitment to a minimum: nothing is scaled, and nothing is charged.
//!
//! # Promises, and how they could break
//!
//! 1. **An answer is the service's, to the letter where one is known**: names, statuses, members and
//!    texts are those of the contract.
//! 2. **No input panics or allocates without bound**: bodies are read by length and depth, tokens
//!    are authenticated before they are read.
//! 3. **What is said of a stream ends with it**: tags, consumers, policies and the like live in the
//!    stream that they are of, so that one of the same name that is created later has none of them.
//! 4. **One account, any number of services over it**: all state is in the registry.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::limits::Limits;
use crate::registry::Registry;
use crate::sync::PlainArc;

mod account;
mod arn;
mod body;
mod cbor;
mod codec;
mod events;
mod exception;
mod head;
mod http;
mod java_date;
mod json;
mod operations;
mod paging;
mod request_id;
mod shape;
mod shapes;
mod signature;
mod stream_state;
mod token;
mod value;

pub use body::{Body, EventStream};
pub use codec::Encoding;
#[cfg(feature = "server")]
pub(crate) use head::Head;
#[cfg(feature = "server")]
pub(crate) use request_id::add as add_request_id;

#[cfg(feature = "aws")]
pub(crate) use crate::timer::Alarm;

/// An account of the Kinesis API in a region: the streams of a [`Registry`].
///
/// A handle; clones are the same service. Services over one registry share all that they know.
#[derive(Clone)]
pub struct Service {
    registry: Registry,
    settings: PlainArc<Settings>,
}

/// Makes a [`Service`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ServiceBuilder {
    registry: Registry,
    settings: Settings,
}

#[derive(Clone)]
struct Settings {
    region: String,
    account_id: String,
    shard_limit: u32,
    limits: Limits,
    credentials: Option<Credentials>,
}

/// A key that requests are to be signed with.
#[derive(Clone)]
struct Credentials {
    access_key_id: String,
    /// Overwritten when it is dropped.
    secret_access_key: Zeroizing<String>,
}

impl Service {
    /// A service with default settings.
    pub fn new(registry: &Registry) -> Self {
        Self::builder(registry).build()
    }

    /// Begins to describe a service.
    pub fn builder(registry: &Registry) -> ServiceBuilder {
        ServiceBuilder {
            registry: registry.clone(),
            settings: Settings {
                region: "us-east-1".to_owned(),
                account_id: "000000000000".to_owned(),
                shard_limit: 20_000,
                limits: Limits::unlimited(),
                credentials: None,
            },
        }
    }

    /// Answers one request that is known to be a call of an operation.
    ///
    /// `target` is the header `X-Amz-Target`, as `Kinesis_20131202.PutRecord`.
    pub fn call(
        &self,
        target: &str,
        encoding: Encoding,
        body: impl Into<Bytes>,
    ) -> ::http::Response<Body> {
        let spare = ::http::HeaderMap::new();
        operations::call(
            self,
            target.as_bytes(),
            encoding,
            &body.into(),
            spare,
            || Ok(()),
        )
    }

    /// The streams.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The region, as ARNs say it.
    pub fn region(&self) -> &str {
        &self.settings.region
    }

    /// Whether requests have to be signed.
    #[cfg(feature = "server")]
    pub(crate) fn checks_signatures(&self) -> bool {
        self.settings.credentials.is_some()
    }

    /// The account, as ARNs say it.
    pub fn account_id(&self) -> &str {
        &self.settings.account_id
    }
}

/// What the doors to the service ask of it.
#[cfg(feature = "aws")]
impl Service {
    /// Wakes those who wait for a time.
    pub(crate) fn timer(&self) -> &crate::timer::Timer {
        &account::Account::of(&self.registry).timer
    }

    /// The id and the secret of the key that requests are to be signed with, if it knows one.
    pub(crate) fn key(&self) -> Option<(&str, &str)> {
        let key = self.settings.credentials.as_ref()?;
        Some((&key.access_key_id, &key.secret_access_key))
    }
}

impl From<&Registry> for Service {
    /// A service with default settings.
    fn from(registry: &Registry) -> Self {
        Self::new(registry)
    }
}

impl From<&Self> for Service {
    /// The same service.
    fn from(service: &Self) -> Self {
        service.clone()
    }
}

impl ServiceBuilder {
    /// The region that ARNs name; `us-east-1` unless set.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = region.into();
        self
    }

    /// The account of 12 digits that ARNs name; `000000000000` unless set.
    pub fn account_id(mut self, account_id: impl Into<String>) -> Self {
        self.settings.account_id = account_id.into();
        self
    }

    /// How many open shards the account may have; 20,000 unless set.
    pub const fn shard_limit(mut self, shards: u32) -> Self {
        self.settings.shard_limit = shards;
        self
    }

    /// The limits of the streams that are created through the service; [`Limits::unlimited`] unless
    /// set.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Takes only requests that are signed (Signature Version 4) with this key. Unless set, whatever
    /// credentials a request has are taken for good.
    pub fn credentials(
        mut self,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Self {
        self.settings.credentials = Some(Credentials {
            access_key_id: access_key_id.into(),
            secret_access_key: Zeroizing::new(secret_access_key.into()),
        });
        self
    }

    /// Makes the service.
    pub fn build(self) -> Service {
        Service {
            registry: self.registry,
            settings: PlainArc::new(self.settings),
        }
    }
}

impl Credentials {
    fn secret(&self) -> &str {
        &self.secret_access_key
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("registry", &self.registry)
            .field("settings", &self.settings)
            .finish()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("region", &self.region)
            .field("account_id", &self.account_id)
            .field("shard_limit", &self.shard_limit)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    /// The secret stays one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"***")
            .finish()
    }
}
