//! Saying when a fault comes, and which.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::limits::SHARD_COUNT_MAX;
use crate::shard_id::ShardId;
use crate::stream::Stream;
use crate::sync::PlainArc;
use crate::testing::faults::action::Action;
use crate::testing::faults::rule::{Filter, Occurrence, Rule};
use crate::testing::faults::{Call, Fault, FaultPlan, FaultRule};

/// A rule that is being made: which calls `C`, which of them, and at last the fault.
///
/// ```
/// use brooklet::testing::FaultPlan;
/// use brooklet::ShardId;
///
/// let faults = FaultPlan::new();
/// let shard_2 = ShardId::new(2).unwrap();
/// faults.on_put().next(3).throttle();
/// faults.on_put_records().nth(1).entries([3, 7]).fail();
/// faults.on_get_records().shard(shard_2).nth(3).split_shard();
/// faults.on_get_records().at_random(0.01).expire_iterator();
/// # assert_eq!(faults.injected_count(), 0);
/// ```
///
/// Without a word on which of them, it is every one.
#[must_use = "nothing is done until a fault is named"]
pub struct When<C> {
    plan: FaultPlan,
    filter: Filter,
    occurrence: Occurrence,
    entries: Option<BTreeSet<usize>>,
    calls: PhantomData<C>,
}

/// Records that are put.
#[derive(Debug)]
#[non_exhaustive]
pub enum Puts {}
/// Calls that put many records.
#[derive(Debug)]
#[non_exhaustive]
pub enum Batches {}
/// Iterators that are made.
#[derive(Debug)]
#[non_exhaustive]
pub enum Iterators {}
/// Reads of a shard.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reads {}
/// Readers that are about to wait.
#[derive(Debug)]
#[non_exhaustive]
pub enum Waits {}

mod sealed {
    #[expect(unnameable_types, reason = "nobody else is to make up calls")]
    pub trait Sealed {}
}

/// The calls that a rule can be about.
pub trait Calls: sealed::Sealed {}
/// Calls that are of one shard.
pub trait OfOneShard: Calls {}
/// Calls that are answered.
pub trait Answered: Calls {}

macro_rules! calls {
    ($($calls:ident: $($also:ident),*;)*) => {
        $(
            impl sealed::Sealed for $calls {}
            impl Calls for $calls {}
            $(impl $also for $calls {})*
        )*
    };
}

calls! {
    Puts: OfOneShard, Answered;
    Batches: Answered;
    Iterators: OfOneShard, Answered;
    Reads: OfOneShard, Answered;
    Waits: ;
}

/// Which of the calls.
impl<C: Calls> When<C> {
    pub(super) fn new(plan: &FaultPlan, call: Call) -> Self {
        Self {
            plan: plan.clone(),
            filter: Filter {
                call,
                stream: None,
                shard_id: None,
                key: None,
            },
            occurrence: Occurrence::Always,
            entries: None,
            calls: PhantomData,
        }
    }

    /// Only calls to the stream of this name.
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.filter.stream = Some(name.into());
        self
    }

    /// Only the one with this number among them, the first being 1, counted from now on.
    ///
    /// # Panics
    ///
    /// With 0.
    #[track_caller]
    pub fn nth(mut self, nth: u64) -> Self {
        assert!(nth > 0, "calls are counted from 1");
        self.occurrence = Occurrence::Nth(nth);
        self
    }

    /// Only the next so many.
    pub fn next(mut self, count: u64) -> Self {
        self.occurrence = Occurrence::Next(count);
        self
    }

    /// Only each one whose number, counted from now on, is a multiple of this.
    ///
    /// # Panics
    ///
    /// With 0.
    #[track_caller]
    pub fn every(mut self, nth: u64) -> Self {
        assert!(nth > 0, "calls are counted from 1");
        self.occurrence = Occurrence::Every(nth);
        self
    }

    /// Each of them with this probability, from 0 to 1, by the [seed](FaultPlan::seed) of the plan. What
    /// happens to a shard's calls does not depend on what other threads do to other shards.
    ///
    /// # Panics
    ///
    /// With another probability; if `BROOKLET_SEED` is set to what is no number.
    #[track_caller]
    pub fn at_random(mut self, probability: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&probability),
            "a probability is 0 to 1, not {probability}"
        );
        self.plan.plan.seed.announce();
        self.occurrence = Occurrence::Random(probability);
        self
    }
}

/// What is done to them.
impl<C: Calls> When<C> {
    /// They fail with [`Error::InternalFailure`](crate::Error::InternalFailure) and do nothing. Entries of
    /// a `put_records` are answered so one by one.
    pub fn fail(self) -> FaultRule {
        self.add(Fault::Fail, None)
    }

