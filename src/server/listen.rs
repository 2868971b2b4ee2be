//! Who waits for connections, and on which threads they are served.
//!
//! A thread has a runtime of its own, and a connection stays on one thread: no task moves, no thread is
//! woken to look for work. One of them takes the connections and deals them out in turns.

use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::server::watch::Admitted;
use crate::server::{Shared, connection};
use crate::sync::PlainArc;

/// How long to let be when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection for another thread.
type Dealt = (std::net::TcpStream, Admitted);

/// Another thread.
pub(crate) type Helper = UnboundedSender<Dealt>;

/// Has the current runtime tell when somebody connects.
pub(crate) fn register(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves on this thread and on more, until the server is told to end. `aside` runs beside it.
pub(crate) fn on_threads(
    shared: PlainArc<Shared>,
    listener: std::net::TcpListener,
    threads: usize,
    aside: impl Future<Output = ()>,
) -> io::Result<()> {
    let runtime = runtime()?;
    let _watched = watch_over(&shared)?;
    let helpers = (1..threads)
        .map(|_| help(PlainArc::clone(&shared)))
        .collect::<io::Result<Vec<_>>>()?;
    runtime.block_on(async {
        let listener = register(listener)?;
        let mut serving = pin!(serve(&shared, listener, &helpers, Ticks(None)));
        tokio::select! {
            () = &mut serving => return Ok(()),
            () = aside => {}
        }
        serving.await;
        Ok(())
    })
}

/// Looks at all connections once a tick, on a thread of its own, until what is returned is dropped: a
/// thread that serves would set an alarm each time it waits for a request.
fn watch_over(shared: &PlainArc<Shared>) -> io::Result<Sender<()>> {
    let (alive, ended) = crossbeam_channel::bounded(0);
    let shared = PlainArc::clone(shared);
    crate::sync::spawn("brooklet-watch", move || {
        let connections = &shared.connections;
        while ended.recv_timeout(connections.tick()) == Err(RecvTimeoutError::Timeout) {
            connections.look();
        }
    })?;
    Ok(alive)
}

/// When to look at all connections; never, if another thread does.
pub(crate) struct Ticks(Option<Interval>);

impl Ticks {
    /// Those of a server that has no thread of its own.
    pub(crate) fn of(shared: &Shared) -> Self {
        let mut ticks = interval(shared.connections.tick());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self(Some(ticks))
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(ticks) => {
                ticks.tick().await;
            }
            None => pending().await,
        }
    }
}

/// Starts another thread. It ends when its sender is dropped.
fn help(shared: PlainArc<Shared>) -> io::Result<Helper> {
    let (helper, connections) = unbounded_channel();
    let runtime = runtime()?;
    crate::sync::spawn("brooklet-server", move || {
        runtime.block_on(serve_dealt(&shared, connections));
    })?;
    Ok(helper)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn serve_dealt(shared: &PlainArc<Shared>, mut connections: UnboundedReceiver<Dealt>) {
    while let Some((stream, admitted)) = connections.recv().await {
        if let Ok(stream) = TcpStream::from_std(stream) {
            connection::spawn(shared, stream, admitted);
        }
    }
}

/// Takes connections until the server is told to end, and then waits for them to come to their end.
pub(crate) async fn serve(
    shared: &PlainArc<Shared>,
    listener: TcpListener,
    helpers: &[Helper],
    mut ticks: Ticks,
) {
    let mut turn = 0;
    let mut drained = pin!(shared.drained());
    loop {
        tokio::select! {
            () = &mut drained => break,
            () = ticks.next() => shared.connections.look(),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    turn = (turn + 1) % (helpers.len() + 1);
                    deal(shared, stream, helpers.get(turn));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => {
                    // There are no more descriptors, or no memory: room has to be made.
                    shared.connections.evict_idle();
                    let _over = timeout(PAUSE, pending::<()>()).await;
                }
            },
        }
    }
    drop(listener);
    shared.connections.finish_all();
    if timeout(shared.settings.grace, all_ended(shared, &mut ticks))
        .await
        .is_err()
    {
        shared.connections.abort_all();
        // They end as soon as they are polled; only a thread that is stuck would take longer.
        let _over = timeout(shared.settings.grace, all_ended(shared, &mut ticks)).await;
    }
}

/// Waits for the last connection; those that are slow are still cut off meanwhile.
async fn all_ended(shared: &PlainArc<Shared>, ticks: &mut Ticks) {
    loop {
        let mut none_left = pin!(shared.connections.none_left.notified());
        none_left.as_mut().enable();
        if shared.connections.count() == 0 {
            return;
        }
        tokio::select! {
            () = none_left => {}
            () = ticks.next() => shared.connections.look(),
        }
    }
}

/// Gives a connection to a helper, or serves it here.
fn deal(shared: &PlainArc<Shared>, stream: TcpStream, helper: Option<&Helper>) {
    let Some(admitted) = shared.connections.admit() else {
        tokio::spawn(connection::turn_away(stream));
        return;
    };
    match helper {
        None => connection::spawn(shared, stream, admitted),
        Some(helper) => {
            if let Ok(stream) = stream.into_std() {
                // The helper lives as long as the sender.
                let _sent = helper.send((stream, admitted));
            }
        }
    }
}

/// Whether an error says something about a connection that broke before it was taken.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
