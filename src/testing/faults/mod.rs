//! Faults, scripted and seeded.
//!
//! ```text
//!   FaultPlan ── rules: which calls ── which of them ── the fault      (the script)
//!      │
//!      └──────── injected: what was done to which call, in order      (what happened)
//! ```
//!
//! # Promises, and how they could break
//!
//! 1. **A fault comes exactly where it was asked for.** Each rule counts the calls that it is about,
//!    under the plan's lock, and decides there.
//! 2. **A seed gives the same faults again**, whatever other threads do to other shards: a draw depends
//!    on the seed, the rule, the shard, and how many such calls the shard had before; on nothing else.
//! 3. **Nothing runs under the plan's lock** but the plan itself: streams are resharded, and user code
//!    runs, after it was decided, by the thread that made the call.
//! 4. **A fault causes no fault**: calls that its action makes are not asked about.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::Duration;

use crate::clock::{Clock, Parker, Timestamp};
use crate::error::Error;
use crate::registry::RegistryBuilder;
use crate::shard::{Hooks, Shard, Verdict};
use crate::stream::StreamBuilder;
use crate::sync::{AtomicBool, Mutex, Ordering, PlainArc, thread_local};

mod action;
mod rule;
mod seed;
mod when;

pub use rule::{Call, Fault, FaultRule, Injected};
pub use when::{Answered, Batches, Calls, Iterators, OfOneShard, Puts, Reads, Waits, When};

use action::Action;
use rule::{Asked, Rule, RuleId};
use seed::Seed;

/// Of so many faults the details are kept, the newest.
const INJECTED_MAX: usize = 100_000;

/// Says which calls to a stream fail, and how; remembers which did.
///
/// A handle; clones are the same plan. Give it to the [builder](StreamBuilder::faults) of a stream, or
/// to [that of a registry](RegistryBuilder::faults) for all streams that are made in it. The faults are
/// made in the engine: whoever calls the stream sees them, by whichever door. Rules may be added and
/// stopped at any time; the plan goes on while its streams live, though the handle is dropped.
///
/// ```
/// use brooklet::testing::FaultPlan;
/// use brooklet::{Error, Stream};
///
/// let faults = FaultPlan::new();
/// let stream = Stream::builder("orders").faults(&faults).build()?;
/// let refused = faults.on_put().nth(2).throttle();
///
/// let producer = stream.producer();
/// producer.put_record("customer-17", "first")?;
/// let error = producer.put_record("customer-17", "second").unwrap_err();
/// assert!(matches!(error, Error::WriteThrottled { .. }));
/// producer.put_record("customer-17", "second")?;
/// refused.assert_injected(1);
/// # Ok::<(), Error>(())
/// ```
///
/// # Which rule decides
///
/// Every rule counts the calls that it is about, from when it was made. Of several that would give one
/// call an answer, the first made does; the others let it pass. What they do beside that (answer late,
/// reshard) they all do, before the call, in the order in which they were made.
///
/// # A late answer
///
/// is given when the time has passed on the stream's clock, after the call has done its work. On a
/// [`ManualClock`](crate::ManualClock) the call itself lets the time pass ([`Clock::pass`]), so that a
/// test of one thread goes on; see [`late_answers_wait`](Self::late_answers_wait).
#[derive(Clone)]
pub struct FaultPlan {
    plan: PlainArc<Plan>,
}

struct Plan {
    seed: Seed,
    late_answers_wait: AtomicBool,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    injected: VecDeque<Injected>,
    injected_count: u64,
}

thread_local! {
    /// Whether this thread is in the middle of a fault's action.
    static IN_ACTION: Cell<bool> = const { Cell::new(false) };
}

impl FaultPlan {
    /// A plan without a rule. What it does at random comes of the seed in the environment variable
    /// `BROOKLET_SEED`, or of a new one; it is printed to the standard error, which a failing test shows.
    pub fn new() -> Self {
        Self::of(Seed::from_environment())
    }

    /// A plan without a rule, whose random faults come of this seed.
    pub fn with_seed(seed: u64) -> Self {
        Self::of(Seed::given(seed))
    }

