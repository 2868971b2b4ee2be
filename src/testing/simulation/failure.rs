//! What a simulation says when it has found something.

use std::fmt;

use crate::error::Error;
use crate::testing::simulation::step::ParseScheduleError;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Promise { name: String, message: String },
    Panic { message: String },
}

impl Broken {
    /// Whether the same thing went wrong, whatever it says in detail.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Promise { name, .. }, Self::Promise { name: other, .. }) => name == other,
            (Self::Panic { .. }, Self::Panic { .. }) => true,
            _ => false,
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise { name, message } if message.is_empty() => {
                write!(f, "\"{name}\" does not hold")
            }
            Self::Promise { name, message } => write!(f, "\"{name}\" does not hold: {message}"),
            Self::Panic { message } => write!(f, "the consumer panics: {message}"),
        }
    }
}

/// A schedule that breaks a consumer: what went wrong, how it came about, and how to play it again.
///
/// Shown, it is the whole story, for the output of a test.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    pub(super) broken: Broken,
    pub(super) schedule: String,
    pub(super) step_count: usize,
    pub(super) story: Vec<String>,
    pub(super) store: String,
    pub(super) origin: Option<Origin>,
    pub(super) is_repeatable: bool,
}

/// How a failure was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) seed: u64,
    pub(super) schedule: u64,
    pub(super) step_count: usize,
    pub(super) runs: u64,
}

impl Failure {
    /// What went wrong: the promise that does not hold, or what the consumer's panic says.
    pub fn problem(&self) -> String {
        self.broken.to_string()
    }

    /// The promise that does not hold; `None` if the consumer panicked.
    pub fn promise(&self) -> Option<&str> {
        match &self.broken {
            Broken::Promise { name, .. } => Some(name),
            Broken::Panic { .. } => None,
        }
    }

    /// The schedule as text, for [`Simulation::replay`](crate::testing::Simulation::replay).
    pub fn schedule(&self) -> &str {
        &self.schedule
    }

    /// How many steps the schedule has.
    pub const fn step_count(&self) -> usize {
        self.step_count
    }

    /// What happens, line by line.
    pub fn story(&self) -> &[String] {
        &self.story
    }

    /// Whether the schedule fails each time that it is played. If it does not, the consumer depends on
    /// something that is not in the simulation, such as the order of a `HashMap`, a thread or the
    /// system's time.
    pub const fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.broken)?;
        writeln!(f)?;
        let mut number = 0;
        for line in &self.story {
            if line.trim_start().starts_with("- ") {
                writeln!(f, "    {line}")?;
            } else {
                number += 1;
                writeln!(f, "{number:>3}. {line}")?;
            }
        }
        writeln!(f)?;
        writeln!(f, "the store then: {}", self.store)?;
        if let Some(origin) = self.origin {
            let Origin {
                seed,
                schedule,
                step_count,
                runs,
            } = origin;
            let left = self.step_count;
            writeln!(
                f,
                "found with BROOKLET_SEED={seed} in schedule {schedule}, shrunk from {step_count} steps \
                 to {left} in {runs} runs"
            )?;
        }
        if !self.is_repeatable {
            writeln!(
                f,
                "played again it does not fail: the consumer depends on something outside the simulation"
            )?;
        }
        write!(f, "replay(\"{}\")", self.schedule)
    }
}

impl fmt::Debug for Failure {
    /// As it is shown: a test that unwraps prints this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\n")?;
        fmt::Display::fmt(self, f)
    }
}

/// Why a simulation did not pass.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// A schedule breaks the consumer.
    #[error("{0}")]
    Failed(Box<Failure>),

    /// The environment's `BROOKLET_SEED` is no number of 64 bits.
    #[error("BROOKLET_SEED is not a number of 0 to 2^64 - 1: {text}")]
    InvalidSeed {
        /// What it is.
        text: String,
    },

    /// Text that is no schedule, or none of this simulation.
    #[error(transparent)]
    Schedule(#[from] ParseScheduleError),

    /// No stream can be made with the settings that the simulation was given.
    #[error(transparent)]
    Stream(#[from] Error),
}

impl SimulationError {
    /// The failure, if a schedule breaks the consumer.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}
