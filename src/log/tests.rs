use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::data::Data;
use crate::record::{Origin, Record};
use crate::shard_id::ShardId;

const BATCH: ReadLimit = ReadLimit {
    records: 10_000,
    bytes: 10 * 1024 * 1024,
};

/// A log, its writer, and a naive twin.
struct Pair {
    log: Log,
    writer: Writer,
    capacity: Capacity,
    /// Place, arrival, key and data of what was appended and is retained, the oldest first.
    twin: VecDeque<(u64, u64, String, Vec<u8>)>,
    now: u64,
    retention: u64,
}

#[derive(Clone, Debug)]
enum Op {
    /// Appends records with keys and data of these lengths, and publishes them together.
    Append(Vec<(usize, usize)>),
    /// The clock goes on or, as the log never sees, back.
    Clock(i64),
    TrimExpired,
    TrimAll,
    /// Reads all, by so many records at most.
    Read(u64),
}

/// The data of the record at a place, shared or not.
fn data_at(place: u64, data: &[u8]) -> Data<'static> {
    match place % 2 {
        0 => data.to_vec().into(),
        _ => Bytes::copy_from_slice(data).into(),
    }
}

impl Pair {
    fn new(records: u64, bytes: u64, retention: u64) -> Self {
        let capacity = Capacity { records, bytes };
        Self {
            log: Log::new(),
            writer: Writer::new(capacity, 1_000),
            capacity,
            twin: VecDeque::new(),
            now: 1_000,
            retention,
        }
    }

    fn cutoff(&self) -> u64 {
        self.now.saturating_sub(self.retention)
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Append(records) => self.append(records),
            Op::Clock(step) => self.now = self.now.saturating_add_signed(*step),
            Op::TrimExpired => {
                self.writer.trim_expired(&self.log, self.cutoff());
                let cutoff = self.cutoff();
                self.trim_twin(|(_, arrival, ..)| *arrival < cutoff);
                assert_eq!(self.log.trim_horizon(), self.twin_horizon());
            }
            Op::TrimAll => {
                let cutoff = u64::MAX;
                self.writer.trim_expired(&self.log, cutoff);
                self.twin.clear();
            }
            Op::Read(records) => self.read(*records),
        }
        self.adopt_horizon();
        self.writer.validate(&self.log);
        self.clean();
    }

    fn append(&mut self, records: &[(usize, usize)]) {
        for (index, (key_len, data_len)) in records.iter().enumerate() {
            let key = "k".repeat(*key_len);
            let byte = u8::try_from(index % 251).expect("below 256");
            let data = vec![byte; *data_len];
            if charge(*key_len, *data_len) > self.capacity.bytes {
                continue;
            }
            let mut payload = data_at(self.writer.next(), &data);
            let times = (self.now, self.cutoff());
            let (place, arrival) =
                self.writer
                    .append(&self.log, times, &key, &mut payload.payload(key.len()));
            assert_eq!(place, self.writer.next() - 1);
            self.twin.push_back((place, arrival, key, data));
        }
        let before = self.log.next();
        self.writer.publish(&self.log);
        assert!(before <= self.log.next());
    }

    /// The log may trim more than the least, as its docs say how much; never less.
    fn adopt_horizon(&mut self) {
        let horizon = self.log.trim_horizon();
        assert!(
            horizon >= self.twin_horizon(),
            "the horizon never goes back"
        );
        let Capacity { records, bytes } = self.capacity;
        let charge = |(place, _, key, data): &(u64, u64, String, Vec<u8>)| {
            let mut data = data_at(*place, data);
            chunk::charge_of(key.len(), &data.payload(key.len()))
        };
        let mut charged: u64 = self.twin.iter().map(charge).sum();
        let cutoff = self.cutoff();
        let mut slack = bytes / 64 + 2 * chunk::CHUNK_BYTES_MAX as u64;
        while let Some(record) = self.twin.front() {
            let (place, arrival, ..) = record;
            let must = charged > bytes || self.twin.len() as u64 > records;
            if *place >= horizon {
                assert!(!must, "what is over the capacity is trimmed");
                break;
            }
            let charge = charge(record);
            if !must && *arrival >= cutoff {
                slack = slack
                    .checked_sub(charge)
                    .expect("little more than needed is trimmed");
            }
            charged -= charge;
            self.twin.pop_front();
        }
    }

    fn trim_twin(&mut self, is_trimmed: impl Fn(&(u64, u64, String, Vec<u8>)) -> bool) {
        while self.twin.front().is_some_and(&is_trimmed) {
            self.twin.pop_front();
        }
    }

    fn twin_horizon(&self) -> u64 {
        self.twin
            .front()
            .map_or(self.writer.next(), |record| record.0)
    }

    fn read(&self, records: u64) {
        let mut cursor = Cursor::at(self.log.trim_horizon());
        let origin = Origin::new(0, ShardId::from_index(0));
        let mut expected = self.twin.iter();
        loop {
            let before = cursor.place;
            let spans = self.log.read(&mut cursor, ReadLimit { records, ..BATCH });
            assert_eq!(cursor.place - before, spans.len() as u64);
            assert!(spans.len() as u64 <= records);
            if spans.is_empty() {
                break;
            }
            for frame in spans.iter().flat_map(Span::frames) {
                let (place, arrival, key, data) = expected.next().expect("the twin has it");
                let view = frame.view(origin);
                assert_eq!((view.place, view.arrival_ms), (*place, *arrival));
                assert_eq!(
                    (view.partition_key, view.data),
                    (key.as_str(), data.as_slice())
                );
            }
        }
        assert!(expected.next().is_none(), "all that the twin has was read");
        for (place, arrival, ..) in self.twin.iter().step_by(7) {
            let found = self.log.look_at(Cursor::at(*place), |frame| frame.place());
            assert_eq!(found, Some(*place));
            let first = self.twin.iter().find(|record| record.1 >= *arrival);
            assert_eq!(
                Some(self.log.place_at_time(*arrival)),
                first.map(|record| record.0)
            );
        }
    }

    /// What a shard does once its lock is released.
    fn clean(&mut self) {
        for chunk in self.writer.take_retired() {
            if let Some(spare) = clean(chunk) {
                self.writer.offer_spare(spare);
            }
        }
    }
}

