//! The log: publishing, reading, rolling, trimming and using chunks again.

use loom::thread;

use super::*;
use crate::log::{Capacity, Chunk, Cursor, FIRST_PLACE, Log, ReadLimit, Spans, Writer};
use crate::record::Origin;
use crate::shard_id::ShardId;
use crate::sync::Arc;

/// A log that retains so many records, and its writer.
fn log(records: u64) -> (Arc<Log>, Writer) {
    let bytes = 1 << 20;
    let capacity = Capacity { records, bytes };
    (Arc::new(Log::new()), Writer::new(capacity, 0))
}

/// Appends small records, and shows each before the next.
fn write(log: &Log, writer: &mut Writer, numbers: impl IntoIterator<Item = u8>) {
    for n in numbers {
        append(log, writer, n);
        writer.publish(log);
    }
}

/// Appends a small record, and shows it to nobody.
fn append(log: &Log, writer: &mut Writer, n: u8) {
    let payload = &mut Data::from(small(n));
    let (place, _) = writer.append(log, (NOW.as_millis(), 0), "k", &mut payload.payload(1));
    assert_eq!(place, u64::from(n));
}

/// Appends small records as a batch does, and shows them to nobody.
fn append_all(log: &Log, writer: &mut Writer, mut numbers: &[u8]) {
    while let [n, rest @ ..] = numbers {
        let data: Vec<_> = numbers.iter().map(|n| small(*n)).collect();
        let copies = data.iter().map(|data| Some(("k", &data[..])));
        let (done, (place, _)) = writer.append_copies(NOW.as_millis(), copies);
        assert_eq!(place, u64::from(*n));
        if done == 0 {
            append(log, writer, *n);
            numbers = rest;
        } else {
            numbers = &numbers[done..];
        }
    }
}

fn read(log: &Log, cursor: &mut Cursor) -> Spans {
    let limit = ReadLimit {
        records: 100,
        bytes: 1 << 20,
    };
    log.read(log.shown(), cursor, limit)
}

/// The numbers of the records that were read; each has to be that of its place.
fn numbers(spans: &Spans) -> Vec<u8> {
    let origin = Origin::new(0, ShardId::from_index(0));
    let frames = spans.iter().flat_map(|span| span.frames());
    frames
        .map(|frame| {
            let n = number_of(&frame.view(origin));
            assert_eq!(frame.place(), u64::from(n));
            n
        })
        .collect()
}

/// Which piece of memory a chunk is.
fn address(spans: &Spans) -> Option<*const Chunk> {
    spans.first().map(|span| std::ptr::from_ref(&*span.chunk))
}

#[test]
fn a_reader_sees_a_record_whole_or_not_at_all() {
    model(&["none", "the first", "both"], |outcomes| {
        let (log, mut writer) = log(10);
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || write(&log, &mut writer, 1..=2)
        });
        match *numbers(&read(&log, &mut Cursor::at(1))) {
            [] => outcomes.came_to("none"),
            [1] => outcomes.came_to("the first"),
            [1, 2] => outcomes.came_to("both"),
            _ => unreachable!("records are read in order"),
        }
        writing.join().unwrap();
    });
}

#[test]
fn what_one_reader_has_seen_another_one_sees_who_looks_later() {
    model(&["none", "one", "both"], |outcomes| {
        let (log, mut writer) = log(10);
        let reading = thread::spawn({
            let log = Arc::clone(&log);
            move || numbers(&read(&log, &mut Cursor::at(1))).len()
        });
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || write(&log, &mut writer, 1..=2)
        });
        let seen = reading.join().unwrap();
        let later = numbers(&read(&log, &mut Cursor::at(1))).len();
        assert!(seen <= later);
        outcomes.came_to(["none", "one", "both"][seen]);
        writing.join().unwrap();
        assert_eq!(numbers(&read(&log, &mut Cursor::at(1))), [1, 2]);
    });
}

#[test]
fn two_readers_read_while_a_third_thread_writes() {
    model(&["none", "one", "both"], |outcomes| {
        let (log, mut writer) = log(10);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let log = Arc::clone(&log);
                let outcomes = outcomes.clone();
                thread::spawn(move || {
                    let seen = numbers(&read(&log, &mut Cursor::at(1)));
                    outcomes.came_to(["none", "one", "both"][seen.len()]);
                })
            })
            .collect();
        write(&log, &mut writer, 1..=2);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_batch_shows_as_a_whole_though_it_fills_a_chunk() {
    model(&["none", "all"], |outcomes| {
        let (log, mut writer) = log(10);
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                append_all(&log, &mut writer, &[1, 2, 3]);
                writer.publish(&log);
            }
        });
        match *numbers(&read(&log, &mut Cursor::at(1))) {
            [] => outcomes.came_to("none"),
            [1, 2, 3] => outcomes.came_to("all"),
            _ => unreachable!("it shows as a whole"),
        }
        writing.join().unwrap();
    });
}

