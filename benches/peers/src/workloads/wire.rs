//! Requests of the Kinesis API in JSON: what they cost the process of a server that one client asks over
//! loopback, and what they cost where no socket is.

use std::fmt;
use std::hint::black_box;

use bytes::Bytes;
use cpu_time::ThreadTime;
use ferrokinesis::actions::Operation;
use http::Request;
use serde_json::Value;

use crate::contenders::brooklets;
use crate::contenders::endpoints::{self, Ask, Brooklet, Ferrokinesis};
use crate::contenders::ferro;
use crate::endpoint::{self, Peer, from_horizon};
use crate::harness::{Bar, Contender, Goal, Options, Workload};
use crate::workloads::{BATCH, LARGE};

/// Records that a pull gives.
const PULLED: usize = 1000;
/// Batches after which a stream of brooklet is full: what comes then is in memory that was used before.
const FILLING: usize = 600;
const FERROKINESIS: &str = "ferrokinesis";
const BROOKLET: &str = "brooklet";
const GROWING: &str = "brooklet, while its stream grows";
const NOTHING: &str = "a handler that does nothing";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    PutRecord,
    PutRecords,
    GetRecords,
}

impl fmt::Display for Kind {
    /// Its name on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Kind {
    /// Records of a request, or of its answer.
    const fn records(self) -> usize {
        match self {
            Self::PutRecord => 1,
            Self::PutRecords => BATCH,
            Self::GetRecords => PULLED,
        }
    }

    /// Requests of a round.
    fn count(self, options: &Options) -> u32 {
        let full = match self {
            Self::PutRecord => 2000,
            Self::PutRecords | Self::GetRecords => 10,
        };
        u32::try_from(options.count(full)).expect("it is small")
    }

