//! Partition keys: what decides which shard takes a record.

use std::fmt;

use crate::error::Error;
use crate::hash_key::HashKey;
use crate::limits::PARTITION_KEY_CHARS_MAX;
use crate::sync::PlainArc;

/// A partition key that was checked and hashed once, to be used for many records.
///
/// Hashing a key (MD5) costs about twice the rest of a put. Clones are cheap.
///
/// ```
/// use brooklet::{PartitionKey, Stream};
///
/// let stream = Stream::new("orders", 4)?;
/// let producer = stream.producer();
/// let key = PartitionKey::new("customer-17")?;
/// for order in ["first", "second"] {
///     producer.put_record(&key, order)?;
/// }
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    text: PlainArc<str>,
    hash_key: HashKey,
}

impl PartitionKey {
    /// Checks and hashes a key.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidPartitionKey`] for an empty key or one of over 256 Unicode characters.
    pub fn new(text: impl Into<PlainArc<str>>) -> Result<Self, Error> {
        let text = text.into();
        check_partition_key(&text)?;
        let hash_key = HashKey::of(&text);
        Ok(Self { text, hash_key })
    }

    /// The key as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The MD5 of the key, which decides on the shard.
    pub const fn hash_key(&self) -> HashKey {
        self.hash_key
    }

    #[inline]
    pub(crate) const fn as_hash_key(&self) -> &HashKey {
        &self.hash_key
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionKey")
            .field("hash_key", &self.hash_key)
            .finish_non_exhaustive()
    }
}

/// What a put takes as a partition key: text, or a [`PartitionKey`] that is hashed already.
///
/// Implemented for `str`, `String`, `PartitionKey` and references to them; not meant for others.
pub trait AsPartitionKey: sealed::Sealed {
    /// The key as text.
    fn partition_key(&self) -> &str;

    /// The key's hash, and with it the promise that it was checked; `None` for plain text.
    fn known_hash_key(&self) -> Option<HashKey> {
        None
    }
}

impl AsPartitionKey for str {
    fn partition_key(&self) -> &str {
        self
    }
}

impl AsPartitionKey for String {
    fn partition_key(&self) -> &str {
        self
    }
}

impl AsPartitionKey for PartitionKey {
    fn partition_key(&self) -> &str {
        &self.text
    }

    fn known_hash_key(&self) -> Option<HashKey> {
        Some(self.hash_key)
    }
}

impl<K: AsPartitionKey + ?Sized> AsPartitionKey for &K {
    fn partition_key(&self) -> &str {
        (**self).partition_key()
    }

    fn known_hash_key(&self) -> Option<HashKey> {
        (**self).known_hash_key()
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to implement the trait")]
    pub trait Sealed {}
    impl Sealed for str {}
    impl Sealed for String {}
    impl Sealed for super::PartitionKey {}
    impl<K: Sealed + ?Sized> Sealed for &K {}
}

/// Checks a key's length: 1 to 256 Unicode characters, whatever their bytes.
#[inline]
pub(crate) fn check_partition_key(key: &str) -> Result<(), Error> {
    if is_short(key) {
        return Ok(());
    }
    let chars = key.chars().count();
    if (1..=PARTITION_KEY_CHARS_MAX).contains(&chars) {
        return Ok(());
    }
    Err(Error::InvalidPartitionKey { chars })
}

/// Whether a key is valid without counting its characters, the usual case: it has so few bytes that
/// it has no more characters than it may.
#[inline]
pub(crate) fn is_short(key: &str) -> bool {
    (1..=PARTITION_KEY_CHARS_MAX).contains(&key.len())
}
