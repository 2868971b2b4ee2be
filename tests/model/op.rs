//! What can be done to a stream, in words that read well when a failing case is shown.
//!
//! Whatever is picked (a shard, an iterator, a record) is a number that is taken modulo how many
//! there are, so that a case stays meaningful while it is shrunk.

use std::num::NonZeroU32;

use proptest::prelude::*;

/// How the stream of a case is built.
#[derive(Clone, Debug)]
pub struct Plan {
    pub shards: NonZeroU32,
    pub retention_ms: u64,
    pub capacity_records: Option<u64>,
    pub capacity_bytes: Option<u64>,
    pub refuse_when_full: bool,
    pub record_bytes_max: Option<usize>,
    pub limits: LimitsPlan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitsPlan {
    Unlimited,
    Writes,
    Everything,
}

#[derive(Clone, Debug)]
pub enum Op {
    Put(Put),
    PutAll(Vec<Put>),
    Open {
        shard: usize,
        from: Start,
    },
    Get {
        iterator: usize,
        limit: usize,
        how: How,
        hold: bool,
    },
    CloneIterator(usize),
    /// Replaces an iterator by one that begins at its `position()`.
    Restore(usize),
    DropIterator(usize),
    Split {
        shard: usize,
        at: At,
    },
    /// Merges a shard with another: the one behind it, unless `other` picks at random.
    Merge {
        shard: usize,
        other: Option<usize>,
    },
    UpdateShardCount(u32),
    SetRetention(u64),
    Advance(u64),
    StepBack(u64),
    List(Filter),
    Metrics,
    Describe,
    Subscribe(SubscribeFrom),
    Pull {
        subscription: usize,
        limit: usize,
        how: How,
        hold: bool,
    },
    DropSubscription(usize),
    LetBatchesGo,
    Close,
}

#[derive(Clone, Debug)]
pub struct Put {
    pub key: Key,
    pub to: To,
    pub bytes: usize,
    /// Put as an entry that says after which earlier number it comes.
    pub after: Option<Number>,
}

#[derive(Clone, Copy, Debug)]
pub enum Key {
    Named(u8),
    /// One character, so many times.
    Of(char, usize),
}

#[derive(Clone, Copy, Debug)]
pub enum To {
    ByKey,
    /// The hash key at so many sixteenths of the space, or the one below it.
    Sixteenths(u8),
    Below(u8),
}

#[derive(Clone, Copy, Debug)]
pub enum Start {
    TrimHorizon,
    Latest,
    At(Number),
    After(Number),
    Time(Time),
}

#[derive(Clone, Copy, Debug)]
pub enum SubscribeFrom {
    TrimHorizon,
    Latest,
    Time(Time),
    Number,
}

/// Which sequence number.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// That of a record, counted back from the newest.
    Back(usize),
    /// The same, but for the second in which it arrived.
    OtherTime(usize, i8),
    StartOfShard,
    EndOfShard,
    Future,
    OtherShard,
    OtherStream,
}

#[derive(Clone, Copy, Debug)]
pub enum Time {
    Ago(u64),
    Ahead(u64),
    /// When a record arrived, counted back from the newest, and some milliseconds.
    OfRecord(usize, i8),
}

#[derive(Clone, Copy, Debug)]
pub enum How {
    Now,
    /// With a timeout of no time.
    Timeout,
    /// As a future that is polled once.
    Async,
}

/// Where a shard is split.
#[derive(Clone, Copy, Debug)]
pub enum At {
    Part(u8, u8),
    FromStart(u8),
    FromEnd(u8),
}

#[derive(Clone, Copy, Debug)]
pub enum Filter {
    AfterShardId(usize),
    AtTrimHorizon,
    FromTrimHorizon,
    AtLatest,
    AtTimestamp(Time),
    FromTimestamp(Time),
}

impl Key {
    pub fn text(self) -> String {
        match self {
            Self::Named(number) => format!("key-{number}"),
            Self::Of(character, count) => character.to_string().repeat(count),
        }
    }
}

pub fn plans() -> impl Strategy<Value = Plan> {
    let often_none = |values: Vec<u64>| prop::option::weighted(0.4, prop::sample::select(values));
    (
        1u32..4,
        prop::sample::select(vec![1, 1_000, 10_000, 3_600_000, 86_400_000]),
        often_none(vec![1, 3, 10, 40]),
        often_none(vec![1_024, 2_500, 4_096, 20_000, 40_000, 150_000]),
        any::<bool>(),
        prop::option::weighted(0.1, Just(1_500)),
        prop_oneof![
            4 => Just(LimitsPlan::Unlimited),
            1 => Just(LimitsPlan::Writes),
            1 => Just(LimitsPlan::Everything),
        ],
    )
        .prop_map(
            |(shards, retention_ms, records, bytes, refuse, record_bytes_max, limits)| Plan {
                shards: NonZeroU32::new(shards).expect("at least one"),
                retention_ms,
                capacity_records: records,
                // What besides records counts there is not for the twin to know.
                capacity_bytes: bytes.filter(|_| !refuse),
                refuse_when_full: refuse,
                record_bytes_max,
                limits,
            },
        )
}