    fn text(self) -> &'static str {
        match self {
            Self::PutRecord => "put_record of 1 KiB",
            Self::PutRecords => "put_records of 500 x 1 KiB",
            Self::GetRecords => "get_records of 1,000 x 1 KiB",
        }
    }

    const fn of_ferrokinesis(self) -> Operation {
        match self {
            Self::PutRecord => Operation::PutRecord,
            Self::PutRecords => Operation::PutRecords,
            Self::GetRecords => Operation::GetRecords,
        }
    }

    /// Makes the streams, and the body of the requests; asks once to see that the answer is right.
    fn prepare(self, of: &mut impl Ask) -> String {
        for stream in ["orders", "replay"] {
            let name = format!(r#"{{"StreamName":"{stream}""#);
            of.ask("CreateStream", &format!(r#"{name},"ShardCount":1}}"#));
            let describe = format!("{name}}}");
            while !has(&of.ask("DescribeStreamSummary", &describe), "\"ACTIVE\"") {}
        }
        for _ in 0..PULLED / BATCH {
            of.ask("PutRecords", &batch("replay"));
        }
        let body = match self {
            Self::PutRecord => format!(r#"{{"StreamName":"orders",{}}}"#, record()),
            Self::PutRecords => batch("orders"),
            Self::GetRecords => {
                // An answer with nothing but the iterator is a request with it.
                let iterator = of.ask("GetShardIterator", &from_horizon("replay"));
                String::from_utf8(iterator).expect("it is JSON")
            }
        };
        let answer: Value =
            serde_json::from_slice(&of.ask(&self.to_string(), &body)).expect("it is JSON");
        let records = match self {
            Self::PutRecord => 1,
            Self::PutRecords | Self::GetRecords => {
                let records = answer["Records"].as_array().expect("a list of records");
                let is_stored = |record: &&Value| record["SequenceNumber"].is_string();
                records.iter().filter(is_stored).count()
            }
        };
        assert_eq!(records, self.records(), "{self}");
        body
    }
}

fn has(answer: &[u8], part: &str) -> bool {
    let mut windows = answer.windows(part.len());
    windows.any(|window| window == part.as_bytes())
}

/// The key and the data of each record.
fn record() -> String {
    let data = "A".repeat(LARGE / 3 * 4);
    format!(r#""PartitionKey":"customer-17","Data":"{data}""#)
}

fn batch(stream: &str) -> String {
    let records = vec![format!("{{{}}}", record()); BATCH].join(",");
    format!(r#"{{"StreamName":"{stream}","Records":[{records}]}}"#)
}

/// Servers, each in a process of its own.
pub fn over_sockets(options: &Options, kind: Kind) -> Workload {
    // From now on: these are the last workloads, and those after them have one thread.
    endpoint::share_a_core();
    let count = kind.count(options);
    let contender = |label, who, carries| {
        let mut peer = Peer::start(who);
        let body = match label {
            NOTHING => match kind {
                Kind::PutRecord => format!(r#"{{"StreamName":"orders",{}}}"#, record()),
                Kind::PutRecords => batch("orders"),
                Kind::GetRecords => from_horizon("replay"),
            },
            _ => kind.prepare(&mut peer),
        };
        if label == BROOKLET && kind != Kind::GetRecords {
            for _ in 0..FILLING {
                peer.ask("PutRecords", &batch("orders"));
            }
        }
        let request = endpoint::request(&kind.to_string(), &body);
        let round = move || peer.round(&request, count) / kind.records() as f64;
        Contender::new(label, carries, round)
    };
    let bar = match kind {
        Kind::PutRecord => Bar {
            text: "at most 1.20 of a handler that does nothing",
            subject: BROOKLET,
            goal: Goal::Times(NOTHING, 1.2),
        },
        Kind::PutRecords => at_most("at most 1.4 us a record", 1.4),
        Kind::GetRecords => at_most("at most 1.1 us a record", 1.1),
    };
    let mut contenders = vec![
        contender(BROOKLET, "brooklet", brooklets::CARRIES),
        contender(FERROKINESIS, "ferrokinesis", ferro::CARRIES),
        contender(NOTHING, "nothing", endpoints::NOTHING),
    ];
    if kind != Kind::GetRecords {
        let growing = contender(GROWING, "brooklet", brooklets::CARRIES);
        contenders.insert(1, growing);
    }
    Workload {
        title: format!("a server's processor time, {}", kind.text()),
        unit: "us per record",
        nth_round: 1,
        contenders,
        bars: vec![bar],
    }
}

fn at_most(text: &'static str, us: f64) -> Bar {
    Bar {
        text,
        subject: BROOKLET,
        goal: Goal::AtMost(us),
    }
}

/// The same without a socket, on this thread.
pub fn in_process(options: &Options, kind: Kind) -> Workload {
    const ROUTER: &str = "ferrokinesis, a request to its router";
    const DISPATCH: &str = "ferrokinesis, a call on parsed JSON";
    let count = kind.count(options);
    let per_record = move |begun: ThreadTime| {
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(count) / kind.records() as f64
    };

    let mut brooklet = Brooklet::new();
    let request = endpoints::request(&kind.to_string(), &kind.prepare(&mut brooklet));
    let ours = move || {
        let begun = ThreadTime::now();
        for _ in 0..count {
            drop(black_box(brooklet.respond(&request)));
        }
        per_record(begun)
    };

    let mut router = Ferrokinesis::new();
    let request = endpoints::request(&kind.to_string(), &kind.prepare(&mut router));
    let routed = move || {
        // It takes requests, which a server would just have made.
        let requests: Vec<Request<Bytes>> = (0..count).map(|_| request.clone()).collect();
        let begun = ThreadTime::now();
        for request in requests {
            drop(black_box(router.respond(request)));
        }
        per_record(begun)
    };

    let mut store = Ferrokinesis::new();
    let input: Value = serde_json::from_str(&kind.prepare(&mut store)).expect("it is JSON");
    let dispatched = move || {
        let inputs: Vec<Value> = (0..count).map(|_| input.clone()).collect();
        let begun = ThreadTime::now();
        for input in inputs {
            drop(black_box(store.dispatch(kind.of_ferrokinesis(), input)));
        }
        per_record(begun)
    };

    Workload {
        title: format!("processor time without a socket, {}", kind.text()),
        unit: "us per record",
        nth_round: 1,
        contenders: vec![
            Contender::new(BROOKLET, brooklets::CARRIES, ours),
            Contender::new(ROUTER, ferro::CARRIES, routed),
            Contender::new(DISPATCH, ferro::CARRIES, dispatched),
        ],
        bars: vec![Bar {
            text: "no more than ferrokinesis called on parsed JSON",
            subject: BROOKLET,
            goal: Goal::Times(DISPATCH, 1.0),
        }],
    }
}
