//! Where random faults come from.

use crate::sync::{AtomicBool, OnceLock, Ordering};

/// Names the environment variable with the seed of a run.
const VARIABLE: &str = "BROOKLET_SEED";

/// A seed that is made when it is first asked for.
pub(super) struct Seed {
    seed: OnceLock<u64>,
    announced: AtomicBool,
}

impl Seed {
    pub(super) fn from_environment() -> Self {
        Self {
            seed: OnceLock::new(),
            announced: AtomicBool::new(false),
        }
    }

    pub(super) fn given(seed: u64) -> Self {
        Self {
            seed: OnceLock::from(seed),
            announced: AtomicBool::new(false),
        }
    }

    pub(super) fn get(&self) -> u64 {
        *self.seed.get_or_init(|| match std::env::var(VARIABLE) {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| {
                panic!("{VARIABLE} is {text:?}, not a whole number below 2^64")
            }),
            Err(_) => fastrand::u64(..),
        })
    }

    /// Prints it, once: the harness of Rust's tests shows what a failing test has printed.
    pub(super) fn announce(&self) {
        let seed = self.get();
        if !self.announced.swap(true, Ordering::Relaxed) {
            eprintln!("random faults: {VARIABLE}={seed} gives the same again");
        }
    }

    /// A number from 0 to below 1 that depends on nothing but the seed and these numbers.
    pub(super) fn draw(&self, numbers: [u64; 4]) -> f64 {
        let mixed = numbers.into_iter().fold(self.get(), |mixed, number| {
            fastrand::Rng::with_seed(mixed ^ number).u64(..)
        });
        fastrand::Rng::with_seed(mixed).f64()
    }
}

/// A number for a name.
pub(super) fn number_of(name: &str) -> u64 {
    name.bytes().fold(0, |mixed, byte| {
        fastrand::Rng::with_seed(mixed ^ u64::from(byte)).u64(..)
    })
}
