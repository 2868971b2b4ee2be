//! Errors as the types that the SDK has for them.

use std::time::Duration;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::RequestId;
use aws_sdk_kinesis::operation::create_stream::CreateStreamError;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::operation::put_record::PutRecordError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use futures_executor::block_on;

use crate::world::{World, arn, position};

#[test]
fn an_error_has_its_type_its_code_its_message_and_a_request_id() {
    let world = World::new();
    let put = world.client.put_record().stream_name("nowhere");
    let put = put.partition_key("k").data(Blob::new("x"));
    let error = block_on(put.send()).expect_err("there is no such stream");
    let SdkError::ServiceError(context) = &error else {
        panic!("no answer of the service: {error:?}");
    };
    assert_eq!(context.raw().status().as_u16(), 400);
    assert!(error.request_id().is_some());
    let error = error.into_service_error();
    assert!(error.is_resource_not_found_exception());
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    assert_eq!(
        error.message(),
        Some("Stream nowhere under account 000000000000 not found.")
    );
}

#[test]
fn each_kind_of_error_is_told_apart() {
    let world = World::with(Duration::ZERO, |service| service.shard_limit(2));
    block_on(async {
        world.create("orders", 1).await;
        let client = &world.client;
        let error = client.create_stream().stream_name("orders").shard_count(1);
        let error = error.send().await.expect_err("the name is taken");
        let error = error.into_service_error();
        assert!(matches!(
            error,
            CreateStreamError::ResourceInUseException(_)
        ));

        let error = client.create_stream().stream_name("more").shard_count(2);
        let error = error.send().await.expect_err("beyond the limit");
        let error = error.into_service_error();
        assert!(matches!(
            error,
            CreateStreamError::LimitExceededException(_)
        ));

        let error = client.get_records().shard_iterator("made up").send().await;
        let error = error.expect_err("no iterator").into_service_error();
        assert!(matches!(
            error,
            GetRecordsError::InvalidArgumentException(_)
        ));
        assert_eq!(error.message(), Some("Invalid ShardIterator."));

        let iterator = world.iterator("orders").await;
        world.clock.advance(Duration::from_millis(300_001));
        let error = client.get_records().shard_iterator(&iterator).send().await;
        let error = error.expect_err("it is too old").into_service_error();
        assert!(matches!(
            error,
            GetRecordsError::ExpiredIteratorException(_)
        ));

        let put = client.put_record().stream_name("orders").partition_key("k");
        let error = put.clone().data(Blob::new("x")).dry_run(true).send().await;
        let error = error.expect_err("a dry run").into_service_error();
        assert!(matches!(error, PutRecordError::DryRunOperationException(_)));

        // Not in the model: known by its code.
        let error = put.data(Blob::new(vec![0; 1_048_577])).send().await;
        let error = error.expect_err("too large").into_service_error();
        assert_eq!(error.code(), Some("ValidationException"));
    });
}

#[test]
fn what_is_wrong_with_a_subscription_is_an_error_of_the_call() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        let nobody = format!("{}/consumer/nobody:1", arn("orders"));
        let subscribe = world
            .client
            .subscribe_to_shard()
            .shard_id("shardId-000000000000");
        let subscribe = subscribe.starting_position(position(ShardIteratorType::Latest));
        let error = subscribe.clone().consumer_arn(nobody).send().await;
        let error = error
            .expect_err("there is no such consumer")
            .into_service_error();
        assert!(error.is_resource_not_found_exception());
        assert_eq!(
            error.message(),
            Some("Consumer nobody, account 000000000000 not found.")
        );

        let audit = world.register("orders", "audit").await;
        let subscribe = subscribe.consumer_arn(audit);
        let error = subscribe.clone().dry_run(true).send().await;
        let error = error.expect_err("a dry run").into_service_error();
        assert!(error.is_dry_run_operation_exception());
        let _first = subscribe.clone().send().await.expect("subscribed");
        let error = subscribe.send().await.expect_err("there is one already");
        let error = error.into_service_error();
        assert!(error.is_resource_in_use_exception());
        assert_eq!(
            error.message(),
            Some(
                "Another active subscription exists for this consumer: \
                 000000000000:orders:shardId-000000000000:audit"
            )
        );
    });
}
