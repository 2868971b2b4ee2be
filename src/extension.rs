//! What floors above keep with a stream or a registry.

use std::any::Any;
use std::fmt;

use crate::sync::{OnceLock, PlainArc};

/// Room for one value of a type that its holder does not know.
///
/// It lives as long as its holder, so that what is said of a stream is gone with the stream.
#[derive(Clone, Default)]
pub(crate) struct Extension(OnceLock<PlainArc<dyn Any + Send + Sync>>);

impl Extension {
    /// With its value.
    pub(crate) fn with<T: Any + Send + Sync>(value: T) -> Self {
        Self(OnceLock::from(PlainArc::new(value) as PlainArc<_>))
    }

    /// The value, made at first use. There is one user of each extension, with one type.
    pub(crate) fn get_or_init<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> &T {
        self.0
            .get_or_init(|| PlainArc::new(make()))
            .downcast_ref()
            .expect("an extension has one user")
    }
}

impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").finish_non_exhaustive()
    }
}
