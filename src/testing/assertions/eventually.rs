//! Waiting, in virtual time, for something to become true.

use std::fmt::Display;
use std::time::Duration;

use crate::clock::{Clock, ManualClock};

/// Unless said otherwise, it looks so often within its time.
const LOOKS: u32 = 100;
/// It looks not more often than that, but at deadlines.
const STEP_MIN: Duration = Duration::from_millis(1);

/// Looks until something is true, letting time pass on a clock that is turned by hand: at most `within`.
/// Returns what was found. A look is a `bool`, an `Option`, or a `Result` whose error says what is missing.
///
/// ```
/// use std::time::Duration;
/// use brooklet::{ManualClock, Stream};
/// use brooklet::testing::{eventually, records_of};
///
/// let clock = ManualClock::default();
/// let stream = Stream::builder("orders").clock(clock.clone()).build()?;
/// let hour = Duration::from_secs(3600);
/// std::thread::scope(|scope| {
///     scope.spawn(clock.taking_part(|| {
///         use brooklet::Clock;
///         clock.pass(hour / 2);
///         stream.producer().put_record("customer-17", "two teapots")
///     }));
///     eventually(&clock, hour, || records_of(&stream).check_data(["two teapots"]));
/// });
/// # Ok::<(), brooklet::Error>(())
/// ```
///
/// It looks at once, then whenever the time of somebody who sleeps on the clock has come, and in
/// between: 100 times in all, but not within a millisecond. Threads that
/// [take part](ManualClock::taking_part) in the clock's time have done their work before each look; it
/// waits for no others. No real time is measured, so it does not depend on how busy the machine is.
///
/// # Panics
///
/// If it is not true in time, with what the last look said.
#[track_caller]
pub fn eventually<F: Finding>(
    clock: &ManualClock,
    within: Duration,
    look: impl FnMut() -> F,
) -> F::Found {
    Eventually::new(clock, within).assert(look)
}

/// As [`eventually`], with a say in how often it looks.
#[derive(Clone, Debug)]
#[must_use = "it does not look until it is asserted"]
pub struct Eventually {
    clock: ManualClock,
    within: Duration,
    step: Duration,
}

/// What a look finds: `true`, `Some`, `Ok`, or that it is not there yet.
pub trait Finding {
    /// What is found.
    type Found;

    /// What was found.
    ///
    /// # Errors
    ///
    /// What is missing.
    fn found(self) -> Result<Self::Found, String>;
}

impl Eventually {
    /// Looks for so long.
    pub fn new(clock: &ManualClock, within: Duration) -> Self {
        Self {
            clock: clock.clone(),
            within,
            step: (within / LOOKS).max(STEP_MIN),
        }
    }

    /// Looks whenever so much time has passed, and at deadlines.
    ///
    /// # Panics
    ///
    /// With a step of no time.
    #[track_caller]
    pub fn every(mut self, step: Duration) -> Self {
        assert!(!step.is_zero(), "a step takes some time");
        self.step = step;
        self
    }

    /// Looks until it finds something.
    ///
    /// # Errors
    ///
    /// What the last look said, if it is not there in time.
    pub fn check<F: Finding>(self, mut look: impl FnMut() -> F) -> Result<F::Found, String> {
        let begun = self.clock.now();
        let begun_at = self.clock.monotonic();
        let end = begun_at.saturating_add(self.within);
        // Those who are at work come to rest first.
        self.clock.pass(Duration::ZERO);
        let mut looks = 1;
        loop {
            let missing = match look().found() {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            let now = self.clock.monotonic();
            if now >= end {
                let now_at = self.clock.now();
                return Err(format!(
                    "not within {:?} from {begun} to {now_at}, in {looks} looks; at last: {missing}",
                    self.within
                ));
            }
            let step = self.clock.next_step(self.step.min(end.saturating_sub(now)));
            self.clock.pass(step);
            looks += 1;
        }
    }

    /// Looks until it finds something, and returns it.
    ///
    /// # Panics
    ///
    /// If it is not there in time, with what the last look said.
    #[track_caller]
    pub fn assert<F: Finding>(self, look: impl FnMut() -> F) -> F::Found {
        match self.check(look) {
            Ok(found) => found,
            Err(missing) => panic!("{missing}"),
        }
    }
}

impl Finding for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("false".to_owned())
        }
    }
}

impl<T> Finding for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(|| "None".to_owned())
    }
}

impl<T, E: Display> Finding for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|missing| missing.to_string())
    }
}
