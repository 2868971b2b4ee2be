//! What became of the records of one `put_records`, in little memory.
//!
//! The records that a shard takes under one lock get places one after the other, at one time. So where
//! they went is said once for all of them, and of each only which of them it is; if one shard took all,
//! not even that. An answer for each record, of 80 bytes, is made when somebody asks.

use crate::error::Error;
use crate::producer::PutRecordOutput;
use crate::record::Origin;
use crate::shard::Appended;

/// What became of one record.
pub(super) type Answer = Result<PutRecordOutput, Error>;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    runs: Vec<Run>,
    refusals: Vec<Error>,
    /// An answer for each record; none while the first run took all of them, in their order.
    slots: Vec<Slot>,
    /// How many records have an answer, as far as they were answered in their order.
    in_order: usize,
}

/// Records that one shard took under one lock: where the first one went.
#[derive(Clone, Copy, Debug)]
struct Run {
    origin: Origin,
    first: Appended,
}

/// Names an answer.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Unanswered,
    /// Index of the run, and which record of it.
    Accepted(u32, u32),
    Refused(u32),
}

/// Writes down the answers of one run.
pub(super) struct Accepting<'a> {
    answers: &'a mut Answers,
    origin: Origin,
    count: usize,
}

impl Answers {
    /// How many records have an answer, if they were answered in their order.
    pub(super) const fn in_order(&self) -> usize {
        self.in_order
    }

    /// Begins with a shard under its lock.
    pub(super) const fn accepting(&mut self, origin: Origin) -> Accepting<'_> {
        Accepting {
            answers: self,
            origin,
            count: 0,
        }
    }

    /// From now on, records are answered in any order: so many in all.
    pub(super) fn spread(&mut self, len: usize) {
        if self.slots.is_empty() {
            self.write_down(len);
        }
        self.slots.resize(len, Slot::Unanswered);
    }

    /// Answers the record with an index.
    pub(super) fn set(&mut self, index: usize, answer: Answer) {
        self.slots[index] = match answer {
            Ok(PutRecordOutput { origin, appended }) => {
                self.runs.push(Run {
                    origin,
                    first: appended,
                });
                Slot::Accepted(small(self.runs.len() - 1), 0)
            }
            Err(error) => self.refusal(error),
        };
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len().max(self.in_order)
    }

    /// The answer of each record.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<PutRecordOutput, &Error>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The refused records: the index of each, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (usize, &Error)> {
        // Nothing was written down: there is none.
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| match slot {
            Slot::Refused(refusal) => Some((index, &self.refusals[*refusal as usize])),
            Slot::Accepted(..) | Slot::Unanswered => None,
        })
    }

    fn get(&self, index: usize) -> Result<PutRecordOutput, &Error> {
        let slot = self.slots.get(index).copied();
        match slot.unwrap_or(Slot::Accepted(0, small(index))) {
            Slot::Accepted(run, rank) => Ok(self.runs[run as usize].output(rank)),
            Slot::Refused(refusal) => Err(&self.refusals[refusal as usize]),
            Slot::Unanswered => {
                unreachable!("each record is answered before the answers are shown")
            }
        }
    }

    fn refusal(&mut self, error: Error) -> Slot {
        self.refusals.push(error);
        Slot::Refused(small(self.refusals.len() - 1))
    }

    /// Writes down the answers that were given in order, of records of which there are so many.
    #[cold]
    fn write_down(&mut self, len: usize) {
        self.slots.reserve_exact(len);
        let in_order = 0..small(self.in_order);
        self.slots
            .extend(in_order.map(|rank| Slot::Accepted(0, rank)));
    }
}

impl Accepting<'_> {
    /// The next record was accepted.
    #[inline]
    pub(super) fn push(&mut self, appended: Appended) {
        let slot = self.accept(appended);
        if !self.answers.slots.is_empty() {
            self.answers.slots.push(slot);
        }
        self.answers.in_order += 1;
    }

    /// The next record was refused; there are so many in all.
    #[cold]
    pub(super) fn push_refusal(&mut self, error: Error, len: usize) {
        if self.answers.slots.is_empty() {
            self.answers.write_down(len);
        }
        let slot = self.answers.refusal(error);
        self.answers.slots.push(slot);
        self.answers.in_order += 1;
    }

    /// The record with an index was accepted.
    #[inline]
    pub(super) fn set(&mut self, index: usize, appended: Appended) {
        self.answers.slots[index] = self.accept(appended);
    }

    /// The record with an index was refused.
    #[cold]
    pub(super) fn set_refusal(&mut self, index: usize, error: Error) {
        self.answers.slots[index] = self.answers.refusal(error);
    }

    #[inline]
    fn accept(&mut self, appended: Appended) -> Slot {
        if self.count == 0 {
            self.begin(appended);
        }
        let run = self.answers.runs.len() - 1;
        let rank = small(self.count);
        debug_assert_eq!(self.answers.runs[run].appended(rank), appended);
        self.count += 1;
        Slot::Accepted(small(run), rank)
    }

    #[cold]
    fn begin(&mut self, first: Appended) {
        let origin = self.origin;
        self.answers.runs.push(Run { origin, first });
    }
}

impl Run {
    fn output(&self, rank: u32) -> PutRecordOutput {
        PutRecordOutput::new(self.origin, self.appended(rank))
    }

    const fn appended(&self, rank: u32) -> Appended {
        let Appended { place, arrival_ms } = self.first;
        Appended {
            place: place.saturating_add(rank as u64),
            arrival_ms,
        }
    }
}

/// A number of records of one batch.
#[expect(
    clippy::cast_possible_truncation,
    reason = "entries of more than 2^32 records do not fit the memory of any machine"
)]
const fn small(count: usize) -> u32 {
    count as u32
}
