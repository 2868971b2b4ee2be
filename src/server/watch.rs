//! Connections, counted and watched: how long each has kept the server waiting, and for what.
//!
//! ```text
//!   accepted ──> reading a head ──> exchange open ──> idle ──┐
//!                     ^   limit: head      limit: write      │ limit: idle
//!                     └──────────── first byte ──────────────┘
//! ```
//!
//! While the body of an exchange is read, it has a limit of its own.
//!
//! A timer for each wait would have to be set and unset for every request. Here a request leaves only
//! the number of the current tick, and somebody looks at all connections once a tick (an eighth of the
//! shortest limit), so a client is cut off within its limit and two ticks, and a request pays nothing.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, OnceLock, Ordering, PlainArc};

/// The longest head whose bytes are looked at again, see [`Watch::saw_content_length`].
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What stands for a body that has taken too long.
const LATE: u64 = u64::MAX;

/// How long a client may keep the server waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) head: Duration,
    pub(crate) body: Duration,
    pub(crate) write: Duration,
    pub(crate) idle: Duration,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    tick: Duration,
    limits: Ticks,
    now: PlainArc<AtomicU64>,
    serial: AtomicU64,
    watches: Mutex<BTreeMap<u64, PlainArc<Watch>>>,
    /// Told when the last connection has ended.
    pub(crate) none_left: Notify,
}

/// The limits in ticks.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    head: u64,
    body: u64,
    write: u64,
    idle: u64,
}

/// A connection among those that are counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    id: u64,
    connections: PlainArc<Connections>,
    pub(crate) watch: PlainArc<Watch>,
}

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Watch {
    now: PlainArc<AtomicU64>,
    /// As many have it as requests are not answered to the end, besides this one.
    since: PlainArc<Since>,
    /// Whether a head is being read: its first byte is there, or the connection is new.
    in_head: AtomicBool,
    /// The tick at which the client stopped taking what is written, plus one; 0 if it takes it.
    blocked: AtomicU64,
    /// The tick at which the body that is waited for began, plus one; 0 if none is, and [`LATE`].
    body: AtomicU64,
    order: AtomicUsize,
    /// Of the connection's task.
    waker: OnceLock<Waker>,
    /// What was read of the head.
    head: Mutex<Vec<u8>>,
}

/// The tick at which what is being waited for began.
#[derive(Debug)]
struct Since {
    now: PlainArc<AtomicU64>,
    tick: AtomicU64,
}

/// A request that is not answered to the end yet.
#[derive(Debug)]
pub(crate) struct Open(PlainArc<Since>);

/// What a connection has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// End after what is being answered.
    Finish,
    /// End.
    Abort,
}

impl Connections {
    pub(crate) fn new(max: usize, patience: Patience) -> Self {
        let whole = patience.head.min(patience.body);
        let shortest = whole.min(patience.write).min(patience.idle);
        let tick = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
        // Rounded up, and the tick that has begun does not count.
        let ticks = |limit: Duration| {
            let whole = limit.as_nanos().div_ceil(tick.as_nanos());
            u64::try_from(whole).map_or(u64::MAX, |ticks| ticks.saturating_add(1))
        };
        Self {
            max,
            tick,
            limits: Ticks {
                head: ticks(patience.head),
                body: ticks(patience.body),
                write: ticks(patience.write),
                idle: ticks(patience.idle),
            },
            now: PlainArc::new(AtomicU64::new(0)),
            serial: AtomicU64::new(0),
            watches: Mutex::default(),
            none_left: Notify::new(),
        }
    }

    /// How often [`Connections::look`] is to be called.
    pub(crate) const fn tick(&self) -> Duration {
        self.tick
    }

