//! The primitives of the model checker, in the shape of the real ones.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::Ordering;

use loom::thread::ThreadId;

pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync::Arc;
pub(crate) use loom::thread::yield_now;
pub(crate) use loom::thread_local;

pub(super) use loom::sync as locks;

/// The value, if this is its last holder. Of several who ask at once, none may be given it: the last
/// one drops it.
pub(crate) fn into_inner<T>(value: Arc<T>) -> Option<T> {
    Arc::try_unwrap(value).ok()
}

macro_rules! atomics {
    ($($name:ident: $value:ty;)*) => {$(
        #[derive(Debug, Default)]
        pub(crate) struct $name {
            inner: loom::sync::atomic::$name,
            loads: Loads,
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self {
                    inner: loom::sync::atomic::$name::new(value),
                    loads: Loads::default(),
                }
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.loads.note_own();
                self.inner.load(order)
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.loads.run_into_others();
                self.inner.store(value, order);
            }
        }
    )*};
}

atomics! {
    AtomicBool: bool;
    AtomicU64: u64;
    AtomicUsize: usize;
}

impl AtomicU64 {
    #[track_caller]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.loads.run_into_others();
        self.inner.fetch_add(value, order)
    }
}

/// Who has loaded an atomic.
///
/// The model checker tries a store before a load of another thread only if that load was the latest
/// one: if the storing thread itself has loaded the value since, it takes the two for independent.
/// So each thread that loads the value touches a mark of its own, which whoever stores one touches,
/// too. Marks carry nothing from thread to thread.
#[derive(Debug, Default)]
struct Loads {
    marks: [Mark; THREADS_MAX],
    /// Whose the marks are, as far as they are taken.
    owners: StdMutex<Vec<ThreadId>>,
}

type Mark = loom::sync::atomic::AtomicBool;

/// As many threads as a model may have.
const THREADS_MAX: usize = 4;

impl Loads {
    #[track_caller]
    fn note_own(&self) {
        let id = loom::thread::current().id();
        let index = {
            let mut owners = self.owners.lock().expect("nobody panics under it");
            let index = owners.iter().position(|owner| *owner == id);
            index.unwrap_or_else(|| {
                owners.push(id);
                owners.len() - 1
            })
        };
        touch(&self.marks[index]);
    }

    #[track_caller]
    fn run_into_others(&self) {
        let id = loom::thread::current().id();
        let owners = self.owners.lock().expect("nobody panics under it").clone();
        for (owner, mark) in owners.iter().zip(&self.marks) {
            if *owner != id {
                touch(mark);
            }
        }
    }
}

#[track_caller]
fn touch(mark: &Mark) {
    mark.store(true, Ordering::Relaxed);
}
