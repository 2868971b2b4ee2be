//! Assertions that read well and explain themselves.
//!
//! What a stream retains is looked at without a trace: no limit is charged, nothing is counted, no fault
//! comes between. Each assertion has a twin that `check`s and returns a [`Mismatch`] instead of a panic,
//! for [`eventually()`].
//!
//! Unlike errors and `Debug` of the crate, a mismatch shows keys and data: that is what it is for.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::log::Record;
use crate::shard_id::ShardId;
use crate::stream::Stream;

mod eventually;
mod mismatch;

pub use eventually::{Eventually, Finding, eventually};
pub use mismatch::Mismatch;

use mismatch::{Comparison, Order, show_data};

/// The records that a stream retains now: shard after shard, parents before their children, those of
/// each shard in order.
///
/// ```
/// use brooklet::Stream;
/// use brooklet::testing::records_of;
///
/// let stream = Stream::new("orders", 4)?;
/// stream.producer().put_record("customer-17", "two teapots")?;
/// stream.producer().put_record("customer-18", "a tray")?;
/// stream.producer().put_record("customer-17", "a cup")?;
///
/// records_of(&stream).of_key("customer-17").assert_data(["two teapots", "a cup"]);
/// records_of(&stream).assert_by_key([
///     ("customer-17", vec!["two teapots", "a cup"]),
///     ("customer-18", vec!["a tray"]),
/// ]);
/// records_of(&stream).assert_count(3);
///
/// let wrong = records_of(&stream).of_key("customer-17").check_data(["a cup"]).unwrap_err();
/// assert!(wrong.to_string().contains("+ 0     \"two teapots\""));
/// # Ok::<(), brooklet::Error>(())
/// ```
pub fn records_of(stream: &Stream) -> StreamRecords {
    let shards = stream.shards();
    let records = shards.iter().flat_map(crate::shard::Shard::retained);
    records_from(&format!("stream {}", stream.name()), records)
}

/// Records from anywhere, as from the batches of a reader; `name` says in a mismatch whose they are.
///
/// ```
/// use brooklet::{StartingPosition, Stream};
/// use brooklet::testing::records_from;
///
/// let stream = Stream::new("orders", 1)?;
/// let mut reader = stream.subscribe(StartingPosition::TrimHorizon)?;
/// stream.producer().put_record("customer-17", "two teapots")?;
/// records_from("the reader", reader.get_records(100)?).assert_data(["two teapots"]);
/// # Ok::<(), brooklet::Error>(())
/// ```
pub fn records_from(name: &str, records: impl IntoIterator<Item = Record>) -> StreamRecords {
    StreamRecords {
        name: format!("records of {name}"),
        records: records.into_iter().collect(),
    }
}

/// Records to be compared with what is expected; see [`records_of`].
#[derive(Clone)]
#[must_use = "nothing is compared until it is asserted"]
pub struct StreamRecords {
    name: String,
    records: Vec<Record>,
}

/// Records whose data is JSON of a type; see [`StreamRecords::json`].
#[must_use = "nothing is compared until it is asserted"]
pub struct JsonRecords<T> {
    records: StreamRecords,
    of: PhantomData<fn() -> T>,
}

impl StreamRecords {
    /// Those with this partition key, which are in the order in which they were put.
    pub fn of_key(mut self, partition_key: &str) -> Self {
        self.records
            .retain(|record| record.partition_key() == partition_key);
        self.name = format!("{}, key {partition_key:?}", self.name);
        self
    }

    /// Those of this shard.
    pub fn of_shard(mut self, shard_id: ShardId) -> Self {
        self.records.retain(|record| record.shard_id() == shard_id);
        self.name = format!("{}, {shard_id}", self.name);
        self
    }

    /// The same, whose data is JSON: it is compared as values of `T`.
    ///
    /// ```
    /// use brooklet::Stream;
    /// use brooklet::testing::records_of;
    ///
    /// #[derive(Debug, PartialEq, serde::Deserialize)]
    /// struct Order {
    ///     item: String,
    ///     count: u32,
    /// }
    ///
    /// let stream = Stream::new("orders", 1)?;
    /// stream.producer().put_record("customer-17", r#"{"item": "teapot", "count": 2}"#)?;
    /// let order = Order { item: "teapot".into(), count: 2 };
    /// records_of(&stream).json::<Order>().assert_eq([order]);
    /// # Ok::<(), brooklet::Error>(())
    /// ```
    pub const fn json<T: DeserializeOwned>(self) -> JsonRecords<T> {
        JsonRecords {
            records: self,
            of: PhantomData,
        }
    }