    /// Counts one more connection. If there are as many as there may be, the one that has been idle
    /// for longest has to go; `None` if none is.
    pub(crate) fn admit(self: &PlainArc<Self>) -> Option<Admitted> {
        let watch = PlainArc::new(Watch::new(&self.now));
        let id = self.serial.fetch_add(1, Ordering::Relaxed);
        let mut watches = self.watches.lock();
        let evicted = match watches.len() < self.max {
            true => None,
            false => Some(evict(&mut watches)?),
        };
        watches.insert(id, PlainArc::clone(&watch));
        drop(watches);
        if let Some(evicted) = evicted {
            evicted.tell(Order::Abort);
        }
        Some(Admitted {
            id,
            connections: PlainArc::clone(self),
            watch,
        })
    }

    /// Makes room: ends the connection that has been idle for longest.
    pub(crate) fn evict_idle(&self) {
        let evicted = evict(&mut self.watches.lock());
        if let Some(evicted) = evicted {
            evicted.tell(Order::Abort);
        }
    }

    /// Begins the next tick, and ends whoever has kept the server waiting for too long.
    pub(crate) fn look(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        for watch in self.all() {
            watch.look(now, self.limits);
        }
    }

    /// Has all connections end: those that have a request after its answer, all others now.
    pub(crate) fn finish_all(&self) {
        for watch in self.all() {
            // Half a head is not worth waiting for, and whoever has not said anything is not asked.
            let has_half = watch.is_idle() && watch.in_head.load(Ordering::Relaxed);
            watch.tell(if has_half {
                Order::Abort
            } else {
                Order::Finish
            });
        }
    }

    /// Ends all connections.
    pub(crate) fn abort_all(&self) {
        for watch in self.all() {
            watch.tell(Order::Abort);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.watches.lock().len()
    }

    fn all(&self) -> Vec<PlainArc<Watch>> {
        self.watches.lock().values().cloned().collect()
    }
}

/// Takes out the connection that has been idle for longest.
fn evict(watches: &mut BTreeMap<u64, PlainArc<Watch>>) -> Option<PlainArc<Watch>> {
    let idle = watches.iter().filter(|(_, watch)| watch.is_idle());
    let longest = idle.min_by_key(|(id, watch)| (watch.since.tick.load(Ordering::Relaxed), **id));
    let id = *longest?.0;
    watches.remove(&id)
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut watches = self.connections.watches.lock();
        watches.remove(&self.id);
        let none_left = watches.is_empty();
        drop(watches);
        if none_left {
            self.connections.none_left.notify_waiters();
        }
    }
}

impl Watch {
    fn new(now: &PlainArc<AtomicU64>) -> Self {
        Self {
            now: PlainArc::clone(now),
            since: PlainArc::new(Since {
                now: PlainArc::clone(now),
                tick: AtomicU64::new(now.load(Ordering::Relaxed)),
            }),
            in_head: AtomicBool::new(true),
            blocked: AtomicU64::new(0),
            body: AtomicU64::new(0),
            order: AtomicUsize::new(Order::Serve as usize),
            waker: OnceLock::new(),
            head: Mutex::default(),
        }
    }

