//! The AWS SDK for Rust on a [`Registry`](crate::Registry), in the same process: its client sends
//! requests to a function, not to a socket.
//!
//! ```text
//!   aws_sdk_kinesis::Client ── signs, serializes ──> http_client ──> protocol::Service::respond
//!             ^                                                              │
//!             └── whole answers; frames of SubscribeToShard as they come ────┘
//! ```
//!
//! With the SDK itself (which this crate does not depend on):
//!
//! ```text
//! let registry = brooklet::Registry::new();
//! let client = aws_sdk_kinesis::Client::new(&brooklet::aws::config(&registry));
//! client.create_stream().stream_name("orders").shard_count(1).send().await?;
//! ```
//!
//! Whoever has a configuration of their own, as that of the service under test, gives it nothing but
//! the client: `aws_sdk_kinesis::config::Builder::http_client(brooklet::aws::http_client(&registry))`.
//!
//! # No runtime
//!
//! Nothing here asks for one. Answers are there at once; whoever waits for records, or sleeps, is
//! woken by the engine or by a thread that the registry starts when it is first needed. So any
//! executor will do, that of tokio as well as `futures_executor::block_on`.
//!
//! # Time
//!
//! [`config`] has the SDK sleep by the registry's clock and sign with its time. With a
//! [`ManualClock`] a retry waits until the clock is turned: a test decides how long a back-off
//! took. Tests that are not about time let the clock [turn itself](turning_sleep): then a call that is
//! retried costs no time at all, and the clock shows what it would have cost.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

use crate::clock::ManualClock;
use crate::protocol::Service;

mod connector;
mod time;

use connector::InProcess;
use time::{ClockSleep, ClockTime, TurningSleep};

/// An HTTP client for the SDK that a registry, or a [`Service`] over one, answers.
///
/// It is what `aws_sdk_kinesis::config::Builder::http_client` takes. Clients over one registry
/// see the same streams. Timeouts of connecting and reading do not matter: an answer is there when it
/// is asked for.
pub fn http_client(service: impl Into<Service>) -> SharedHttpClient {
    SharedHttpClient::new(InProcess::new(service.into()))
}

/// All that a client of the SDK needs for tests, over a registry or a [`Service`].
///
/// It has the [HTTP client](http_client); the region, and the credentials if it asks for some, of the
/// service; the latest behaviour; the SDK's usual retries, with back-off that does not depend on
/// chance; a sleep and a time that follow the registry's clock. An in-process stream that
/// is silent is not stalled: the SDK does not look for that.
///
/// Change what a test needs otherwise with [`SdkConfig::into_builder`].
pub fn config(service: impl Into<Service>) -> SdkConfig {
    let service = service.into();
    let (access_key_id, secret_access_key) = service.key().unwrap_or(("test", "test"));
    let credentials = Credentials::new(access_key_id, secret_access_key, None, None, "brooklet");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(service.region().to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard().with_use_static_exponential_base(true))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .sleep_impl(ClockSleep::new(service.clone()))
        .time_source(ClockTime::new(service.clone()))
        .http_client(http_client(service))
        .build()
}

/// A sleep that turns the clock on instead of waiting for somebody who does.
///
/// ```
/// use brooklet::{ManualClock, Registry};
///
/// let clock = ManualClock::default();
/// let registry = Registry::builder().clock(clock.clone()).build();
/// let config = brooklet::aws::config(&registry)
///     .into_builder()
///     .sleep_impl(brooklet::aws::turning_sleep(&clock))
///     .build();
/// # assert!(config.sleep_impl().is_some());
/// ```
///
/// Sleeps that begin together end together, at the time of the longest. For tests in which one task
/// at a time depends on the clock: it turns for all who look at it, also for those who would rather
/// have waited.
pub fn turning_sleep(clock: &ManualClock) -> SharedAsyncSleep {
    SharedAsyncSleep::new(TurningSleep::new(clock.clone()))
}