pub fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..=200)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        60 => put().prop_map(Op::Put),
        12 => prop::collection::vec(put(), 0..12).prop_map(Op::PutAll),
        3 => prop::collection::vec(put(), 12..60).prop_map(Op::PutAll),
        12 => (pick(), start()).prop_map(|(shard, from)| Op::Open { shard, from }),
        60 => (pick(), limit(), how(), hold())
            .prop_map(|(iterator, limit, how, hold)| Op::Get { iterator, limit, how, hold }),
        5 => pick().prop_map(Op::CloneIterator),
        8 => pick().prop_map(Op::Restore),
        2 => pick().prop_map(Op::DropIterator),
        5 => (pick(), at()).prop_map(|(shard, at)| Op::Split { shard, at }),
        5 => (pick(), prop::option::weighted(0.2, pick()))
            .prop_map(|(shard, other)| Op::Merge { shard, other }),
        5 => prop_oneof![
            20 => 1u32..7,
            1 => Just(0),
            1 => Just(10_001),
        ]
        .prop_map(Op::UpdateShardCount),
        3 => prop::sample::select(vec![0, 1, 500, 2_000, 20_000, 86_400_000, 40_000_000_000])
            .prop_map(Op::SetRetention),
        20 => duration().prop_map(Op::Advance),
        6 => duration().prop_map(Op::StepBack),
        8 => filter().prop_map(Op::List),
        6 => Just(Op::Metrics),
        3 => Just(Op::Describe),
        6 => prop_oneof![
            4 => Just(SubscribeFrom::TrimHorizon),
            2 => Just(SubscribeFrom::Latest),
            4 => time().prop_map(SubscribeFrom::Time),
            1 => Just(SubscribeFrom::Number),
        ]
        .prop_map(Op::Subscribe),
        50 => (pick(), limit(), how(), hold()).prop_map(|(subscription, limit, how, hold)| {
            Op::Pull { subscription, limit, how, hold }
        }),
        1 => pick().prop_map(Op::DropSubscription),
        1 => Just(Op::LetBatchesGo),
        1 => prop::bool::weighted(0.2).prop_map(|close| if close { Op::Close } else { Op::Metrics }),
    ]
}

fn pick() -> impl Strategy<Value = usize> {
    0usize..12
}

fn put() -> impl Strategy<Value = Put> {
    let key = prop_oneof![
        40 => (0u8..8).prop_map(Key::Named),
        2 => (1usize..=256).prop_map(|count| Key::Of('k', count)),
        2 => (1usize..=256).prop_map(|count| Key::Of('日', count)),
        1 => Just(Key::Of('🦀', 256)),
        1 => prop_oneof![Just(Key::Of('k', 0)), Just(Key::Of('ü', 257))],
    ];
    let to = prop_oneof![
        3 => Just(To::ByKey),
        1 => (0u8..=15).prop_map(To::Sixteenths),
        1 => (1u8..=16).prop_map(To::Below),
    ];
    let bytes = prop_oneof![
        2 => Just(0usize),
        12 => 1usize..60,
        3 => 400usize..=512,
        4 => 513usize..=2_000,
    ];
    (key, to, bytes, prop::option::weighted(0.1, number())).prop_map(|(key, to, bytes, after)| {
        Put {
            key,
            to,
            bytes,
            after,
        }
    })
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        4 => Just(Start::TrimHorizon),
        2 => Just(Start::Latest),
        3 => number().prop_map(Start::At),
        3 => number().prop_map(Start::After),
        3 => time().prop_map(Start::Time),
    ]
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        10 => (0usize..60).prop_map(Number::Back),
        2 => (0usize..10, -2i8..=2).prop_map(|(back, secs)| Number::OtherTime(back, secs)),
        1 => Just(Number::StartOfShard),
        1 => Just(Number::EndOfShard),
        1 => Just(Number::Future),
        1 => Just(Number::OtherShard),
        1 => Just(Number::OtherStream),
    ]
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        3 => duration().prop_map(Time::Ago),
        1 => (1u64..5_000).prop_map(Time::Ahead),
        4 => (0usize..30, -1i8..=1).prop_map(|(back, plus)| Time::OfRecord(back, plus)),
    ]
}

fn duration() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0),
        8 => 1u64..50,
        8 => 100u64..3_000,
        2 => 5_000u64..20_000,
        // Beyond what the frames of one chunk can say.
        1 => prop::sample::select(vec![3_600_000, 86_400_000, 300_000_000]),
    ]
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 1usize..10,
        4 => Just(100usize),
        4 => Just(10_000usize),
        1 => prop_oneof![Just(0usize), Just(10_001)],
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![3 => Just(How::Now), 1 => Just(How::Timeout), 1 => Just(How::Async)]
}

fn hold() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn at() -> impl Strategy<Value = At> {
    prop_oneof![
        8 => prop::sample::select(vec![(1, 2), (1, 3), (2, 3), (1, 7), (15, 16)])
            .prop_map(|(part, of)| At::Part(part, of)),
        1 => (0u8..4).prop_map(At::FromStart),
        1 => (0u8..4).prop_map(At::FromEnd),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        1 => pick().prop_map(Filter::AfterShardId),
        1 => Just(Filter::AtTrimHorizon),
        1 => Just(Filter::FromTrimHorizon),
        1 => Just(Filter::AtLatest),
        2 => time().prop_map(Filter::AtTimestamp),
        2 => time().prop_map(Filter::FromTimestamp),
    ]
}
