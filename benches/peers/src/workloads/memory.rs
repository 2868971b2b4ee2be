//! What a retained record takes of the heap besides its data: full contenders of the same
//! capacity, each record with memory of its own that is given away.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::contenders::boxcar_vec;
use crate::contenders::brooklets::{self, Text};
use crate::contenders::ferro::{self, Ferrokinesis};
use crate::contenders::logs::{self, Ring};
use crate::contenders::{Carries, Sink, broadcasts, channels, disruptors};
use crate::harness::{Bar, Contender, Goal, Options, Workload};
use crate::heap;
use crate::records::{DataKind, Records};
use crate::workloads::CAPACITY;

struct Field {
    records: Arc<Records>,
    contenders: Vec<Contender>,
}

impl Field {
    /// `make` makes a contender and fills it.
    fn add<T>(
        &mut self,
        label: &'static str,
        carries: Carries,
        make: impl Fn(&Records) -> T + 'static,
    ) {
        let records = Arc::clone(&self.records);
        let round = move || {
            let (made, bytes) = heap::bytes_of(|| make(&records));
            drop(made);
            bytes as f64 / CAPACITY as f64 - records.data_bytes() as f64
        };
        self.contenders.push(Contender::new(label, carries, round));
    }
}

fn filled<S: Sink, R>((mut sink, source): (S, R), records: &Records) -> (S, R) {
    for index in 0..CAPACITY {
        sink.put(records, index);
    }
    (sink, source)
}

pub fn heap(_: &Options, data_bytes: usize) -> Workload {
    let records = Arc::new(Records::repeating(data_bytes, DataKind::Fresh));
    let mut field = Field {
        records,
        contenders: Vec::new(),
    };
    field.add("brooklet", brooklets::CARRIES, |records| {
        // A sixteenth more room, so that nothing is trimmed.
        let capacity = CAPACITY + CAPACITY / 16;
        let stream = brooklets::stream(1, capacity, records.data_bytes());
        let made = filled((Text(stream.producer()), ()), records);
        assert_eq!(
            stream.metrics().records_retained(),
            CAPACITY as u64,
            "every record is retained"
        );
        (made, stream)
    });
    field.add("Mutex log by hand", logs::CARRIES, |records| {
        filled(logs::log::<Mutex<Ring>>(CAPACITY), records)
    });
    field.add("tokio broadcast", broadcasts::CARRIES, |records| {
        filled(broadcasts::tokio(CAPACITY, 1), records)
    });
    field.add("async-broadcast", broadcasts::CARRIES, |records| {
        filled(broadcasts::async_broadcast(CAPACITY, 1, false), records)
    });
    field.add(
        "disruptor, single producer",
        disruptors::CARRIES,
        |records| filled(disruptors::single(CAPACITY), records),
    );
    field.add("crossbeam-channel", channels::CARRIES, |records| {
        filled(channels::crossbeam(CAPACITY), records)
    });
    field.add("flume", channels::CARRIES, |records| {
        filled(channels::flume(CAPACITY), records)
    });
    field.add("boxcar", boxcar_vec::CARRIES, |records| {
        filled(boxcar_vec::boxcar(CAPACITY), records)
    });
    field.add("ferrokinesis", ferro::CARRIES, |records| {
        let ferrokinesis = Ferrokinesis::new(1, records);
        for from in (0..CAPACITY).step_by(256) {
            ferrokinesis.put_batch(records, from..from + 256);
        }
        ferrokinesis
    });
    let bar = if data_bytes <= 256 {
        Bar {
            text: "at most 32 bytes for data of up to 256 bytes",
            subject: "brooklet",
            goal: Goal::AtMost(32.0),
        }
    } else {
        Bar {
            text: "at most 85 bytes for larger data",
            subject: "brooklet",
            goal: Goal::AtMost(85.0),
        }
    };
    Workload {
        title: format!("heap bytes per record over its {data_bytes} bytes of data, key included"),
        unit: "bytes per record",
        // The same each time.
        nth_round: usize::MAX,
        contenders: field.contenders,
        bars: vec![bar],
    }
}
