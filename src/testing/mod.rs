//! Tools for the tests of programs that use streams: in a plain `#[test]`, without a runtime.
//!
//! | tool | what for |
//! | --- | --- |
//! | [`FaultPlan`] | throttling, lost answers, reshards, expiry and more, where a test wants them or by chance |
//! | [`records_of`], [`eventually`] | assertions that say what was expected, what came and where |
//! | [`ManualClock`](crate::ManualClock) | virtual time: a day of stream life in milliseconds |
//! | [`Capture`], [`Replay`] | a stream as a file, and the file as a stream again, on a clock turned by hand |
//! | [`Simulation`] | looks for the order of events, crashes and reshards that breaks a consumer |
//!
//! The feature `testing` has them; without it, none of this is in your program, and no put or pull
//! asks whether there are faults. The chapters [Testing](crate::manual::testing) and [Capture and
//! simulation](crate::manual::simulation) show them at work.

mod assertions;
mod capture;
mod faults;
mod simulation;

pub use assertions::{
    Eventually, Finding, JsonRecords, Mismatch, StreamRecords, eventually, records_from, records_of,
};
pub use capture::{
    Capture, CaptureError, CaptureEvent, CaptureHeader, CaptureReader, CaptureSummary,
    CapturedRecord, CapturedReshard, CapturedShard, Replay, ReplayReport, capture, capture_failure,
};
pub use faults::{
    Answered, Batches, Call, Calls, Fault, FaultPlan, FaultRule, Injected, Iterators, OfOneShard,
    Puts, Reads, Waits, When,
};
pub use simulation::{
    Consumer, Failure, Hazard, ParseScheduleError, Sent, Simulation, SimulationError,
    SimulationReport, Verdict, View, Worker,
};
