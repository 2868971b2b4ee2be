//! Running user code: wakers, and the drops of data.
//!
//! # The promise: a panic in user code harms nothing
//!
//! User code runs when no lock is held and nothing is half done. Where several pieces of it are due,
//! each is run even if one before it panics, and the first panic goes on to the caller at the end;
//! a second one would end the process if it met the first on its way out.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::sync::panicking;

/// Runs pieces of user code, each whatever those before it did; see the [module](self).
#[derive(Default)]
pub(crate) struct CallOuts {
    panic: Option<Box<dyn Any + Send>>,
}

impl CallOuts {
    pub(crate) fn run(&mut self, user_code: impl FnOnce()) {
        let Err(payload) = catch_unwind(AssertUnwindSafe(user_code)) else {
            return;
        };
        match self.panic {
            None => self.panic = Some(payload),
            // Even the drop of what was thrown may panic.
            Some(_) => std::mem::forget(payload),
        }
    }

    /// Lets the first panic go on, unless the thread is on its way out of another.
    pub(crate) fn finish(self) {
        match self.panic {
            Some(payload) if panicking() => std::mem::forget(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_runs_and_the_first_panic_goes_on() {
        let mut ran = 0;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut calls = CallOuts::default();
            for panic in [None, Some("first"), None, Some("second"), None] {
                calls.run(|| {
                    ran += 1;
                    if let Some(text) = panic {
                        std::panic::panic_any(text);
                    }
                });
            }
            calls.finish();
        }));
        let payload = outcome.expect_err("the first panic goes on");
        assert_eq!(payload.downcast_ref(), Some(&"first"));
        assert_eq!(ran, 5);
    }
}
