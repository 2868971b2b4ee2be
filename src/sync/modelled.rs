//! The primitives of the model checker, in the shape of the real ones.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex as StdMutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use loom::thread::ThreadId;

pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync::Arc;
pub(crate) use loom::thread::yield_now;
pub(crate) use loom::thread_local;

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

/// As the one of `parking_lot`: it knows no poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    inner: loom::sync::Mutex<T>,
}

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    /// Always there but while a [`Condvar`] waits.
    inner: Option<loom::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            inner: loom::sync::Mutex::new(value),
        }
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let inner = self.inner.lock().expect("nobody panics under a lock");
        MutexGuard { inner: Some(inner) }
    }

    #[track_caller]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let inner = self.inner.try_lock().ok()?;
        Some(MutexGuard { inner: Some(inner) })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("the lock is held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("the lock is held")
    }
}

/// As the one of `parking_lot`: it waits with the guard of the caller.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    inner: loom::sync::Condvar,
}

impl Condvar {
    #[track_caller]
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.inner.take().expect("the lock is held");
        let held = self.inner.wait(held).expect("nobody panics under a lock");
        guard.inner = Some(held);
    }

    /// Time does not pass in a model: it waits until it is notified.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
        self.wait(guard);
    }

    #[track_caller]
    pub(crate) fn notify_one(&self) {
        self.inner.notify_one();
    }
}

/// As the one of the standard library, of which the model checker has none: whoever sees that it is
/// set sees all that was done before, and of several who set it at once one does.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicBool,
    setting: Mutex<()>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            is_set: AtomicBool::new(false),
            setting: Mutex::new(()),
        }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock();
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        let _setting = self.setting.lock();
        let value = self.value.get_or_init(init);
        self.is_set.store(true, Ordering::Release);
        value
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if !self.is_set.load(Ordering::Acquire) {
            return None;
        }
        self.value.get()
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.is_set = AtomicBool::new(false);
        self.value.take()
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}
