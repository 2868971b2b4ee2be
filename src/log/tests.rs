use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::data::Data;
use crate::record::Origin;
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

    /// Appends records, those of which the data is copied many at once, and publishes them together.
    fn append(&mut self, records: &[(usize, usize)]) {
        let first = self.writer.next();
        let bytes = self.capacity.bytes;
        let fit = records.iter().enumerate();
        let fit = fit.filter(|(_, (key_len, data_len))| charge(*key_len, *data_len) <= bytes);
        let mut records: Vec<_> = (first..)
            .zip(fit)
            .map(|(place, (index, (key_len, data_len)))| {
                let byte = u8::try_from(index % 251).expect("below 256");
                let data = vec![byte; *data_len];
                ("k".repeat(*key_len), data_at(place, &data), data)
            })
            .collect();
        let times = (self.now, self.cutoff());
        let mut left = &mut records[..];
        while !left.is_empty() {
            let copies = left
                .iter()
                .map(|(key, form, _)| Some((key.as_str(), form.copied(key.len())?)));
            let (copied, at) = self.writer.append_copies(self.now, copies);
            if copied == 0 {
                let (key, form, _) = &mut left[0];
                let payload = &mut form.payload(key.len());
                assert_eq!(self.writer.append(&self.log, times, key, payload), at);
            }
            let (done, rest) = left.split_at_mut(copied.max(1));
            for (place, (key, _, data)) in (at.0..).zip(done) {
                self.twin
                    .push_back((place, at.1, mem::take(key), mem::take(data)));
            }
            left = rest;
        }
        assert_eq!(self.writer.next(), first + records.len() as u64);
        let before = self.log.next();
        self.writer.publish(&self.log);
        assert!(before <= self.log.next());
    }

    /// Appends a record with so many bytes of data, which nobody sees before it is published.
    fn put_unseen(&mut self, data_len: usize) {
        self.put_handle_unseen(Bytes::from(vec![7; data_len]));
    }

    fn put(&mut self, data_len: usize) {
        self.put_handle(Bytes::from(vec![7; data_len]));
    }

    fn put_handle(&mut self, data: Bytes) {
        self.put_handle_unseen(data);
        self.writer.publish(&self.log);
    }

    fn put_handle_unseen(&mut self, data: Bytes) {
        self.put_data_unseen(data.into());
    }

    fn put_data_unseen(&mut self, mut data: Data<'_>) {
        let times = (self.now, self.cutoff());
        self.writer
            .append(&self.log, times, "k", &mut data.payload(1));
    }

    fn open_chunk(&self) -> Arc<Chunk> {
        let directory = self.log.directory.lock();
        Arc::clone(directory.chunks.back().expect("there are records"))
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
            let spans = self.log.read(
                self.log.shown(),
                &mut cursor,
                ReadLimit { records, ..BATCH },
            );
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
    fn a_log_is_full_for_a_record_exactly_when_that_would_trim_another(
        sizes in prop::collection::vec(
            prop_oneof![
                // A record of 64, 128 or 512 bytes fills chunks, and the capacity, to the last byte.
                prop_oneof![Just(55_usize), Just(119), Just(503)]
                    .prop_map(|len| vec![(len, false); 300]),
                prop::collection::vec(
                    (
                        prop_oneof![0_usize..60, 480_usize..560, 0_usize..3_000],
                        // Whether all records expire before it.
                        prop::bool::weighted(0.1),
                    ),
                    1..100,
                ),
            ],
            1..3,
        ),
        records in prop_oneof![Just(u64::MAX), 1_u64..200],
        bytes in prop_oneof![
            1_024_u64..4_096,
            4_096_u64..100_000,
            (2_u64..40).prop_map(|chunks| chunks * 2_048),
            Just(1 << 20),
        ],
    ) {
        let mut pair = Pair::new(records, bytes, u64::MAX);
        for (len, all_expire) in sizes.concat() {
            if all_expire {
                pair.writer.trim_expired(&pair.log, pair.now + 1);
            }
            if charge(1, len) > bytes {
                continue;
            }
            let mut data = data_at(pair.writer.next(), &vec![7; len]);
            let is_full = pair.writer.is_full_for(1, &data.payload(1));
            let horizon = pair.log.trim_horizon();
            pair.put_data_unseen(data);
            pair.writer.publish(&pair.log);
            prop_assert_eq!(pair.log.trim_horizon() > horizon, is_full);
            pair.clean();
        }
    }

    #[test]
    fn a_read_takes_as_much_as_its_limits_allow(
        sizes in prop::collection::vec(prop_oneof![0_usize..60, 0_usize..3_000], 1..200),
        limits in prop::collection::vec((1_u64..60, 0_u64..20_000), 1..20),
        begin in 0_u64..100,
    ) {
        let mut pair = Pair::new(u64::MAX, 1 << 30, u64::MAX);
        for len in &sizes {
            pair.put(*len);
        }
        let mut cursor = Cursor::at(FIRST_PLACE + begin % sizes.len() as u64);
        for (records, bytes) in limits {
            let at = usize::try_from(cursor.place - FIRST_PLACE).expect("there are few");
            let mut sum = 0;
            let fitting = sizes[at..].iter().take_while(|len| {
                // The key is one byte.
                sum += **len as u64 + 1;
                sum <= bytes
            });
            let expected = (fitting.count() as u64)
                .clamp(1, records)
                .min((sizes.len() - at) as u64);
            let spans = pair.log.read(pair.log.shown(), &mut cursor, ReadLimit { records, bytes });
            prop_assert_eq!(spans.len() as u64, expected);
        }
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
    // It begins in a chunk with a record that shows.
    pair.put(400);
    for place in 2..=1_000 {
        pair.put_unseen(400);
        assert_eq!(pair.log.next(), 2, "record {place} shows too early");
        let mut cursor = Cursor::at(FIRST_PLACE);
        assert_eq!(
            pair.log.read(pair.log.shown(), &mut cursor, BATCH).len(),
            1,
            "{place}"
        );
    }
    pair.writer.publish(&pair.log);
    assert_eq!(pair.log.next(), 1_001);
}

#[test]
fn a_batch_that_is_over_the_capacity_stays_within_it_all_the_same() {
    // With as many records before it, it begins anywhere in a chunk, also with the last that fits.
    for before in 0..12 {
        // The second is little less than what ten chunks hold, of which the first is small against it:
        // that one is all that has to go. So is the third, of 65 chunks.
        for (capacity_bytes, chunks_max) in [
            (32 * 1024, 20),
            (142 * 1024 - 500, 20),
            (514 * 1024 - 500, 67),
        ] {
            let mut pair = Pair::new(u64::MAX, capacity_bytes, 1_000_000);
            for _ in 0..before {
                pair.put(400);
            }
            for _ in 0..1_000 {
                pair.put_unseen(400);
                let chunks = pair.log.directory.lock().chunks.len();
                assert!(
                    chunks <= chunks_max,
                    "{chunks} chunks are held for the batch"
                );
                let (horizon, next) = (pair.log.trim_horizon(), pair.log.next());
                assert!(horizon <= next, "{horizon} is trimmed, {next} shows");
            }
            pair.writer.publish(&pair.log);
            pair.writer.validate(&pair.log);
        }
    }
}

#[test]
fn a_log_keeps_as_many_records_as_its_capacity_has_room_for() {
    // A record takes 64 bytes, so that chunks are full to the last byte.
    let mut pair = Pair::new(u64::MAX, 4 * 1024, 1_000_000);
    for place in 1..=1_000 {
        pair.put(55);
        let retained = pair.log.next() - pair.log.trim_horizon();
        assert_eq!(retained, place.min(64));
    }
}

#[test]
fn a_log_whose_records_have_all_expired_has_room_for_any_that_fits_alone() {
    let mut pair = Pair::new(u64::MAX, 1_100, 0);
    // They leave 976 bytes free, which do not matter once nothing else lies in the chunk.
    pair.append(&[(500, 490), (1, 60)]);
    let is_full = |writer: &Writer| writer.is_full_for(500, &Data::from(&[7; 490]).payload(500));
    assert!(is_full(&pair.writer));
    pair.writer.trim_expired(&pair.log, pair.now + 1);
    assert!(!is_full(&pair.writer));
}

#[test]
fn what_arrived_at_the_cutoff_itself_is_kept_though_its_whole_chunk_did() {
    let mut pair = Pair::new(u64::MAX, 1 << 20, 0);
    for _ in 0..100 {
        pair.put(100);
    }
    pair.writer.trim_expired(&pair.log, pair.now);
    assert_eq!(pair.log.trim_horizon(), FIRST_PLACE);
    pair.writer.trim_expired(&pair.log, pair.now + 1);
    assert_eq!(pair.log.trim_horizon(), pair.log.next());
}

#[test]
fn a_chunk_is_a_64th_of_the_log_at_most_and_of_a_small_log_an_eighth() {
    for kib in [
        1, 15, 16, 17, 100, 511, 512, 513, 640, 1_000, 4_095, 4_096, 5_000,
    ] {
        let mut pair = Pair::new(u64::MAX, kib * 1024, 1_000_000);
        let mut largest = 0;
        for _ in 0..5_000 {
            pair.put(100);
            largest = largest.max(pair.open_chunk().capacity_bytes());
        }
        let parts = if kib < 512 { 8 } else { 64 };
        let part = usize::try_from(kib * 1024 / parts).expect("it is small");
        let units = part / chunk::CHUNK_BYTES_MIN;
        let bound =
            (units * chunk::CHUNK_BYTES_MIN).clamp(chunk::CHUNK_BYTES_MIN, chunk::CHUNK_BYTES_MAX);
        assert_eq!(largest, bound, "of {kib} KiB");
    }
}

#[test]
fn a_full_log_is_trimmed_a_chunk_at_a_time() {
    for kib in [512, 600, 1_000] {
        let mut pair = Pair::new(u64::MAX, kib * 1024, 1_000_000);
        let mut trims = 0;
        while pair.log.next() < 30_000 {
            let horizon = pair.log.trim_horizon();
            pair.put(100);
            if pair.log.trim_horizon() != horizon {
                trims += 1;
                let directory = pair.log.directory.lock();
                let oldest = directory.chunks.front().expect("one is open");
                assert_eq!(oldest.first, pair.log.trim_horizon(), "of {kib} KiB");
            }
        }
        assert!(trims > 50, "{trims} trims of {kib} KiB");
    }
}

#[test]
fn a_chunk_keeps_a_bounded_amount_of_data_elsewhere() {
    const KIB: u64 = 1024;
    for (capacity_kib, budget_kib) in [
        (128, 32),
        (4 * 1024, 32),
        (64 * 1024, 512),
        (1 << 20, 4 * 1024),
    ] {
        for data_kib in [1, 24] {
            let mut pair = Pair::new(u64::MAX, capacity_kib * KIB, 1_000_000);
            let data = Bytes::from(vec![
                7;
                usize::try_from(data_kib * KIB).expect("it is small")
            ]);
            for _ in 0..3 * budget_kib / data_kib + 3 {
                pair.put_handle(data.clone());
            }
            let directory = pair.log.directory.lock();
            for chunk in &directory.chunks {
                let Some(sealed) = chunk.sealed() else {
                    continue;
                };
                // One record begins within the budget and may end beyond it.
                let records = u64::from(sealed.extent.frames);
                let bound = budget_kib.div_ceil(data_kib);
                let room = chunk.capacity_bytes() as u64 / 64;
                assert!(
                    records <= bound,
                    "{records} of {data_kib} KiB, {capacity_kib}"
                );
                assert!(
                    records >= bound.min(room),
                    "{records} of {data_kib} KiB, {capacity_kib}"
                );
            }
        }
    }
}

#[test]
fn chunks_of_a_log_of_large_data_shrink_to_what_that_fills_and_stay_so() {
    let mut pair = Pair::new(u64::MAX, 512 * 1024 * 1024, 1_000_000);
    for _ in 0..4_000 {
        pair.put(100);
    }
    assert_eq!(pair.open_chunk().capacity_bytes(), chunk::CHUNK_BYTES_MAX);
    let data = Bytes::from(vec![7; 10_000]);
    let mut sizes = Vec::new();
    let mut serial = pair.open_chunk().serial;
    while sizes.len() < 40 {
        // A chunk takes 560 of these; a few less, later on, are no reason for another size.
        let len = if sizes.len() < 20 { 7_500 } else { 8_500 };
        pair.put_handle(data.slice(..len));
        let open = pair.open_chunk();
        if open.serial != serial {
            serial = open.serial;
            sizes.push(open.capacity_bytes());
        }
    }
    // The first was closed for its size, the second for the data, but was too large.
    let settled = &sizes[2..];
    assert!(settled.iter().all(|size| *size == settled[0]), "{sizes:?}");
    assert!(settled[0] <= 36 * 1024, "{sizes:?}");
}

#[test]
fn a_chunk_that_a_reader_holds_is_left_to_it_and_filled_again_by_nobody() {
    let mut pair = Pair::new(100, 1 << 20, 1_000_000);
    pair.append(&[(3, 100); 50]);
    let mut cursor = Cursor::at(FIRST_PLACE);
    let held = pair.log.read(pair.log.shown(), &mut cursor, BATCH);
    let owned = {
        let span = held.first().expect("records were read");
        let bytes = Bytes::from_owner(Memory {
            chunk: Arc::clone(&span.chunk),
            end: span.to(),
        });
        let frame = span.frames().next().expect("the first record");
        let origin = Origin::new(0, ShardId::from_index(0));
        Record::new(origin, &frame, bytes.slice(frame.data_range()))
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