#[test]
fn a_cursor_goes_on_from_chunk_to_chunk_while_they_are_filled() {
    let outcomes = [
        "at the end",
        "within the first chunk",
        "at the seam",
        "behind the seam",
    ];
    model(&outcomes, move |reached| {
        let (log, mut writer) = log(10);
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || write(&log, &mut writer, 1..=3)
        });
        let mut cursor = Cursor::at(FIRST_PLACE);
        let mut seen = numbers(&read(&log, &mut cursor));
        reached.came_to(match seen.len() {
            0 => outcomes[0],
            1 => outcomes[1],
            2 => outcomes[2],
            _ => outcomes[3],
        });
        seen.extend(numbers(&read(&log, &mut cursor)));
        writing.join().unwrap();
        seen.extend(numbers(&read(&log, &mut cursor)));
        assert_eq!(seen, [1, 2, 3]);
    });
}

#[test]
fn a_chunk_is_not_used_again_while_a_reader_holds_it() {
    model(&["used again", "left to the reader"], |outcomes| {
        let (log, mut writer) = log(2);
        write(&log, &mut writer, 1..=2);
        let first = address(&read(&log, &mut Cursor::at(1)));
        let reading = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                let spans = read(&log, &mut Cursor::at(1));
                let seen = numbers(&spans);
                assert!(seen.is_empty() || seen[0] == 1);
                // Once more: it is as it was, whatever the writer does meanwhile.
                assert_eq!(numbers(&spans), seen);
            }
        });
        write(&log, &mut writer, 3..=5);
        let again = address(&read(&log, &mut Cursor::at(5))) == first;
        outcomes.came_to(if again {
            "used again"
        } else {
            "left to the reader"
        });
        reading.join().unwrap();
    });
}

#[test]
fn owned_memory_of_a_chunk_keeps_it_from_being_used_again() {
    model(&["used again", "left to the reader"], |outcomes| {
        let (log, mut writer) = log(2);
        write(&log, &mut writer, 1..=2);
        let spans = read(&log, &mut Cursor::at(1));
        let first = address(&spans);
        let reading = thread::spawn(move || {
            let span = spans.first().unwrap();
            let chunk = Arc::clone(&span.chunk);
            let memory = crate::log::Memory {
                chunk,
                end: span.to(),
            };
            let owned = Bytes::from_owner(memory).slice(8..);
            drop(spans);
            assert_eq!(owned[..17], [&b"k"[..], &small(1)].concat());
        });
        write(&log, &mut writer, 3..=5);
        let again = address(&read(&log, &mut Cursor::at(5))) == first;
        outcomes.came_to(if again {
            "used again"
        } else {
            "left to the reader"
        });
        reading.join().unwrap();
    });
}

#[test]
fn a_reader_that_is_overtaken_finds_the_horizon_beyond_the_chunk_that_is_gone() {
    model(&["read", "overtaken"], |outcomes| {
        let (log, mut writer) = log(2);
        write(&log, &mut writer, 1..=2);
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || write(&log, &mut writer, 3..=5)
        });
        // With a hint of the chunk that goes, as any reader has after its first read.
        let mut cursor = Cursor::at(FIRST_PLACE);
        let first = read(&log, &mut cursor);
        let begun = numbers(&first).len() as u64;
        let place = cursor.place;
        let seen = numbers(&read(&log, &mut cursor));
        let horizon = log.trim_horizon();
        match seen.first() {
            Some(n) => {
                assert_eq!(u64::from(*n), place);
                outcomes.came_to("read");
            }
            // All was read so far, or what comes next is trimmed, and that shows.
            None if place < log.next() && place < horizon => outcomes.came_to("overtaken"),
            None => assert!(place >= horizon || begun == 0),
        }
        writing.join().unwrap();
    });
}

#[test]
fn the_horizon_is_never_beyond_the_next_place() {
    model(&["all", "trimmed"], |outcomes| {
        let (log, mut writer) = log(1);
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || write(&log, &mut writer, 1..=3)
        });
        let horizon = log.trim_horizon();
        assert!(horizon <= log.next());
        let later = log.trim_horizon();
        assert!(horizon <= later && later <= log.next());
        outcomes.came_to(if later == FIRST_PLACE {
            "all"
        } else {
            "trimmed"
        });
        writing.join().unwrap();
    });
}

#[test]
fn a_time_is_found_between_the_horizon_and_the_next_place() {
    model(&["the first", "a later one"], |outcomes| {
        let (log, mut writer) = log(2);
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || write(&log, &mut writer, 1..=4)
        });
        let from = log.next();
        let place = log.place_at_time(NOW.as_millis());
        assert!(place >= FIRST_PLACE && place <= log.next().max(log.trim_horizon()));
        outcomes.came_to(if place == FIRST_PLACE {
            "the first"
        } else {
            "a later one"
        });
        assert!(place <= from || place <= log.next());
        writing.join().unwrap();
        assert_eq!(log.place_at_time(NOW.as_millis()), 3);
    });
}

#[test]
fn a_time_after_all_records_is_looked_for_among_whole_records_only() {
    model(&["before", "between", "after"], |outcomes| {
        let (log, mut writer) = log(10);
        let writing = thread::spawn({
            let log = Arc::clone(&log);
            move || write(&log, &mut writer, 1..=3)
        });
        // It walks all the frames of a chunk, as far as that says they go: one that was just begun for a
        // record that does not show yet says nothing.
        let place = log.place_at_time(NOW.as_millis() + 1);
        outcomes.came_to(match place {
            1 => "before",
            4 => "after",
            _ => "between",
        });
        writing.join().unwrap();
        assert_eq!(log.place_at_time(NOW.as_millis() + 1), 4);
    });
}
