//! Tools for testing code that reads and writes streams; with the feature `testing`.
//!
//! | tool | what for |
//! | --- | --- |
//! | [`Capture`], [`Replay`] | a stream as a file, and the file as a stream again, on a clock turned by hand |
//! | [`Simulation`] | looks for the order of events, crashes and reshards that breaks a consumer |

mod capture;
mod simulation;

pub use capture::{
    Capture, CaptureError, CaptureEvent, CaptureHeader, CaptureReader, CaptureSummary,
    CapturedRecord, CapturedReshard, CapturedShard, Replay, ReplayReport, capture, capture_failure,
};
pub use simulation::{
    Consumer, Failure, Hazard, ParseScheduleError, Sent, Simulation, SimulationError,
    SimulationReport, Verdict, View, Worker,
};
