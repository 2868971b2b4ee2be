//! One record to be put, with all that can be said of it.

use std::borrow::Cow;
use std::fmt;

use crate::data::Data;
use crate::hash_key::HashKey;
use crate::partition_key::PartitionKey;
use crate::sequence::SequenceNumber;

/// A record to be put: a partition key and data, and what decides on its shard and its order.
///
/// Pairs of a key and data convert into it.
///
/// ```
/// use brooklet::{HashKey, PutEntry, Stream};
///
/// let producer = Stream::new("orders", 2)?.producer();
/// let to_last_shard = PutEntry::new("customer-17", "a cup").explicit_hash_key(HashKey::MAX);
/// assert_eq!(producer.put_entry(to_last_shard)?.shard_id().index(), 1);
/// # Ok::<(), brooklet::Error>(())
/// ```
#[derive(Clone)]
pub struct PutEntry<'a> {
    /// Two forms only, and where its bytes are is kept alike in both: it is looked at time and again.
    pub(crate) key: Cow<'a, str>,
    pub(crate) data: Data<'a>,
    /// Of a partition key that is hashed already.
    hash_key: Option<&'a HashKey>,
    /// What few entries have lies elsewhere, so that a batch of the others is small.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Copy, Default)]
struct Rare {
    explicit_hash_key: Option<HashKey>,
    ordering: Option<SequenceNumber>,
    #[cfg(feature = "protocol")]
    is_keyless: bool,
}

/// The partition key of an entry.
#[derive(Clone)]
#[non_exhaustive]
pub enum EntryKey<'a> {
    /// Text that the caller keeps.
    Borrowed(&'a str),
    /// Text of its own.
    Owned(String),
    /// A key that is hashed already.
    Hashed(&'a PartitionKey),
}

impl<'a> PutEntry<'a> {
    /// A record with a partition key and data.
    #[inline]
    pub fn new(partition_key: impl Into<EntryKey<'a>>, data: impl Into<Data<'a>>) -> Self {
        let (key, hash_key) = match partition_key.into() {
            EntryKey::Borrowed(key) => (Cow::Borrowed(key), None),
            EntryKey::Owned(key) => (Cow::Owned(key), None),
            EntryKey::Hashed(key) => (Cow::Borrowed(key.as_str()), Some(key.as_hash_key())),
        };
        Self {
            key,
            data: data.into(),
            hash_key,
            rare: None,
        }
    }

    /// Lets this hash key decide on the shard instead of the partition key's.
    #[must_use]
    pub fn explicit_hash_key(mut self, hash_key: HashKey) -> Self {
        self.rare.get_or_insert_default().explicit_hash_key = Some(hash_key);
        self
    }

    /// Asks for a sequence number above that of an earlier put, as `SequenceNumberForOrdering` of
    /// Kinesis. It always is, in the same shard; a number of the future is refused.
    #[must_use]
    pub fn sequence_number_for_ordering(mut self, earlier: SequenceNumber) -> Self {
        self.rare.get_or_insert_default().ordering = Some(earlier);
        self
    }

    /// A record without a partition key, as a stream has them that distributes its records itself.
    #[cfg(feature = "protocol")]
    pub(crate) fn without_key(hash_key: HashKey, data: impl Into<Data<'a>>) -> Self {
        let mut entry = Self::new("", data).explicit_hash_key(hash_key);
        entry.rare.get_or_insert_default().is_keyless = true;
        entry
    }

    /// Whether the partition key is none, and not one that is not valid.
    #[cfg(feature = "protocol")]
    #[inline]
    pub(crate) fn is_keyless(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.is_keyless)
    }

    #[cfg(not(feature = "protocol"))]
    #[inline]
    pub(crate) const fn is_keyless(&self) -> bool {
        false
    }

    /// Key and data, if these are to be copied.
    #[inline]
    pub(crate) fn copied(&self) -> Option<(&str, &[u8])> {
        Some((&self.key, self.data.copied(self.key.len())?))
    }

    /// Whether there is nothing to drop.
    #[inline]
    pub(crate) const fn owns_nothing(&self) -> bool {
        matches!(self.key, Cow::Borrowed(_)) & self.data.is_borrowed() & self.is_plain()
    }

    /// Whether nothing is said of it but key and data.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        self.rare.is_none()
    }

    /// The hash key that decides, unless the partition key has to be hashed.
    #[inline]
    pub(crate) fn known_hash_key(&self) -> Option<&HashKey> {
        let explicit = self
            .rare
            .as_ref()
            .and_then(|rare| rare.explicit_hash_key.as_ref());
        explicit.or(self.hash_key)
    }

    /// The number that the record's is to be above.
    #[inline]
    pub(crate) fn ordering(&self) -> Option<SequenceNumber> {
        self.rare.as_ref().and_then(|rare| rare.ordering)
    }
}

impl fmt::Debug for PutEntry<'_> {
    /// Shows no data and no key: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutEntry")
            .field("data_bytes", &self.data.as_slice().len())
            .field("known_hash_key", &self.known_hash_key())
            .finish_non_exhaustive()
    }
}

impl<'a, K: Into<EntryKey<'a>>, D: Into<Data<'a>>> From<(K, D)> for PutEntry<'a> {
    #[inline]
    fn from((key, data): (K, D)) -> Self {
        Self::new(key, data)
    }
}

impl fmt::Debug for EntryKey<'_> {
    /// Shows no key: it may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryKey").finish_non_exhaustive()
    }
}

impl<'a> From<&'a str> for EntryKey<'a> {
    #[inline]
    fn from(key: &'a str) -> Self {
        Self::Borrowed(key)
    }
}

impl<'a> From<&'a String> for EntryKey<'a> {
    fn from(key: &'a String) -> Self {
        Self::Borrowed(key)
    }
}

impl From<String> for EntryKey<'_> {
    fn from(key: String) -> Self {
        Self::Owned(key)
    }
}

impl<'a> From<&'a PartitionKey> for EntryKey<'a> {
    #[inline]
    fn from(key: &'a PartitionKey) -> Self {
        Self::Hashed(key)
    }
}