    fn of(seed: Seed) -> Self {
        let plan = Plan {
            seed,
            late_answers_wait: AtomicBool::new(false),
            script: Mutex::default(),
        };
        Self {
            plan: PlainArc::new(plan),
        }
    }

    /// Has late answers wait until somebody else turns the [`ManualClock`](crate::ManualClock), for
    /// tests of several threads. Unless set, a call with a late answer turns the clock itself.
    #[must_use]
    pub fn late_answers_wait(self) -> Self {
        self.plan.late_answers_wait.store(true, Ordering::Relaxed);
        self
    }

    /// The seed of its random faults.
    ///
    /// # Panics
    ///
    /// If `BROOKLET_SEED` is set to what is no number.
    pub fn seed(&self) -> u64 {
        self.plan.seed.get()
    }

    /// A rule about records that are put, alone or among others: each is counted.
    pub fn on_put(&self) -> When<Puts> {
        When::new(self, Call::Put)
    }

    /// A rule about calls of `put_records` as a whole, or some [entries](When::entries) of them.
    pub fn on_put_records(&self) -> When<Batches> {
        When::new(self, Call::PutRecords)
    }

    /// A rule about iterators that are made: `Stream::shard_iterator`, `Shard::iterator`, and
    /// `Stream::subscribe_from`, which makes one for each shard.
    pub fn on_get_shard_iterator(&self) -> When<Iterators> {
        When::new(self, Call::GetShardIterator)
    }

    /// A rule about reads of a shard: each pull, be it empty. A reader that waits pulls when it wakes, and
    /// a subscription pulls from the shards that have something to read.
    pub fn on_get_records(&self) -> When<Reads> {
        When::new(self, Call::GetRecords)
    }

    /// A rule about readers that found nothing and are about to wait.
    pub fn on_wait(&self) -> When<Waits> {
        When::new(self, Call::Wait)
    }

    /// What was done to calls so far, in order; of more than 100,000 the newest.
    pub fn injected(&self) -> Vec<Injected> {
        self.plan.script.lock().injected.iter().cloned().collect()
    }

    /// How many faults there were so far.
    pub fn injected_count(&self) -> u64 {
        self.plan.script.lock().injected_count
    }

    /// Ends all rules: nothing more is done to any call. What was injected stays known.
    pub fn stop(&self) {
        for rule in &mut self.plan.script.lock().rules {
            rule.stop();
        }
    }

    /// Checks that the script was played: of each rule with [`nth`](When::nth) or [`next`](When::next)
    /// every fault came, of each without a number at least one. Random ones need not come.
    ///
    /// # Panics
    ///
    /// If not, with all rules and how often each came.
    #[track_caller]
    pub fn assert_all_injected(&self) {
        let done = self.plan.script.lock().rules.iter().all(Rule::is_done);
        assert!(done, "not every fault was injected:\n{}", self.report());
    }

    /// Checks that nothing was done to any call.
    ///
    /// # Panics
    ///
    /// If something was, with all rules and how often each came.
    #[track_caller]
    pub fn assert_none_injected(&self) {
        let none = self.injected_count() == 0;
        assert!(none, "faults were injected:\n{}", self.report());
    }

    /// The rules, with how many calls each has seen and to how many it did something; then what was done.
    pub fn report(&self) -> String {
        /// More would hide the rules.
        const SHOWN_MAX: usize = 20;
        let script = self.plan.script.lock();
        let mut report = String::new();
        for rule in &script.rules {
            let _always_ok = writeln!(report, "  {rule}");
        }
        let shown = script.injected.len().min(SHOWN_MAX);
        if shown < script.injected.len() {
            let _always_ok = writeln!(report, "the last {shown} of {}:", script.injected_count);
        }
        for injected in script.injected.iter().skip(script.injected.len() - shown) {
            let _always_ok = writeln!(report, "  {injected}");
        }
        if script.rules.iter().any(Rule::is_random) {
            let _always_ok = writeln!(report, "BROOKLET_SEED={}", self.plan.seed.get());
        }
        report
    }