    /// Bytes of HTTP/1 came.
    pub(crate) fn read(&self, bytes: &[u8]) {
        if !self.is_idle() {
            return;
        }
        let mut head = self.head.lock();
        // The connection's task alone changes it: what is locked costs as much as two headers.
        if !self.in_head.load(Ordering::Relaxed) {
            self.since.begin();
            self.in_head.store(true, Ordering::Relaxed);
            head.clear();
        }
        let room = HEAD_BYTES_MAX.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The connection has said which protocol it speaks, and that it is HTTP/2.
    pub(crate) fn reads_no_heads(&self) {
        self.in_head.store(false, Ordering::Relaxed);
        self.since.begin();
    }

    /// A request has come; also whether its head is the one that was read since the last answer.
    pub(crate) fn open(&self) -> (Open, bool) {
        let open = Open(PlainArc::clone(&self.since));
        let is_fresh = self.in_head.load(Ordering::Relaxed);
        if is_fresh {
            self.in_head.store(false, Ordering::Relaxed);
        }
        (open, is_fresh)
    }

    /// Whether the head that was read says the length of the body: the parser drops that if the head
    /// has an encoding, too.
    pub(crate) fn saw_content_length(&self) -> bool {
        let head = self.head.lock();
        let lines = head.split(|byte| *byte == b'\n');
        let mut head = lines.take_while(|line| !matches!(line, [] | [b'\r']));
        head.any(|line| {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(b"content-length")
        })
    }

    /// The client does not take what is written.
    pub(crate) fn is_blocked(&self) {
        if self.blocked.load(Ordering::Relaxed) == 0 {
            let now = self.now.load(Ordering::Relaxed);
            self.blocked.store(now + 1, Ordering::Relaxed);
        }
    }

    /// It takes it again.
    pub(crate) fn is_unblocked(&self) {
        if self.blocked.load(Ordering::Relaxed) != 0 {
            self.blocked.store(0, Ordering::Relaxed);
        }
    }

    /// Reads the body of the only request that is open; `None` if it takes too long. It has to be run by
    /// the connection's task.
    pub(crate) async fn in_time<T>(&self, reading: impl Future<Output = T>) -> Option<T> {
        let now = self.now.load(Ordering::Relaxed);
        self.body.store(now + 1, Ordering::Relaxed);
        let mut reading = pin!(reading);
        let read = poll_fn(|context| match reading.as_mut().poll(context) {
            Poll::Pending if self.body.load(Ordering::Relaxed) == LATE => Poll::Ready(None),
            polled => polled.map(Some),
        })
        .await;
        self.body.store(0, Ordering::Relaxed);
        read
    }

    pub(crate) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::Abort,
        }
    }

    fn tell(&self, order: Order) {
        self.order.fetch_max(order as usize, Ordering::AcqRel);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    fn is_idle(&self) -> bool {
        PlainArc::strong_count(&self.since) == 1
    }

    fn look(&self, now: u64, limits: Ticks) {
        let blocked = self.blocked.load(Ordering::Relaxed);
        if blocked != 0 && now.saturating_sub(blocked - 1) > limits.write {
            return self.tell(Order::Abort);
        }
        if !self.is_idle() {
            return self.look_at_body(now, limits);
        }
        let waited = now.saturating_sub(self.since.tick.load(Ordering::Relaxed));
        if self.in_head.load(Ordering::Relaxed) {
            if waited > limits.head {
                self.tell(Order::Abort);
            }
        } else if waited > limits.idle {
            // Who does not end when told politely is not told politely twice.
            match self.order() {
                Order::Serve => {
                    self.since.begin();
                    self.tell(Order::Finish);
                }
                _ => self.tell(Order::Abort),
            }
        }
    }

    fn look_at_body(&self, now: u64, limits: Ticks) {
        let began = self.body.load(Ordering::Relaxed);
        if began == 0 || began == LATE || now.saturating_sub(began - 1) <= limits.body {
            return;
        }
        // Unless it has just come to its end, and another one may have begun.
        let late = self
            .body
            .compare_exchange(began, LATE, Ordering::Relaxed, Ordering::Relaxed);
        if late.is_ok() {
            self.wake();
        }
    }

    /// Runs what a connection does, until it is done or told to abort. It has to be the whole of its
    /// task.
    pub(crate) async fn obey(&self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.waker.get_or_init(|| context.waker().clone());
            if self.order() == Order::Abort {
                return Poll::Ready(());
            }
            work.as_mut().poll(context)
        })
        .await;
    }
}