    /// They are answered late: see [`FaultPlan`] for how the time passes. Until then they keep their
    /// thread, also in a future.
    pub fn answer_late(self, delay: Duration) -> FaultRule {
        self.add(Fault::AnswerLate(delay), None)
    }

    /// Before them, their shard is split in the middle of its hash keys. (Of a `put_records`, the shard of
    /// the first record.) In a [registry with a delay](crate::RegistryBuilder::state_delay) that is asked for,
    /// and takes effect later, as do the next two.
    pub fn split_shard(self) -> FaultRule {
        self.add(Fault::SplitShard, Some(Action::SplitShard))
    }

    /// Before them, their shard is merged with the one above, or with the one below if there is none.
    pub fn merge_shard(self) -> FaultRule {
        self.add(Fault::MergeShard, Some(Action::MergeShard))
    }

    /// Before them, the stream is given so many shards.
    ///
    /// # Panics
    ///
    /// Unless 1 to 10,000.
    #[track_caller]
    pub fn update_shard_count(self, count: u32) -> FaultRule {
        let valid = NonZeroU32::new(count).filter(|count| count.get() <= SHARD_COUNT_MAX);
        let Some(count) = valid else {
            panic!("a shard count is 1 to {SHARD_COUNT_MAX}, not {count}");
        };
        self.add(
            Fault::UpdateShardCount(count.get()),
            Some(Action::UpdateShardCount(count)),
        )
    }

    /// Before them, the stream is [closed](Stream::close).
    pub fn close_stream(self) -> FaultRule {
        self.add(Fault::CloseStream, Some(Action::CloseStream))
    }

    /// Before them, your own code runs, on the thread that calls and with no lock held. It may do anything
    /// to the stream; rules do not see the calls that it makes. `name` is for reports.
    pub fn run(
        self,
        name: impl Into<String>,
        run: impl Fn(&Stream) + Send + Sync + 'static,
    ) -> FaultRule {
        let run = Action::Run(PlainArc::new(run));
        self.add(Fault::Run(name.into()), Some(run))
    }

    fn add(self, fault: Fault, action: Option<Action>) -> FaultRule {
        let Self {
            plan,
            filter,
            occurrence,
            entries,
            ..
        } = self;
        plan.add(|id| Rule::new(id, (filter, occurrence), entries, (fault, action)))
    }
}

impl<C: OfOneShard> When<C> {
    /// Only calls that are of this shard.
    pub fn shard(mut self, shard_id: ShardId) -> Self {
        self.filter.shard_id = Some(shard_id);
        self
    }
}

impl<C: Answered> When<C> {
    /// They are refused as if the shard's limits were reached, with
    /// [`Error::WriteThrottled`](crate::Error::WriteThrottled) or
    /// [`Error::ReadThrottled`](crate::Error::ReadThrottled). Of a `put_records` each record is.
    pub fn throttle(self) -> FaultRule {
        self.add(Fault::Throttle, None)
    }

    /// They do their work, and fail with
    /// [`Error::InternalFailure`](crate::Error::InternalFailure) all the same: a record is accepted, and
    /// whoever puts it again puts it twice. A read that is lost so leaves the reader where it was.
    pub fn drop_answer(self) -> FaultRule {
        self.add(Fault::DropAnswer, None)
    }
}

impl When<Puts> {
    /// Only records with this key.
    pub fn partition_key(mut self, partition_key: impl Into<String>) -> Self {
        self.filter.key = Some(partition_key.into());
        self
    }
}

impl When<Batches> {
    /// Only these entries of the call, the first being 0. A call with fewer is left alone as far as it
    /// has none of them. Faults that are not an answer are done once a call, whatever the entries.
    pub fn entries(mut self, entries: impl IntoIterator<Item = usize>) -> Self {
        self.entries = Some(entries.into_iter().collect());
        self
    }
}

impl When<Reads> {
    /// They fail with [`Error::IteratorExpired`](crate::Error::IteratorExpired), and so does every further
    /// read by the same iterator, until another is taken at its
    /// [position](crate::ShardIterator::position). A subscription fails once, and goes on: it takes
    /// another iterator itself.
    pub fn expire_iterator(self) -> FaultRule {
        self.add(Fault::ExpireIterator, None)
    }

    /// Before them, all records of the shard are trimmed but the newest `kept`: a reader that had more to
    /// read learns how many it missed.
    pub fn overrun_reader(self, kept: u64) -> FaultRule {
        self.add(
            Fault::OverrunReader { kept },
            Some(Action::OverrunReader { kept }),
        )
    }
}

impl<C> fmt::Debug for When<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("When")
            .field("filter", &self.filter)
            .field("occurrence", &self.occurrence)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}
