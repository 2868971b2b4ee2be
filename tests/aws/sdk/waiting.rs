//! Pages and waiters.

use std::collections::BTreeSet;

use aws_sdk_kinesis::client::Waiters;
use aws_sdk_kinesis::types::StreamStatus;
use brooklet::Clock;
use futures_executor::block_on;

use crate::world::{SECOND, World, arn};

#[test]
fn streams_are_listed_page_by_page() {
    let world = World::new();
    block_on(async {
        let names: Vec<_> = (0..25).map(|index| format!("orders-{index:02}")).collect();
        for name in &names {
            world.create(name, 1).await;
        }
        world.calls.take();
        let mut pages = world
            .client
            .list_streams()
            .limit(10)
            .into_paginator()
            .send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            listed.extend(page.expect("a page").stream_names);
        }
        assert_eq!(listed, names);
        assert_eq!(world.calls.take(), ["ListStreams"; 3]);
    });
}

#[test]
fn consumers_are_listed_page_by_page() {
    let world = World::new();
    block_on(async {
        world.create("orders", 1).await;
        for index in 0..7 {
            world.register("orders", &format!("consumer-{index}")).await;
        }
        let pages = world
            .client
            .list_stream_consumers()
            .stream_arn(arn("orders"));
        let mut pages = pages.max_results(3).into_paginator().send();
        let mut names = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.expect("a page");
            names.extend(page.consumers().iter().map(|one| one.consumer_name.clone()));
        }
        assert_eq!(names.len(), 7);
    });
}

#[test]
fn shards_are_listed_page_by_page() {
    let world = World::new();
    block_on(async {
        world.create("orders", 5).await;
        let first = world
            .client
            .list_shards()
            .stream_name("orders")
            .max_results(2);
        let mut page = first.send().await.expect("a page");
        let mut ids: Vec<_> = page
            .shards()
            .iter()
            .map(|shard| shard.shard_id.clone())
            .collect();
        while let Some(token) = page.next_token {
            let next = world.client.list_shards().next_token(token).max_results(2);
            page = next.send().await.expect("a page");
            ids.extend(page.shards().iter().map(|shard| shard.shard_id.clone()));
        }
        let expected: Vec<_> = (0..5).map(|index| format!("shardId-{index:012}")).collect();
        assert_eq!(ids, expected);
    });
}

#[test]
fn a_waiter_sees_a_stream_come_and_go_by_the_clock_of_the_registry() {
    let world = World::with(25 * SECOND, |service| service);
    block_on(async {
        world.create("orders", 1).await;
        let began = world.clock.monotonic();
        let wait = world
            .client
            .wait_until_stream_exists()
            .stream_name("orders");
        let exists = wait.wait(300 * SECOND).await.expect("it becomes active");
        let described = exists.into_result().expect("it is described");
        let status = described.stream_description.expect("it is").stream_status;
        assert_eq!(status, StreamStatus::Active);
        let took = world.clock.monotonic() - began;
        // The SDK asks after 10 s, again up to 20 s later, and again up to 40 s later: by chance.
        assert!((25 * SECOND..65 * SECOND).contains(&took), "{took:?}");

        let delete = world.client.delete_stream().stream_name("orders");
        delete.send().await.expect("deleted");
        let wait = world
            .client
            .wait_until_stream_not_exists()
            .stream_name("orders");
        wait.wait(300 * SECOND).await.expect("it goes");
    });
}

#[test]
fn a_waiter_gives_up_when_its_time_is_over() {
    let world = World::with(1_000 * SECOND, |service| service);
    block_on(async {
        world.create("orders", 1).await;
        let wait = world
            .client
            .wait_until_stream_exists()
            .stream_name("orders");
        wait.wait(30 * SECOND).await.expect_err("it takes longer");
        assert!(world.clock.monotonic() <= 31 * SECOND);
    });
}
