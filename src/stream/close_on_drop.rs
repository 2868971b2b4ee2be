//! Closing a stream in any case.

use crate::call_out::CallOuts;
use crate::stream::Stream;

/// Closes a stream when it is dropped; see [`Stream::close_on_drop`].
#[derive(Debug)]
#[must_use = "the stream is closed at once if this is not bound to a name"]
pub struct CloseOnDrop {
    stream: Stream,
}

impl Stream {
    /// [Closes](Self::close) the stream when the guard is dropped: at the end of its scope, on an
    /// early return, on a panic. The thread that puts the records holds it, so that no reader waits
    /// for a producer that is gone.
    ///
    /// ```
    /// use brooklet::{Error, StartingPosition, Stream};
    ///
    /// fn put_orders(stream: &Stream) -> Result<(), Error> {
    ///     let _closed = stream.close_on_drop();
    ///     stream.producer().put_record("customer-17", "two teapots")?;
    ///     stream.producer().put_record("", "without a customer")?;
    ///     Ok(())
    /// }
    ///
    /// let stream = Stream::new("orders", 1)?;
    /// assert!(put_orders(&stream).is_err());
    /// // What was put is read, and then the reader is done.
    /// let subscription = stream.subscribe(StartingPosition::TrimHorizon)?;
    /// assert_eq!(subscription.batches_blocking(100).count(), 1);
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    pub fn close_on_drop(&self) -> CloseOnDrop {
        CloseOnDrop {
            stream: self.clone(),
        }
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        // Closing wakes readers and asks the clock for the time. If that panics while the thread is
        // on its way out of another panic, it must not end the process.
        let mut calls = CallOuts::default();
        calls.run(|| self.stream.close());
        calls.finish();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

    use super::*;
    use crate::clock::{Clock, Timestamp};
    use crate::sync::{AtomicU64, Ordering, PlainArc};

    /// Panics as soon as it is told to.
    #[derive(Clone, Debug, Default)]
    struct Panicking(PlainArc<AtomicU64>);

    impl Clock for Panicking {
        fn now(&self) -> Timestamp {
            if self.0.load(Ordering::Relaxed) > 0 {
                panic_any("the clock is broken");
            }
            Timestamp::from_millis(1_700_000_000_000)
        }
    }

    fn thrown_by(end: impl FnOnce(CloseOnDrop)) -> &'static str {
        let clock = Panicking::default();
        let stream = Stream::builder("orders").clock(clock.clone()).build();
        let closed = stream.expect("one shard").close_on_drop();
        let thrown = catch_unwind(AssertUnwindSafe(|| {
            clock.0.store(1, Ordering::Relaxed);
            end(closed);
        }));
        let payload = thrown.expect_err("it panics");
        payload.downcast_ref().copied().expect("a text")
    }

    #[test]
    fn a_panic_of_the_clock_goes_on_unless_another_is_under_way() {
        assert_eq!(thrown_by(drop), "the clock is broken");
        let producer = |_closed| resume_unwind(Box::new("the producer is gone"));
        assert_eq!(thrown_by(producer), "the producer is gone");
    }
}
