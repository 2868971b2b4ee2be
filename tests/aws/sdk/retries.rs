//! Throttled calls, and the retries of the SDK: on the clock of the registry, and in no time.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Builder;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use brooklet::{Clock, Limits};
use futures_executor::block_on;

use crate::world::{SECOND, World};

fn data() -> Blob {
    Blob::new(vec![b'x'; 1024 * 1024 - 1])
}

#[test]
fn a_throttled_put_is_tried_again_until_the_shard_takes_it() {
    let world = World::limited();
    block_on(async {
        world.create("orders", 1).await;
        let put = world
            .client
            .put_record()
            .stream_name("orders")
            .partition_key("k");
        put.clone()
            .data(data())
            .send()
            .await
            .expect("a second's worth");
        world.calls.take();
        // Refused, until a back-off of a second is over.
        let before = world.clock.monotonic();
        put.data(data()).send().await.expect("it is tried again");
        assert_eq!(world.calls.take(), ["PutRecord", "PutRecord"]);
        assert!(world.clock.monotonic() - before >= SECOND);
    });
}

#[test]
fn retries_are_the_same_each_time() {
    let run = || {
        let world = World::limited();
        block_on(async {
            world.create("orders", 1).await;
            for _ in 0..4 {
                let put = world
                    .client
                    .put_record()
                    .stream_name("orders")
                    .partition_key("k");
                put.data(data()).send().await.expect("it is tried again");
            }
        });
        (world.calls.take().len(), world.clock.now())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_call_that_is_never_let_through_is_given_up_after_three_attempts() {
    let limits = Limits::unlimited().write_records_per_second(Some(0));
    let world = World::with(Duration::ZERO, |service| service.limits(limits));
    block_on(async {
        world.create("orders", 1).await;
        world.calls.take();
        let put = world
            .client
            .put_record()
            .stream_name("orders")
            .partition_key("k");
        let error = put.data(Blob::new("x")).send().await.expect_err("given up");
        let error = error.into_service_error();
        assert!(error.is_provisioned_throughput_exceeded_exception());
        assert_eq!(world.calls.take(), ["PutRecord"; 3]);
    });
}

#[test]
fn the_retries_of_a_service_of_ones_own_are_as_it_sets_them() {
    let limits = Limits::unlimited().write_records_per_second(Some(0));
    let world = World::with(Duration::ZERO, |service| service.limits(limits));
    block_on(async {
        world.create("orders", 1).await;
        world.calls.take();
        let config = brooklet::aws::config(&world.service)
            .into_builder()
            .sleep_impl(brooklet::aws::turning_sleep(&world.clock))
            .retry_config(RetryConfig::standard().with_max_attempts(5))
            .build();
        let config = Builder::from(&config).interceptor(world.calls.clone());
        let client = Client::from_conf(config.build());
        let put = client.put_record().stream_name("orders").partition_key("k");
        put.data(Blob::new("x")).send().await.expect_err("given up");
        assert_eq!(world.calls.take(), ["PutRecord"; 5]);
    });
}

#[test]
fn a_back_off_lasts_until_the_clock_is_turned() {
    let world = World::limited();
    block_on(world.create("orders", 1));
    let client = world.patient();
    let put = || client.put_record().stream_name("orders").partition_key("k");
    block_on(put().data(data()).send()).expect("a second's worth");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(put().data(data()).send()).map_err(Box::new));
        while world.clock.sleeper_count() == 0 {
            std::thread::yield_now();
        }
        assert!(!waiting.is_finished());
        // As often as it asks for more time.
        while !waiting.is_finished() {
            world.clock.advance(SECOND);
            std::thread::yield_now();
        }
        waiting
            .join()
            .expect("no panic")
            .expect("it is tried again");
    });
}

#[test]
fn a_throttled_entry_of_a_batch_is_told_and_not_tried_again_by_the_sdk() {
    let world = World::limited();
    block_on(async {
        world.create("orders", 1).await;
        world.calls.take();
        let entry = || {
            let entry = PutRecordsRequestEntry::builder()
                .partition_key("k")
                .data(data());
            entry.build().expect("it is whole")
        };
        let put = world.client.put_records().stream_name("orders");
        let put = put
            .records(entry())
            .records(entry())
            .send()
            .await
            .expect("answered");
        assert_eq!(world.calls.take(), ["PutRecords"]);
        assert_eq!(put.failed_record_count(), Some(1));
        assert!(put.records()[0].sequence_number().is_some());
        assert_eq!(
            put.records()[1].error_code(),
            Some("ProvisionedThroughputExceededException")
        );
    });
}

#[test]
fn reads_beyond_five_a_second_are_tried_again() {
    let world = World::limited();
    block_on(async {
        world.create("orders", 1).await;
        world.put("orders", "one").await;
        let iterator = world.iterator("orders").await;
        world.calls.take();
        for _ in 0..12 {
            let get = world.client.get_records().shard_iterator(&iterator);
            let got = get.send().await.expect("it is tried again");
            assert_eq!(got.records().len(), 1);
        }
        assert!(world.calls.take().len() > 12, "some were throttled");
        assert!(world.clock.monotonic() >= SECOND);
    });
}