    /// Adds a rule.
    fn add(&self, make: impl FnOnce(RuleId) -> Rule) -> FaultRule {
        let mut script = self.plan.script.lock();
        let id = RuleId(script.rules.len());
        script.rules.push(make(id));
        FaultRule::new(self, id)
    }
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.plan.fmt(f)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.script.lock();
        f.debug_struct("FaultPlan")
            .field("rules", &script.rules.len())
            .field("injected", &script.injected_count)
            .finish_non_exhaustive()
    }
}

impl StreamBuilder {
    /// Has the calls to the stream fail as the plan says.
    pub fn faults(self, plan: &FaultPlan) -> Self {
        let hooks: PlainArc<Plan> = PlainArc::clone(&plan.plan);
        self.hooks(hooks)
    }
}

impl RegistryBuilder {
    /// Has the calls to all streams that are made in the registry fail as the plan says, unless a stream
    /// has a plan of its own.
    pub fn faults(self, plan: &FaultPlan) -> Self {
        let hooks: PlainArc<Plan> = PlainArc::clone(&plan.plan);
        self.hooks(hooks)
    }
}

/// A fault that was decided on.
struct Decided {
    rule: RuleId,
    /// Which of the calls that the rule has seen.
    count: u64,
    fault: Fault,
    action: Option<Action>,
    entry: Option<usize>,
}

impl Plan {
    /// Lets the rules decide on a call. Of the faults that answer it at most one is taken, and none if it
    /// `is_answered` already.
    fn decide(&self, asked: &Asked<'_>, is_answered: bool) -> Vec<Decided> {
        let mut decided = Vec::new();
        let mut is_answered = is_answered;
        for rule in &mut self.script.lock().rules {
            if !rule.sees(asked) || !rule.fires(asked, &self.seed) {
                continue;
            }
            if rule.fault.is_answer() && rule.entries.is_none() {
                if is_answered {
                    continue;
                }
                is_answered = true;
            }
            decided.push(rule.decide(asked.entry));
        }
        decided
    }

    /// Does what was decided before the call is carried out, and remembers it.
    fn act(&self, asked: &Asked<'_>, decided: Vec<Decided>) {
        for decided in decided {
            let refused = match &decided.action {
                None => None,
                Some(action) => {
                    let _in_action = InAction::begin();
                    action.run(asked.shard).err()
                }
            };
            let at = asked.shard.settings().now();
            self.remember(asked, at, decided, refused);
        }
    }

    fn remember(&self, asked: &Asked<'_>, at: Timestamp, decided: Decided, refused: Option<Error>) {
        let mut script = self.script.lock();
        let rule = &mut script.rules[decided.rule.0];
        match &refused {
            None => rule.injected_count += 1,
            Some(error) => rule.refused = Some(error.clone()),
        }
        script.injected_count += u64::from(refused.is_none());
        if script.injected.len() == INJECTED_MAX {
            script.injected.pop_front();
        }
        script.injected.push_back(Injected {
            stream: asked.shard.settings().stream.to_string(),
            shard_id: (!asked.all_shards).then(|| asked.shard.id()),
            call: asked.call,
            count: decided.count,
            entry: decided.entry,
            fault: decided.fault,
            at,
            refused,
        });
    }

    /// Decides on a call that is not of several records.
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        if IN_ACTION.get() {
            return Verdict::default();
        }
        let decided = self.decide(asked, false);
        let mut verdict = Verdict::default();
        for decided in &decided {
            apply(&decided.fault, asked, &mut verdict);
        }
        self.act(asked, decided);
        verdict
    }
}

impl Hooks for Plan {
    fn put_record(&self, shard: &Shard, partition_key: &str) -> Verdict {
        self.judge(&Asked {
            key: Some(partition_key),
            ..Asked::new(Call::Put, shard)
        })
    }

