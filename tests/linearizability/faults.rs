//! The checker can fail: for each kind of fault a history that is right, and is wrong once one thing in
//! it is changed.

use crate::model::{Call, Read, What, is_linearizable};

/// Calls of shard 0 one after another, each by a thread of its own; it is there from the beginning.
fn in_turn(calls: impl IntoIterator<Item = What>) -> Vec<Call> {
    let calls = [What::Create].into_iter().chain(calls).enumerate();
    let calls = calls.map(|(index, what)| Call {
        thread: u32::try_from(index).expect("few calls"),
        shard: 0,
        called: 10 * index as i64,
        returned: 10 * index as i64 + 5,
        what,
    });
    calls.collect()
}

/// Has the calls from an index on be under way together with the one before.
fn together(mut calls: Vec<Call>, from: usize) -> Vec<Call> {
    calls[from].called = calls[from - 1].called + 1;
    calls
}

fn put(first: u64, records: &[u64]) -> What {
    let records = records.to_vec();
    What::Put { first, records }
}

fn answer(missed: u64, records: &[u64], ended: bool) -> Read {
    Read {
        missed,
        records: records.to_vec(),
        ended,
    }
}

fn read(from: u64, records: &[u64]) -> What {
    let (limit, answer) = (100, answer(0, records, false));
    What::Read {
        from,
        limit,
        answer,
    }
}

#[track_caller]
fn assert_right(calls: &[Call]) {
    assert!(is_linearizable(calls), "{calls:?}");
}

#[track_caller]
fn assert_wrong(calls: &[Call]) {
    assert!(!is_linearizable(calls), "{calls:?}");
}

#[test]
fn a_read_that_does_not_see_a_put_that_had_returned() {
    let stale = in_turn([put(1, &[7]), read(1, &[])]);
    assert_wrong(&stale);
    // While the put is under way it may.
    assert_right(&together(stale, 2));
    assert_right(&in_turn([put(1, &[7]), read(1, &[7])]));
}

#[test]
fn a_read_that_sees_a_put_that_was_not_called_yet() {
    let early = in_turn([read(1, &[7]), put(1, &[7])]);
    assert_wrong(&early);
    assert_right(&together(early, 2));
}

#[test]
fn two_readers_that_see_records_in_different_orders() {
    let puts = |calls| together(in_turn(calls), 2);
    let one = puts([
        put(1, &[7]),
        put(2, &[8]),
        read(1, &[7, 8]),
        read(1, &[7, 8]),
    ]);
    let other = puts([
        put(1, &[7]),
        put(2, &[8]),
        read(1, &[7, 8]),
        read(1, &[8, 7]),
    ]);
    assert_right(&one);
    assert_wrong(&other);
}

#[test]
fn a_read_that_sees_another_record_than_was_put() {
    assert_wrong(&in_turn([put(1, &[7]), read(1, &[9])]));
}

#[test]
fn a_record_that_is_skipped_or_repeated() {
    let puts = || [put(1, &[7]), put(2, &[8])];
    let and = |what| in_turn(puts().into_iter().chain([what]));
    assert_right(&and(read(2, &[8])));
    assert_wrong(&and(read(1, &[8])));
    assert_wrong(&and(read(2, &[7, 8])));
}

#[test]
fn a_place_that_is_given_twice_or_left_out() {
    assert_right(&together(in_turn([put(2, &[8]), put(1, &[7])]), 2));
    assert_wrong(&together(in_turn([put(1, &[8]), put(1, &[7])]), 2));
    assert_wrong(&together(in_turn([put(3, &[8]), put(1, &[7])]), 2));
    // One put before the other, but numbered behind it.
    assert_wrong(&in_turn([put(2, &[8]), put(1, &[7])]));
}

#[test]
fn a_batch_that_is_seen_in_part() {
    let batch = |seen: &[u64]| together(in_turn([put(1, &[7, 8]), read(1, seen)]), 2);
    assert_right(&batch(&[]));
    assert_right(&batch(&[7, 8]));
    assert_wrong(&batch(&[7]));
}