    /// The records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Checks that their data is this, in this order, and no more.
    ///
    /// # Errors
    ///
    /// The difference.
    pub fn check_data<D: AsRef<[u8]>>(
        &self,
        expected: impl IntoIterator<Item = D>,
    ) -> Result<(), Mismatch> {
        let expected: Vec<_> = expected.into_iter().collect();
        self.against(&expected, Order::AsGiven)
    }

    /// Checks that their data is this, in any order, and no more.
    ///
    /// # Errors
    ///
    /// The difference.
    pub fn check_data_in_any_order<D: AsRef<[u8]>>(
        &self,
        expected: impl IntoIterator<Item = D>,
    ) -> Result<(), Mismatch> {
        let expected: Vec<_> = expected.into_iter().collect();
        self.against(&expected, Order::Any)
    }

    /// Checks that this data is among theirs, in this order, whatever lies between.
    ///
    /// # Errors
    ///
    /// The first that is not, and all that came.
    pub fn check_contains<D: AsRef<[u8]>>(
        &self,
        expected: impl IntoIterator<Item = D>,
    ) -> Result<(), Mismatch> {
        let mut left = self.records.iter();
        for (index, expected) in expected.into_iter().enumerate() {
            let expected = expected.as_ref();
            if !left.any(|record| record.data() == expected) {
                let shown = show_data(expected);
                let why = format!("do not contain {shown}, at index {index} of what was expected");
                return Err(Mismatch::of(&self.name, &why, &self.records));
            }
        }
        Ok(())
    }

    /// Checks the data of each key, in order: no more of each, and no other key.
    ///
    /// # Errors
    ///
    /// The difference for each key that has one.
    pub fn check_by_key<'k, D: AsRef<[u8]>>(
        &self,
        expected: impl IntoIterator<Item = (&'k str, impl IntoIterator<Item = D>)>,
    ) -> Result<(), Mismatch> {
        let mut by_key: BTreeMap<&str, Vec<D>> = BTreeMap::new();
        for (key, data) in expected {
            by_key.entry(key).or_default().extend(data);
        }
        for record in &self.records {
            by_key.entry(record.partition_key()).or_default();
        }
        let differences = by_key
            .into_iter()
            .filter_map(|(key, expected)| self.clone().of_key(key).check_data(expected).err());
        Mismatch::all(differences.collect())
    }

    /// Checks how many they are.
    ///
    /// # Errors
    ///
    /// All that came.
    pub fn check_count(&self, count: usize) -> Result<(), Mismatch> {
        if self.records.len() == count {
            return Ok(());
        }
        let why = format!("are {}, not {count}", self.records.len());
        Err(Mismatch::of(&self.name, &why, &self.records))
    }

    /// As [`check_data`](Self::check_data).
    ///
    /// # Panics
    ///
    /// With the difference.
    #[track_caller]
    pub fn assert_data<D: AsRef<[u8]>>(&self, expected: impl IntoIterator<Item = D>) {
        require(self.check_data(expected));
    }

    /// As [`check_data_in_any_order`](Self::check_data_in_any_order).
    ///
    /// # Panics
    ///
    /// With the difference.
    #[track_caller]
    pub fn assert_data_in_any_order<D: AsRef<[u8]>>(&self, expected: impl IntoIterator<Item = D>) {
        require(self.check_data_in_any_order(expected));
    }

    /// As [`check_contains`](Self::check_contains).
    ///
    /// # Panics
    ///
    /// With the first that is not there, and all that came.
    #[track_caller]
    pub fn assert_contains<D: AsRef<[u8]>>(&self, expected: impl IntoIterator<Item = D>) {
        require(self.check_contains(expected));
    }

    /// As [`check_by_key`](Self::check_by_key).
    ///
    /// # Panics
    ///
    /// With the difference for each key that has one.
    #[track_caller]
    pub fn assert_by_key<'k, D: AsRef<[u8]>>(
        &self,
        expected: impl IntoIterator<Item = (&'k str, impl IntoIterator<Item = D>)>,
    ) {
        require(self.check_by_key(expected));
    }

    /// As [`check_count`](Self::check_count).
    ///
    /// # Panics
    ///
    /// With all that came.
    #[track_caller]
    pub fn assert_count(&self, count: usize) {
        require(self.check_count(count));
    }