    fn put_records(&self, records: &[(&Shard, &str)]) -> (Verdict, Vec<Verdict>) {
        let mut of_each: Vec<_> = records.iter().map(|_| Verdict::default()).collect();
        let mut of_call = Verdict::default();
        if IN_ACTION.get() {
            return (of_call, of_each);
        }
        let record = |entry: usize| Asked {
            key: Some(records[entry].1),
            entry: Some(entry),
            ..Asked::new(Call::Put, records[entry].0)
        };
        let call = Asked::new(Call::PutRecords, records[0].0);
        let mut to_do = Vec::new();
        for mut decided in self.decide(&call, false) {
            // What is no answer is done once for the call.
            let entries = self.entries_of(decided.rule);
            let Some(entries) = entries.filter(|_| decided.fault.is_answer()) else {
                if decided.fault == Fault::Throttle {
                    // As the service does: the call is answered, and each record refused.
                    let free = of_each.iter_mut().enumerate();
                    for (entry, verdict) in free.filter(|(_, verdict)| !verdict.is_answer()) {
                        apply(&decided.fault, &record(entry), verdict);
                    }
                } else {
                    apply(&decided.fault, &call, &mut of_call);
                }
                to_do.push((call, decided));
                continue;
            };
            for entry in entries {
                let Some(verdict) = of_each.get_mut(entry) else {
                    continue;
                };
                if !verdict.is_answer() && !of_call.is_answer() {
                    apply(&decided.fault, &record(entry), verdict);
                    decided.entry = Some(entry);
                    let of_call = Asked {
                        call: Call::PutRecords,
                        ..record(entry)
                    };
                    to_do.push((of_call, decided.again()));
                }
            }
        }
        for (entry, verdict) in of_each.iter_mut().enumerate() {
            let asked = record(entry);
            for decided in self.decide(&asked, verdict.is_answer() || of_call.is_answer()) {
                apply(&decided.fault, &asked, verdict);
                to_do.push((asked, decided));
            }
        }
        for (asked, decided) in to_do {
            self.act(&asked, vec![decided]);
        }
        (of_call, of_each)
    }

    fn get_shard_iterator(&self, shard: &Shard) -> Verdict {
        self.judge(&Asked::new(Call::GetShardIterator, shard))
    }

    fn get_records(&self, shard: &Shard) -> Verdict {
        self.judge(&Asked::new(Call::GetRecords, shard))
    }

    fn wait(&self, shard: &Shard, all: bool) -> Verdict {
        self.judge(&Asked {
            all_shards: all,
            ..Asked::new(Call::Wait, shard)
        })
    }

    fn delay(&self, clock: &dyn Clock, delay: Duration) {
        if !self.late_answers_wait.load(Ordering::Relaxed) {
            clock.pass(delay);
            return;
        }
        let parker = Parker::new();
        let deadline = clock.monotonic().saturating_add(delay);
        while clock.monotonic() < deadline {
            clock.park(&parker, deadline);
        }
    }
}

impl Plan {
    /// The entries of a call that a rule is about; `None`: the call.
    fn entries_of(&self, rule: RuleId) -> Option<Vec<usize>> {
        let script = self.script.lock();
        let entries = script.rules[rule.0].entries.as_ref()?;
        Some(entries.iter().copied().collect())
    }
}

impl Decided {
    /// The same, of another entry.
    fn again(&self) -> Self {
        Self {
            rule: self.rule,
            count: self.count,
            fault: self.fault.clone(),
            action: None,
            entry: self.entry,
        }
    }
}

impl Verdict {
    fn is_answer(&self) -> bool {
        self.refusal.is_some() || self.instead.is_some()
    }
}

/// Writes into a verdict what a fault does to a call itself.
fn apply(fault: &Fault, asked: &Asked<'_>, verdict: &mut Verdict) {
    match fault {
        Fault::Throttle | Fault::Fail | Fault::ExpireIterator => {
            verdict.refusal = Some(asked.error(fault));
        }
        Fault::DropAnswer => verdict.instead = Some(asked.error(fault)),
        Fault::AnswerLate(delay) => verdict.delay = verdict.delay.saturating_add(*delay),
        Fault::SplitShard
        | Fault::MergeShard
        | Fault::UpdateShardCount(_)
        | Fault::OverrunReader { .. }
        | Fault::CloseStream
        | Fault::Run(_) => {}
    }
}

/// While it lives, calls of this thread are not asked about.
struct InAction;

impl InAction {
    fn begin() -> Self {
        IN_ACTION.set(true);
        Self
    }
}

impl Drop for InAction {
    fn drop(&mut self) {
        IN_ACTION.set(false);
    }
}