impl Since {
    fn begin(&self) {
        let now = self.now.load(Ordering::Relaxed);
        self.tick.store(now, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Before it is given back: whoever sees the connection idle must not see an old tick.
        self.0.begin();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::Context;

    use super::*;

    fn connections(max: usize) -> PlainArc<Connections> {
        PlainArc::new(Connections::new(
            max,
            Patience {
                head: Duration::from_millis(40),
                body: Duration::from_millis(40),
                write: Duration::from_millis(80),
                idle: Duration::from_millis(120),
            },
        ))
    }

    /// Looks until a connection is told something, and says after how many ticks.
    fn ticks_until_told(connections: &Connections, admitted: &Admitted) -> (u32, Order) {
        let already = admitted.watch.order();
        for tick in 1..1000 {
            connections.look();
            if admitted.watch.order() > already {
                return (tick, admitted.watch.order());
            }
        }
        panic!("it was never told anything");
    }

    #[test]
    fn each_wait_has_its_own_limit() {
        // A tick is 5 ms: 8, 16 and 24 of them, and up to two more.
        let connections = connections(9);
        let admit = || connections.admit().unwrap();
        let new = admit();
        assert_eq!(ticks_until_told(&connections, &new), (10, Order::Abort));

        let blocked = admit();
        let _open = blocked.watch.open();
        blocked.watch.is_blocked();
        assert_eq!(ticks_until_told(&connections, &blocked), (18, Order::Abort));

        let idle = admit();
        drop(idle.watch.open());
        assert_eq!(ticks_until_told(&connections, &idle), (26, Order::Finish));
        assert_eq!(ticks_until_told(&connections, &idle), (26, Order::Abort));

        let in_second_head = admit();
        drop(in_second_head.watch.open());
        in_second_head.watch.read(b"P");
        let told = ticks_until_told(&connections, &in_second_head);
        assert_eq!(told, (10, Order::Abort));
    }

    #[test]
    fn a_body_has_a_limit_of_its_own() {
        let connections = connections(9);
        let admitted = connections.admit().unwrap();
        let _open = admitted.watch.open();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut reading = pin!(admitted.watch.in_time(pending::<()>()));
            let mut ticks = 0;
            let read = loop {
                match reading.as_mut().poll(&mut context) {
                    Poll::Pending => connections.look(),
                    Poll::Ready(read) => break read,
                }
                ticks += 1;
            };
            assert_eq!((ticks, read), (10, None));
            let mut reading = pin!(admitted.watch.in_time(ready("read")));
            let read = reading.as_mut().poll(&mut context);
            assert_eq!(read, Poll::Ready(Some("read")));
            for _ in 0..100 {
                connections.look();
            }
        }
        assert_eq!(admitted.watch.order(), Order::Serve);
    }

    #[test]
    fn who_is_answered_or_takes_what_is_written_is_left_alone() {
        let connections = connections(9);
        let admitted = connections.admit().unwrap();
        let _open = admitted.watch.open();
        for _ in 0..1000 {
            admitted.watch.is_blocked();
            connections.look();
            admitted.watch.is_unblocked();
        }
        assert_eq!(admitted.watch.order(), Order::Serve);
    }

    #[test]
    fn the_longest_idle_makes_room_and_the_busy_never_do() {
        let connections = connections(3);
        let admit = || connections.admit().unwrap();
        let (first, second, third) = (admit(), admit(), admit());
        let _busy = first.watch.open();
        connections.look();
        drop(second.watch.open());
        let fourth = admit();
        assert_eq!(
            [&first, &second, &third, &fourth].map(|one| one.watch.order()),
            [Order::Serve, Order::Serve, Order::Abort, Order::Serve]
        );
        let _busy = (second.watch.open(), fourth.watch.open());
        assert!(connections.admit().is_none());
        assert_eq!(connections.count(), 3);
        drop(first);
        assert!(connections.admit().is_some());
    }

    #[test]
    fn a_length_is_seen_in_the_head_and_nowhere_else() {
        let connections = connections(9);
        for (head, seen) in [
            (
                "POST / HTTP/1.1\r\nHost: x\r\ncOnTent-length : 3\r\n\r\nabc",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nHost: x\r\n\r\nContent-Length: 3\r\n",
                false,
            ),
            ("POST / HTTP/1.1\nHost: x\n\nContent-Length: 3\n", false),
            ("POST / HTTP/1.1\r\nX-Content-Length: 3\r\n\r\n", false),
        ] {
            let admitted = connections.admit().unwrap();
            let (one, other) = head.split_at(20);
            admitted.watch.read(one.as_bytes());
            admitted.watch.read(other.as_bytes());
            assert!(admitted.watch.open().1);
            assert_eq!(admitted.watch.saw_content_length(), seen, "{head}");
        }
    }
}
