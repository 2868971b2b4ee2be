//! What became of the records of one `put_records`, in little memory.
//!
//! The records that a shard takes under one lock get places one after the other, at one time, in their
//! order. So where they went is said once for all of them, and of each only that it is one of them; if one
//! shard took all, not even that. An answer for each record, of 80 bytes, is made when somebody asks.

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
    /// An answer for each record; none while the first run took the first ones, and none else.
    slots: Vec<Slot>,
    /// How many records the first run took while there were no slots.
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
    /// It is the next record of the run with this index.
    Accepted(u32),
    Refused(u32),
}

/// Writes down the answers of one run.
pub(super) struct Accepting<'a> {
    answers: &'a mut Answers,
    origin: Origin,
    count: usize,
}

impl Answers {
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
            self.slots.reserve_exact(len);
            self.slots.resize(self.in_order, Slot::Accepted(0));
            self.slots.resize(len, Slot::Unanswered);
        }
    }

    /// Answers the record with an index.
    pub(super) fn set(&mut self, index: u32, answer: Answer) {
        self.slots[index as usize] = match answer {
            Ok(PutRecordOutput { origin, appended }) => {
                self.runs.push(Run {
                    origin,
                    first: appended,
                });
                Slot::Accepted(small(self.runs.len() - 1))
            }
            Err(error) => self.refusal(error),
        };
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len().max(self.in_order)
    }

    /// The answer of each record.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<PutRecordOutput, &Error>> {
        // Of each run, how many records came before.
        let mut ranks = vec![0; self.runs.len()];
        (0..self.len()).map(move |index| {
            let slot = self.slots.get(index).copied();
            match slot.unwrap_or(Slot::Accepted(0)) {
                Slot::Accepted(run) => {
                    let rank = &mut ranks[run as usize];
                    *rank += 1;
                    Ok(self.runs[run as usize].output(*rank - 1))
                }
                Slot::Refused(refusal) => Err(&self.refusals[refusal as usize]),
                Slot::Unanswered => {
                    unreachable!("each record is answered before the answers are shown")
                }
            }
        })
    }

    /// The refused records: the index of each, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (usize, &Error)> {
        let slots = if self.refusals.is_empty() {
            &[]
        } else {
            &*self.slots
        };
        slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match slot {
                Slot::Refused(refusal) => Some((index, &self.refusals[*refusal as usize])),
                Slot::Accepted(_) | Slot::Unanswered => None,
            })
    }

    fn refusal(&mut self, error: Error) -> Slot {
        self.refusals.push(error);
        Slot::Refused(small(self.refusals.len() - 1))
    }
}

impl Accepting<'_> {
    /// The records with these indices, the next ones, were accepted, and the first went there.
    #[inline]
    pub(super) fn accept(&mut self, first: Appended, indices: impl ExactSizeIterator<Item = u32>) {
        if self.count == 0 {
            let origin = self.origin;
            self.answers.runs.push(Run { origin, first });
        }
        let run = self.answers.runs.len() - 1;
        debug_assert_eq!(self.answers.runs[run].appended(self.count), first);
        self.count += indices.len();
        if self.answers.slots.is_empty() {
            self.answers.in_order += indices.len();
            return;
        }
        let slots = &mut self.answers.slots[..];
        for index in indices {
            slots[index as usize] = Slot::Accepted(small(run));
        }
    }

    /// The record with an index was refused; there are so many in all.
    #[cold]
    pub(super) fn refuse(&mut self, index: u32, error: Error, len: usize) {
        self.answers.spread(len);
        self.answers.slots[index as usize] = self.answers.refusal(error);
    }
}

impl Run {
    fn output(&self, rank: usize) -> PutRecordOutput {
        PutRecordOutput::new(self.origin, self.appended(rank))
    }

    const fn appended(&self, rank: usize) -> Appended {
        let Appended { place, arrival_ms } = self.first;
        Appended {
            place: place.saturating_add(rank as u64),
            arrival_ms,
        }
    }
}

/// A number of records of one batch, or the index of one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "entries of more than 2^32 records do not fit the memory of any machine"
)]
pub(super) const fn small(count: usize) -> u32 {
    count as u32
}
