//! Calling the user's code so that a panic in it ends the call and nothing else.
//!
//! A crash of a worker is an unwinding that no panic hook sees. A panic of the user's code is caught
//! too; while it is guarded the hook keeps what it says instead of printing it, since a schedule that
//! fails is run many times until it is small. Threads that are not in a simulation print as ever.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::sync::{LazyLock, panicking, thread_local};

thread_local! {
    /// How many guards this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// What the last panic of this thread said.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Why a guarded call did not return.
pub(super) enum Caught {
    /// The worker crashed, because the schedule says so.
    Crash,
    /// The run is over.
    Over,
    /// It panicked.
    Panic(String),
}

/// What is thrown to leave the user's code.
#[derive(Clone, Copy)]
pub(super) enum Leave {
    Crash,
    Over,
}

/// Leaves the user's code, up to the guard that called it.
pub(super) fn leave(why: Leave) -> ! {
    panic::resume_unwind(Box::new(why))
}

pub(super) fn guard<R>(run: impl FnOnce() -> R) -> Result<R, Caught> {
    static HOOK: LazyLock<()> = LazyLock::new(install_hook);
    // The hook cannot be changed by a thread that panics.
    if !panicking() {
        LazyLock::force(&HOOK);
    }
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    DEPTH.set(depth);
    result.map_err(|payload| caught(&*payload))
}

fn caught(payload: &(dyn Any + Send)) -> Caught {
    let said = SAID.take();
    match payload.downcast_ref() {
        Some(Leave::Crash) => Caught::Crash,
        Some(Leave::Over) => Caught::Over,
        None => Caught::Panic(said.unwrap_or_else(|| text_of(payload))),
    }
}

fn install_hook() {
    let outside = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 {
            outside(info);
        } else {
            SAID.set(Some(describe(info)));
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let text = text_of(info.payload());
    match info.location() {
        Some(at) => format!("{text} (at {}:{})", at.file(), at.line()),
        None => text,
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}