#[test]
fn a_read_that_gives_more_or_fewer_than_it_may() {
    let limited = |limit, records: &[u64]| {
        let answer = answer(0, records, false);
        let read = What::Read {
            from: 1,
            limit,
            answer,
        };
        in_turn([put(1, &[7, 8, 9]), read])
    };
    assert_right(&limited(2, &[7, 8]));
    assert_wrong(&limited(2, &[7, 8, 9]));
    assert_wrong(&limited(2, &[7]));
}

#[test]
fn a_tip_that_is_not_where_it_was() {
    let tip = |place| in_turn([put(1, &[7]), What::Latest { place }, put(2, &[8])]);
    assert_right(&tip(2));
    assert_wrong(&tip(1));
    assert_wrong(&tip(3));
    // With the put under way, either.
    assert_right(&together(tip(3), 3));
    assert_right(&together(tip(2), 3));
}

#[test]
fn a_put_that_a_closed_shard_took() {
    let late = in_turn([What::Close, put(1, &[7])]);
    assert_wrong(&late);
    assert_right(&together(late, 2));
}

#[test]
fn a_put_that_a_child_took_before_the_split() {
    let child = |called| {
        let mut calls = in_turn([What::Close]);
        let split = |what, shard, called, returned| Call {
            thread: 9,
            shard,
            called,
            returned,
            what,
        };
        calls.push(split(What::Create, 1, 10, 15));
        calls.push(split(put(1, &[7]), 1, called, called + 3));
        calls
    };
    assert_right(&child(20));
    assert_right(&child(14));
    assert_wrong(&child(5));
}

#[test]
fn an_end_before_the_last_record_or_none_behind_it() {
    let end = |records: &[u64], ended| {
        let answer = answer(0, records, ended);
        let read = What::Read {
            from: 1,
            limit: 1,
            answer,
        };
        in_turn([put(1, &[7, 8]), What::Close, read])
    };
    assert_right(&end(&[7], false));
    assert_wrong(&end(&[7], true));
    let read = |ended| What::Read {
        from: 3,
        limit: 1,
        answer: answer(0, &[], ended),
    };
    assert_right(&in_turn([put(1, &[7, 8]), What::Close, read(true)]));
    assert_wrong(&in_turn([put(1, &[7, 8]), What::Close, read(false)]));
    assert_wrong(&in_turn([put(1, &[7, 8]), read(true), What::Close]));
}

#[test]
fn a_shard_that_says_it_is_open_when_it_is_not() {
    let asked = |open| in_turn([What::Close, What::IsOpen { open }]);
    assert_right(&asked(false));
    assert_wrong(&asked(true));
    assert_right(&together(asked(true), 2));
}

#[test]
fn figures_that_do_not_add_up() {
    let figures = |accepted, trimmed| {
        let figures = What::Figures { accepted, trimmed };
        in_turn([put(1, &[7, 8, 9]), What::Trim { to: 2 }, figures])
    };
    assert_right(&figures(3, 1));
    assert_wrong(&figures(2, 1));
    assert_wrong(&figures(3, 0));
}

/// A read from a place that was trimmed.
fn overtaken(start: u64, missed: u64, records: &[u64]) -> Vec<Call> {
    let (from, limit, answer) = (1, 2, answer(missed, records, false));
    let begin = What::Begin {
        from,
        missed,
        start,
    };
    let on = What::ReadOn {
        start,
        limit,
        answer,
    };
    in_turn([put(1, &[7, 8, 9]), What::Trim { to: 2 }, begin, on])
}

#[test]
fn a_trimmed_record_that_is_given_or_is_not_counted_as_missed() {
    assert_right(&overtaken(2, 1, &[8, 9]));
    assert_wrong(&overtaken(1, 0, &[7, 8]));
    assert_wrong(&overtaken(2, 0, &[8, 9]));
    assert_wrong(&overtaken(3, 2, &[9]));
}

#[test]
fn a_read_that_gives_fewer_though_nothing_was_trimmed_on_the_way() {
    assert_wrong(&overtaken(2, 1, &[8]));
    assert_wrong(&overtaken(2, 1, &[]));
    let mut calls = overtaken(2, 1, &[8]);
    calls.insert(4, calls[2].clone());
    calls[4].what = What::Trim { to: 3 };
    (calls[4].called, calls[4].returned) = (36, 38);
    assert_right(&calls);
}
