//! Operations on a stream, read from bytes, done to it and to its naive twin (`tests/model`).
//!
//! The bytes are read by hand and from the front, so that what a fuzzer changes in one operation leaves
//! the others as they are, and an input that is kept stays the same operations.

use std::num::NonZeroU32;

use crate::op::{
    At, Filter, How, Key, LimitsPlan, Number, Op, Plan, Put, Start, SubscribeFrom, Time, To,
};
use crate::run::Run;

const OPS_MAX: usize = 400;

/// A stream does what its twin does.
pub fn engine(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let plan = bytes.plan();
    let mut ops = Vec::new();
    while !bytes.0.is_empty() && ops.len() < OPS_MAX {
        ops.push(bytes.op());
    }
    Run::new(&plan).run(&ops);
}

/// What is left of an input; zeros follow.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    fn often_none(&mut self, choices: &[u64]) -> Option<u64> {
        match self.byte() {
            0..=150 => None,
            byte => Some(choices[usize::from(byte) % choices.len()]),
        }
    }

    fn plan(&mut self) -> Plan {
        let refuse_when_full = self.byte() % 2 == 1;
        Plan {
            shards: NonZeroU32::MIN.saturating_add(self.below(3).into()),
            retention_ms: self.of(&[86_400_000, 1, 1_000, 10_000, 3_600_000]),
            capacity_records: self.often_none(&[1, 3, 10, 40]),
            // As for the machine of random operations.
            capacity_bytes: self
                .often_none(&[1_024, 2_500, 4_096, 20_000, 40_000, 150_000])
                .filter(|_| !refuse_when_full),
            refuse_when_full,
            record_bytes_max: (self.byte() > 230).then_some(1_500),
            limits: match self.byte() {
                0..=180 => LimitsPlan::Unlimited,
                181..=220 => LimitsPlan::Writes,
                _ => LimitsPlan::Everything,
            },
        }
    }

    fn op(&mut self) -> Op {
        match self.byte() {
            0..=79 => Op::Put(self.put()),
            80..=95 => {
                let count = self.of(&[0, 1, 2, 3, 5, 8, 12, 60]);
                Op::PutAll((0..count).map(|_| self.put()).collect())
            }
            96..=107 => Op::Open {
                shard: self.pick(),
                from: self.start(),
            },
            108..=155 => Op::Get {
                iterator: self.pick(),
                limit: self.limit(),
                how: self.how(),
                hold: self.hold(),
            },
            156..=159 => Op::CloneIterator(self.pick()),
            160..=165 => Op::Restore(self.pick()),
            166..=167 => Op::DropIterator(self.pick()),
            168..=173 => Op::Split {
                shard: self.pick(),
                at: self.at(),
            },
            174..=179 => Op::Merge {
                shard: self.pick(),
                other: (self.byte() > 200).then(|| self.pick()),
            },
            180..=184 => Op::UpdateShardCount(self.of(&[1, 2, 3, 4, 5, 6, 0, 10_001])),
            185..=188 => {
                Op::SetRetention(self.of(&[1, 500, 2_000, 20_000, 86_400_000, 0, 40_000_000_000]))
            }
            189..=200 => Op::Advance(self.duration()),
            201..=204 => Op::StepBack(self.duration()),
            205..=209 => Op::List(self.filter()),
            210..=213 => Op::Metrics,
            214..=215 => Op::Describe,
            216..=220 => Op::Subscribe(match self.byte() {
                0..=100 => SubscribeFrom::TrimHorizon,
                101..=150 => SubscribeFrom::Latest,
                151..=240 => SubscribeFrom::Time(self.time()),
                _ => SubscribeFrom::Number,
            }),
            221..=250 => Op::Pull {
                subscription: self.pick(),
                limit: self.limit(),
                how: self.how(),
                hold: self.hold(),
            },
            251 => Op::DropSubscription(self.pick()),
            252 => Op::LetBatchesGo,
            253 => Op::Close,
            254..=255 => Op::Metrics,
        }
    }

    fn put(&mut self) -> Put {
        let key = match self.byte() {
            byte @ 0..=239 => Key::Named(byte % 8),
            240..=245 => Key::Of('k', usize::from(self.byte()) + 1),
            246..=251 => Key::Of('日', usize::from(self.byte()) + 1),
            252..=253 => Key::Of('🦀', 256),
            254 => Key::Of('k', 0),
            255 => Key::Of('ü', 257),
        };
        let to = match self.byte() {
            0..=127 => To::ByKey,
            byte @ 128..=191 => To::Sixteenths(byte % 16),
            byte => To::Below(byte % 16 + 1),
        };
        let bytes = match self.byte() {
            byte @ 0..=99 => usize::from(byte),
            100..=159 => 400 + usize::from(self.below(113)),
            160..=239 => 513 + usize::from(self.byte()) * 6,
            byte => usize::from(byte - 240) % 3 + 511,
        };
        let after = (self.byte() > 230).then(|| self.number());
        Put {
            key,
            to,
            bytes,
            after,
        }
    }

    fn pick(&mut self) -> usize {
        self.below(12).into()
    }

    fn start(&mut self) -> Start {
        match self.byte() {
            0..=70 => Start::TrimHorizon,
            71..=100 => Start::Latest,
            101..=150 => Start::At(self.number()),
            151..=200 => Start::After(self.number()),
            _ => Start::Time(self.time()),
        }
    }

    fn number(&mut self) -> Number {
        match self.byte() {
            byte @ 0..=179 => Number::Back(usize::from(byte) % 60),
            byte @ 180..=229 => {
                let secs = self.of(&[-2, -1, 0, 1, 2]);
                Number::OtherTime(usize::from(byte) % 10, secs)
            }
            230..=235 => Number::StartOfShard,
            236..=240 => Number::EndOfShard,
            241..=245 => Number::Future,
            246..=250 => Number::OtherShard,
            _ => Number::OtherStream,
        }
    }

    fn time(&mut self) -> Time {
        match self.byte() {
            0..=99 => Time::Ago(self.duration()),
            byte @ 100..=119 => Time::Ahead(u64::from(byte - 99) * 250),
            byte => {
                let plus = self.of(&[0, 1, -1]);
                Time::OfRecord(usize::from(byte) % 30, plus)
            }
        }
    }

    fn duration(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..=99 => byte.into(),
            byte @ 100..=199 => u64::from(byte) * 25,
            byte @ 200..=239 => u64::from(byte - 190) * 400,
            // Beyond what the frames of one chunk can say.
            byte => [3_600_000, 86_400_000, 300_000_000][usize::from(byte) % 3],
        }
    }

    fn limit(&mut self) -> usize {
        match self.byte() {
            byte @ 0..=149 => usize::from(byte) % 10 + 1,
            150..=199 => 100,
            200..=251 => 10_000,
            252..=253 => 0,
            _ => 10_001,
        }
    }

    fn how(&mut self) -> How {
        self.of(&[How::Now, How::Now, How::Timeout, How::Async])
    }

    fn hold(&mut self) -> bool {
        self.byte() > 230
    }

    fn at(&mut self) -> At {
        match self.byte() {
            byte @ 0..=199 => {
                let parts = [(1, 2), (1, 3), (2, 3), (1, 7), (15, 16)];
                let (part, of) = parts[usize::from(byte) % 5];
                At::Part(part, of)
            }
            byte @ 200..=227 => At::FromStart(byte % 4),
            byte => At::FromEnd(byte % 4),
        }
    }

    fn filter(&mut self) -> Filter {
        match self.below(8) {
            0 => Filter::AfterShardId(self.pick()),
            1 => Filter::AtTrimHorizon,
            2 => Filter::FromTrimHorizon,
            3 => Filter::AtLatest,
            4 | 5 => Filter::AtTimestamp(self.time()),
            _ => Filter::FromTimestamp(self.time()),
        }
    }
}
