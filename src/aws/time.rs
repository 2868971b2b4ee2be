//! Time for the SDK, as a registry's clock tells it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;

use crate::clock::{Clock, ManualClock, WallTime};
use crate::protocol::{Alarm, Service};

/// Sleeps until the registry's clock says that it is time.
#[derive(Debug)]
pub(super) struct ClockSleep {
    service: Service,
}

/// Says what time it is on the registry's clock.
#[derive(Debug)]
pub(super) struct ClockTime {
    service: Service,
}

/// Turns the clock on instead of waiting.
#[derive(Debug)]
pub(super) struct TurningSleep {
    clock: ManualClock,
}

impl ClockSleep {
    pub(super) const fn new(service: Service) -> Self {
        Self { service }
    }
}

impl ClockTime {
    pub(super) const fn new(service: Service) -> Self {
        Self { service }
    }
}

impl TurningSleep {
    pub(super) const fn new(clock: ManualClock) -> Self {
        Self { clock }
    }
}

impl AsyncSleep for ClockSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        let now = self.service.registry().clock().monotonic();
        Sleep::new(Until {
            service: self.service.clone(),
            deadline: now.saturating_add(duration),
            alarm: None,
        })
    }
}

impl TimeSource for ClockTime {
    fn now(&self) -> WallTime {
        self.service.registry().clock().now().into()
    }
}

impl AsyncSleep for TurningSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.clock.clone();
        let deadline = clock.monotonic().saturating_add(duration);
        // Not before it is polled: a sleep that is given up takes no time.
        Sleep::new(async move { clock.advance(deadline.saturating_sub(clock.monotonic())) })
    }
}

/// The future of a sleep. It holds nothing until it is polled, and nothing once it is dropped.
struct Until {
    service: Service,
    deadline: Duration,
    alarm: Option<Alarm>,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let now = this.service.registry().clock().monotonic();
        if now >= this.deadline {
            this.alarm = None;
            return Poll::Ready(());
        }
        let timer = this.service.timer();
        match timer.set(&mut this.alarm, now, this.deadline, context.waker()) {
            Ok(()) => Poll::Pending,
            // There is no thread to wake it: rather early than never.
            Err(_) => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use crate::registry::Registry;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn manual() -> (Registry, ManualClock) {
        let clock = ManualClock::default();
        let registry = Registry::builder().clock(clock.clone()).build();
        (registry, clock)
    }

    #[test]
    fn a_sleep_ends_when_the_clock_is_turned_and_not_before() {
        let (registry, clock) = manual();
        let sleep = ClockSleep::new(Service::from(&registry)).sleep(MINUTE);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| block_on(sleep));
            while clock.sleeper_count() == 0 {
                std::thread::yield_now();
            }
            clock.advance(MINUTE / 2);
            assert!(!sleeper.is_finished());
            clock.advance(MINUTE / 2);
        });
    }

    #[test]
    fn a_sleep_follows_the_clock_of_the_system() {
        let registry = Registry::new();
        let sleep = ClockSleep::new(Service::from(&registry));
        let before = registry.clock().monotonic();
        let millis = Duration::from_millis(2);
        block_on(sleep.sleep(millis));
        assert!(registry.clock().monotonic() >= before + millis);
    }

    #[test]
    fn sleeps_that_turn_the_clock_begin_and_end_together() {
        let (_, clock) = manual();
        let sleep = TurningSleep::new(clock.clone());
        let (short, long) = (sleep.sleep(MINUTE), sleep.sleep(3 * MINUTE));
        drop(sleep.sleep(9 * MINUTE));
        assert_eq!(clock.monotonic(), Duration::ZERO);
        block_on(long);
        block_on(short);
        assert_eq!(clock.monotonic(), 3 * MINUTE);
    }

    #[test]
    fn the_time_is_that_of_the_registry() {
        let (registry, clock) = manual();
        let source = ClockTime::new(Service::from(&registry));
        clock.advance(MINUTE);
        assert_eq!(crate::clock::Timestamp::from(source.now()), clock.now());
    }
}
