//! A client of the SDK on a registry whose clock is turned by hand.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kinesis::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ConsumerStatus, ShardIteratorType, StartingPosition, StreamMode, StreamModeDetails,
};
use brooklet::protocol::{Service, ServiceBuilder};
use brooklet::{Limits, ManualClock, Registry};

pub const SECOND: Duration = Duration::from_secs(1);

pub struct World {
    pub clock: ManualClock,
    pub registry: Registry,
    pub service: Service,
    /// Retries cost no time: each sleep turns the clock.
    pub client: Client,
    /// The operations that it was asked for, an attempt each.
    pub calls: Calls,
}

impl World {
    pub fn new() -> Self {
        Self::with(Duration::ZERO, |service| service)
    }

    pub fn limited() -> Self {
        Self::with(Duration::ZERO, |service| service.limits(Limits::kinesis()))
    }

    /// Streams and consumers change their states in `state_delay`.
    pub fn with(
        state_delay: Duration,
        describe: impl FnOnce(ServiceBuilder) -> ServiceBuilder,
    ) -> Self {
        let clock = ManualClock::default();
        let registry = Registry::builder()
            .clock(clock.clone())
            .state_delay(state_delay)
            .build();
        let service = describe(Service::builder(&registry)).build();
        let calls = Calls::default();
        let config = brooklet::aws::config(&service)
            .into_builder()
            .sleep_impl(brooklet::aws::turning_sleep(&clock))
            .build();
        let config = Builder::from(&config).interceptor(calls.clone()).build();
        let client = Client::from_conf(config);
        Self {
            clock,
            registry,
            service,
            client,
            calls,
        }
    }

    /// A client that waits for the clock to be turned.
    pub fn patient(&self) -> Client {
        Client::new(&brooklet::aws::config(&self.service))
    }

    pub async fn create(&self, name: &str, shards: i32) {
        let create = self.client.create_stream().stream_name(name);
        create.shard_count(shards).send().await.expect("created");
    }

    pub async fn create_on_demand(&self, name: &str) {
        let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand);
        let create = self.client.create_stream().stream_name(name);
        let create = create.stream_mode_details(mode.build().expect("it is whole"));
        create.send().await.expect("created");
    }

    pub async fn put(&self, stream: &str, data: &str) -> String {
        let put = self.client.put_record().stream_name(stream);
        let put = put.partition_key("k").data(Blob::new(data));
        put.send().await.expect("put").sequence_number
    }

    pub async fn iterator(&self, stream: &str) -> String {
        let get = self.client.get_shard_iterator().stream_name(stream);
        let get = get.shard_id("shardId-000000000000");
        let get = get.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let got = get.send().await.expect("an iterator");
        got.shard_iterator.expect("there is one")
    }

    /// Registers a consumer; returns its ARN.
    pub async fn register(&self, stream: &str, name: &str) -> String {
        let register = self.client.register_stream_consumer();
        let register = register.stream_arn(arn(stream)).consumer_name(name);
        let consumer = register.send().await.expect("registered").consumer;
        let consumer = consumer.expect("it is described");
        assert_eq!(consumer.consumer_status, ConsumerStatus::Creating);
        consumer.consumer_arn
    }
}

pub fn arn(stream: &str) -> String {
    format!("arn:aws:kinesis:us-east-1:000000000000:stream/{stream}")
}

pub fn position(kind: ShardIteratorType) -> StartingPosition {
    let position = StartingPosition::builder().r#type(kind);
    position.build().expect("it is whole")
}

/// Writes down what is asked for.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("nobody panics with it"))
    }

    pub fn operations(&self) -> BTreeSet<String> {
        self.take().into_iter().collect()
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target");
        let name = target.and_then(|target| target.split_once('.'));
        let (_, name) = name.ok_or("a request without a target")?;
        let mut calls = self.0.lock().expect("nobody panics with it");
        calls.push(name.to_owned());
        Ok(())
    }
}
