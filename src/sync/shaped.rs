//! Locks of a checker, which have the shape of the standard library's, in the shape of the real ones.

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

use crate::sync::locks;

/// As the one of `parking_lot`: it knows no poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T> {
    inner: locks::Mutex<T>,
}

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    /// Always there but while a [`Condvar`] waits.
    inner: Option<locks::MutexGuard<'a, T>>,
}

/// Those who wait for it wait for each other, as those of any lock do.
pub(crate) use self::Mutex as BriefMutex;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            inner: locks::Mutex::new(value),
        }
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
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
    inner: locks::Condvar,
}

impl Condvar {
    #[track_caller]
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.inner.take().expect("the lock is held");
        let held = self.inner.wait(held);
        guard.inner = Some(held.unwrap_or_else(PoisonError::into_inner));
    }

    /// Time does not pass by itself here: it waits until it is notified.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
        self.wait(guard);
    }

    #[track_caller]
    pub(crate) fn notify_one(&self) {
        self.inner.notify_one();
    }
}