    /// Checks that there is none.
    ///
    /// # Panics
    ///
    /// With all that came.
    #[track_caller]
    pub fn assert_none(&self) {
        require(self.check_count(0));
    }

    /// Compares their data with what is expected.
    fn against<D: AsRef<[u8]>>(&self, expected: &[D], order: Order) -> Result<(), Mismatch> {
        let comparison = Comparison {
            name: &self.name,
            records: &self.records,
            expected_count: expected.len(),
            is_equal: &|index, came| expected[index].as_ref() == &self.records[came].data()[..],
            show_expected: &|index| show_data(expected[index].as_ref()),
            show_came: &|came| show_data(self.records[came].data()),
        };
        comparison.check(order)
    }
}

impl<T: DeserializeOwned + PartialEq + Debug> JsonRecords<T> {
    /// Those with this partition key, which are in the order in which they were put.
    pub fn of_key(mut self, partition_key: &str) -> Self {
        self.records = self.records.of_key(partition_key);
        self
    }

    /// Those of this shard.
    pub fn of_shard(mut self, shard_id: ShardId) -> Self {
        self.records = self.records.of_shard(shard_id);
        self
    }

    /// Their values.
    ///
    /// # Errors
    ///
    /// The first record that is not JSON of a `T`.
    pub fn values(&self) -> Result<Vec<T>, Mismatch> {
        let records = self.records.records.iter();
        let values = records.map(|record| {
            value_of(record).map_err(|why| Mismatch::of_record(&self.records.name, &why, record))
        });
        values.collect()
    }

    /// Checks that they are these values, in this order, and no more. What is not JSON of a `T` is equal
    /// to nothing, and shown with the reason.
    ///
    /// # Errors
    ///
    /// The difference.
    pub fn check_eq(&self, expected: impl IntoIterator<Item = T>) -> Result<(), Mismatch> {
        self.against(&Vec::from_iter(expected), Order::AsGiven)
    }

    /// Checks that they are these values, in any order, and no more.
    ///
    /// # Errors
    ///
    /// The difference.
    pub fn check_eq_in_any_order(
        &self,
        expected: impl IntoIterator<Item = T>,
    ) -> Result<(), Mismatch> {
        self.against(&Vec::from_iter(expected), Order::Any)
    }

    /// As [`check_eq`](Self::check_eq).
    ///
    /// # Panics
    ///
    /// With the difference.
    #[track_caller]
    pub fn assert_eq(&self, expected: impl IntoIterator<Item = T>) {
        require(self.check_eq(expected));
    }

    /// As [`check_eq_in_any_order`](Self::check_eq_in_any_order).
    ///
    /// # Panics
    ///
    /// With the difference.
    #[track_caller]
    pub fn assert_eq_in_any_order(&self, expected: impl IntoIterator<Item = T>) {
        require(self.check_eq_in_any_order(expected));
    }

    /// Compares their values with what is expected.
    fn against(&self, expected: &[T], order: Order) -> Result<(), Mismatch> {
        let StreamRecords { name, records } = &self.records;
        let came: Vec<Result<T, _>> = records.iter().map(value_of).collect();
        let comparison = Comparison {
            name,
            records,
            expected_count: expected.len(),
            is_equal: &|index, at| came[at].as_ref().is_ok_and(|came| *came == expected[index]),
            show_expected: &|index| show_value(&expected[index]),
            show_came: &|at| match &came[at] {
                Ok(value) => show_value(value),
                Err(why) => why.clone(),
            },
        };
        comparison.check(order)
    }
}

impl fmt::Debug for StreamRecords {
    /// Shows no data and no key, as little as the records do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRecords")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for JsonRecords<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonRecords")
            .field("records", &self.records.records)
            .finish_non_exhaustive()
    }
}

/// The value of a record, or why it has none.
fn value_of<T: DeserializeOwned>(record: &Record) -> Result<T, String> {
    serde_json::from_slice(record.data()).map_err(|error| {
        let shown = show_data(record.data());
        format!("not a {}: {error}: {shown}", std::any::type_name::<T>())
    })
}

/// A value on one line if it is short, else on many.
fn show_value(value: &impl Debug) -> String {
    const SHORT_CHARS: usize = 100;
    let short = format!("{value:?}");
    if short.chars().count() <= SHORT_CHARS {
        short
    } else {
        format!("{value:#?}")
    }
}

#[track_caller]
fn require(checked: Result<(), Mismatch>) {
    if let Err(mismatch) = checked {
        panic!("{mismatch}");
    }
}