fn ops() -> impl Strategy<Value = Op> {
    let record = (
        1_usize..40,
        prop_oneof![0_usize..60, 480_usize..560, 0_usize..3_000],
    );
    let batch = prop_oneof![
        8 => prop::collection::vec(record.clone(), 1..4),
        1 => prop::collection::vec(record, 1..120),
    ];
    prop_oneof![
        10 => batch.prop_map(Op::Append),
        2 => (-50_i64..400).prop_map(Op::Clock),
        1 => Just(Op::TrimExpired),
        1 => (1_u64..50).prop_map(Op::Read),
        1 => Just(Op::TrimAll),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_log_agrees_with_its_naive_twin_whatever_is_done_to_it(
        ops in prop::collection::vec(ops(), 1..80),
        records in prop_oneof![Just(u64::MAX), 1_u64..200],
        bytes in prop_oneof![1_024_u64..100_000, Just(4 * 1024 * 1024), Just(64 * 1024)],
        retention in 1_u64..2_000,
    ) {
        let mut pair = Pair::new(records, bytes, retention);
        for op in &ops {
            pair.run(op);
        }
        pair.read(10_000);
    }

    #[test]
    fn what_a_log_has_room_for_trims_nothing_whichever_way_it_is_stored(
        records in prop::collection::vec((1_usize..1_025, 0_usize..2_600), 1..200),
        bytes in 8_192_u64..200_000,
    ) {
        let log = Log::new();
        let mut writer = Writer::new(Capacity { records: u64::MAX, bytes }, 1_000);
        let mut taken = 0;
        for (index, (key_len, data_len)) in records.into_iter().enumerate() {
            let (key, data) = ("k".repeat(key_len), vec![7; data_len]);
            let mut data = data_at(index as u64, &data);
            let mut payload = data.payload(key_len);
            if writer.is_full_for(key_len, &payload) {
                continue;
            }
            writer.append(&log, (1_000, 0), &key, &mut payload);
            writer.publish(&log);
            taken += 1;
            prop_assert_eq!(log.trim_horizon(), FIRST_PLACE);
        }
        writer.validate(&log);
        prop_assert!(taken > 0);
    }
}

#[test]
fn records_keep_their_arrivals_though_one_chunk_cannot_say_how_far_apart_they_are() {
    // A frame has 28 bits for the milliseconds since its chunk was opened.
    for apart in [(1 << 28) - 1, 1 << 28, (1 << 28) + 1] {
        let mut pair = Pair::new(10, 1 << 20, u64::MAX);
        pair.run(&Op::Append(vec![(1, 1)]));
        pair.run(&Op::Clock(apart));
        pair.run(&Op::Append(vec![(1, 1)]));
        pair.run(&Op::Read(10));
    }
}

#[test]
fn a_batch_shows_as_a_whole_though_it_fills_many_chunks() {
    let mut pair = Pair::new(u64::MAX, 1 << 20, 1_000_000);
    for place in 1..=1_000 {
        let mut data = Data::from(&[7; 400]);
        pair.writer
            .append(&pair.log, (1_000, 0), "key", &mut data.payload(3));
        assert_eq!(
            pair.log.next(),
            FIRST_PLACE,
            "record {place} shows too early"
        );
    }
    pair.writer.publish(&pair.log);
    assert_eq!(pair.log.next(), 1_001);
}

#[test]
fn a_batch_that_is_over_the_capacity_stays_within_it_all_the_same() {
    let mut pair = Pair::new(u64::MAX, 32 * 1024, 1_000_000);
    for _ in 0..1_000 {
        let mut data = Data::from(&[7; 400]);
        pair.writer
            .append(&pair.log, (1_000, 0), "key", &mut data.payload(3));
        let chunks = pair.log.directory.lock().chunks.len();
        assert!(chunks <= 10, "{chunks} chunks are held for the batch");
    }
    pair.writer.publish(&pair.log);
    pair.writer.validate(&pair.log);
}

#[test]
fn a_chunk_that_a_reader_holds_is_left_to_it_and_filled_again_by_nobody() {
    let mut pair = Pair::new(100, 1 << 20, 1_000_000);
    pair.append(&[(3, 100); 50]);
    let mut cursor = Cursor::at(FIRST_PLACE);
    let held = pair.log.read(&mut cursor, BATCH);
    let owned = {
        let span = held.first().expect("records were read");
        let bytes = Bytes::from_owner(Memory {
            chunk: Arc::clone(&span.chunk),
            end: span.to,
        });
        let frame = span.frames().next().expect("the first record");
        let view = frame.view(Origin::new(0, ShardId::from_index(0)));
        Record::new(&view, bytes.slice(frame.data_range()))
    };
    for _ in 0..100 {
        pair.append(&[(3, 100); 50]);
        pair.clean();
    }
    let datas = held
        .iter()
        .flat_map(Span::frames)
        .map(|frame| frame.view(Origin::new(0, ShardId::from_index(0))).data[0]);
    assert!(datas.eq(0..50), "the batch reads as it did");
    drop(held);
    assert_eq!(owned.data(), &[0; 100][..]);
}

#[test]
fn a_full_log_fills_its_chunks_again() {
    let mut pair = Pair::new(u64::MAX, 8 * 1024 * 1024, 1_000_000);
    let mut addresses = std::collections::BTreeSet::new();
    for _ in 0..4_000 {
        pair.append(&[(12, 100); 64]);
        pair.clean();
        let directory = pair.log.directory.lock();
        let newest = directory.chunks.back().expect("there are records");
        addresses.insert(Arc::as_ptr(newest) as usize);
    }
    assert!(
        addresses.len() < 200,
        "{} chunks were made for 8 MiB",
        addresses.len()
    );
}
