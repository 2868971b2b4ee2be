//! The AWS SDK for Rust without AWS, without a server, without a socket. Run it with
//! `cargo run --manifest-path tests/aws/Cargo.toml --example in_process`.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use brooklet::Registry;

async fn run() -> Result<(), aws_sdk_kinesis::Error> {
    let registry = Registry::new();
    let client = Client::new(&brooklet::aws::config(&registry));

    client
        .create_stream()
        .stream_name("orders")
        .shard_count(1)
        .send()
        .await?;
    let put = client
        .put_record()
        .stream_name("orders")
        .partition_key("customer-17")
        .data(Blob::new("two teapots"))
        .send()
        .await?;
    let iterator = client
        .get_shard_iterator()
        .stream_name("orders")
        .shard_id(put.shard_id())
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await?;
    let read = client
        .get_records()
        .set_shard_iterator(iterator.shard_iterator)
        .send()
        .await?;
    assert_eq!(read.records()[0].data().as_ref(), b"two teapots");
    assert_eq!(read.records()[0].sequence_number(), put.sequence_number());
    Ok(())
}

fn main() {
    // Any executor will do; there is nothing to wait for.
    futures_executor::block_on(run()).expect("every call is answered");
    println!("two teapots, by the SDK and without a socket");
}
