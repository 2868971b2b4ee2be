//! Reading a capture, line by line, and checking that it makes sense.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, Read};

use crate::hash_key::{HashKey, HashKeyRange};
use crate::limits::{PARTITION_KEY_CHARS_MAX, RECORD_BYTES_MAX, SHARD_COUNT_MAX};
use crate::sequence::SequenceNumber;
use crate::shard_id::ShardId;
use crate::testing::capture::error::CaptureError;
use crate::testing::capture::format::{
    BadLine, CaptureEvent, CaptureHeader, CapturedRecord, CapturedReshard, CapturedShard, End,
    Line, read_header, read_line,
};

/// The longest line: the largest record, each byte of which is written `\u0000`, and what is around.
const LINE_BYTES_MAX: u64 = 6 * RECORD_BYTES_MAX as u64 + 64 * 1024;

/// Reads a capture line by line: an iterator over its events that checks each, and holds one line
/// in memory.
///
/// It ends after the end line, or after the first error.
///
/// ```
/// use brooklet::testing::{CaptureEvent, CaptureReader, capture};
///
/// let stream = brooklet::Stream::new("orders", 2)?;
/// stream.producer().put_record("customer-17", "two teapots")?;
/// let mut file = Vec::new();
/// capture(&stream, &mut file)?;
///
/// let mut reader = CaptureReader::new(&file[..])?;
/// assert_eq!(reader.header().shards.len(), 2);
/// let Some(CaptureEvent::Record(record)) = reader.next().transpose()? else { panic!() };
/// assert_eq!(record.data, "two teapots");
/// assert!(reader.next().is_none());
/// # Ok::<(), brooklet::testing::CaptureError>(())
/// ```
pub struct CaptureReader<R> {
    input: R,
    header: CaptureHeader,
    /// The open shards, with the last number of each.
    open: BTreeMap<ShardId, (HashKeyRange, Option<SequenceNumber>)>,
    last_shard: ShardId,
    records: u64,
    buffer: Vec<u8>,
    /// The line that was read last.
    line: u64,
    end: Option<End>,
    failed: bool,
}

impl<R: BufRead> CaptureReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`]; [`CaptureError::Line`] if it is no header that this version can read;
    /// [`CaptureError::Unfinished`] if there is nothing.
    pub fn new(mut input: R) -> Result<Self, CaptureError> {
        let mut buffer = Vec::new();
        let Some(line) = next_line(&mut input, &mut buffer, 1)? else {
            return Err(CaptureError::Unfinished { line: 1 });
        };
        let cut_off = !line.ends_with(b"\n");
        let header = match read_header(line) {
            Ok(header) => header,
            Err(_) if cut_off => return Err(CaptureError::Unfinished { line: 1 }),
            Err(bad) => return Err(bad_line(1, bad)),
        };
        let last_shard = check_partition(&header.shards).map_err(|bad| bad_line(1, bad))?;
        let shards = header.shards.iter();
        let open: BTreeMap<_, _> = shards
            .map(|shard| (shard.shard_id, (shard.hash_key_range, None)))
            .collect();
        Ok(Self {
            last_shard,
            input,
            header,
            open,
            records: 0,
            buffer,
            line: 1,
            end: None,
            failed: false,
        })
    }

    /// What the capture says of its stream.
    pub const fn header(&self) -> &CaptureHeader {
        &self.header
    }

    /// The line that was read last, counted from 1.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// The end line, once it was read.
    pub(super) const fn end(&self) -> Option<End> {
        self.end
    }

    fn read(&mut self) -> Result<Option<CaptureEvent>, CaptureError> {
        let number = self.line + 1;
        let Some(line) = next_line(&mut self.input, &mut self.buffer, number)? else {
            return Err(CaptureError::Unfinished { line: number });
        };
        let cut_off = !line.ends_with(b"\n");
        self.line = number;
        let bad = |bad| bad_line(number, bad);
        let line = match read_line(line) {
            Ok(line) => line,
            // Half a line, as of a program that was killed.
            Err(_) if cut_off => return Err(CaptureError::Unfinished { line: number }),
            Err(error) => return Err(bad(error)),
        };
        match line {
            Line::Event(event) => {
                self.check(&event).map_err(bad)?;
                Ok(Some(event))
            }
            Line::End(end) => {
                self.check_end(end).map_err(bad)?;
                if next_line(&mut self.input, &mut self.buffer, number + 1)?.is_some() {
                    return Err(bad_line(
                        number + 1,
                        BadLine::whole("nothing may follow the end"),
                    ));
                }
                self.end = Some(end);
                Ok(None)
            }
        }
    }

    fn check(&mut self, event: &CaptureEvent) -> Result<(), BadLine> {
        match event {
            CaptureEvent::Record(record) => self.check_record(record),
            CaptureEvent::Reshard(reshard) => self.check_reshard(reshard),
            CaptureEvent::Missed { shard_id, count } => {
                self.open_shard(*shard_id)?;
                if *count == 0 {
                    return Err(BadLine::whole("no record was missed"));
                }
                Ok(())
            }
        }
    }

    fn check_record(&mut self, record: &CapturedRecord) -> Result<(), BadLine> {
        let chars = record.partition_key.chars().count();
        if !(1..=PARTITION_KEY_CHARS_MAX).contains(&chars) {
            return Err(BadLine::whole(format!(
                "the partition key has {chars} characters, not 1 to {PARTITION_KEY_CHARS_MAX}"
            )));
        }
        if record.data.len() > RECORD_BYTES_MAX {
            return Err(BadLine::whole(format!(
                "the data is over {RECORD_BYTES_MAX} bytes"
            )));
        }
        let (range, last) = self.open_shard(record.shard_id)?;
        let hash_key = || {
            let given = record.explicit_hash_key;
            given.unwrap_or_else(|| HashKey::of(&record.partition_key))
        };
        if *range != HashKeyRange::FULL && !range.contains(hash_key()) {
            return Err(BadLine::whole(format!(
                "the hash key of the record is not one of {}",
                record.shard_id
            )));
        }
        if last.is_some_and(|last| last >= record.sequence_number) {
            return Err(BadLine::whole(format!(
                "the sequence number is not above the last one of {}",
                record.shard_id
            )));
        }
        *last = Some(record.sequence_number);
        self.records += 1;
        Ok(())
    }

    fn check_reshard(&mut self, reshard: &CapturedReshard) -> Result<(), BadLine> {
        let (parents, children) = (&reshard.parents, &reshard.children);
        if !matches!((parents.len(), children.len()), (1, 2) | (2, 1)) {
            return Err(BadLine::whole(
                "a reshard makes two shards of one, or one of two",
            ));
        }
        let mut before = Vec::new();
        for parent in parents {
            before.push(self.open_shard(*parent)?.0);
        }
        let after: Vec<_> = children.iter().map(|child| child.hash_key_range).collect();
        let whole = |ranges: &[HashKeyRange]| match ranges {
            [one] => Some(*one),
            [lower, upper] => lower.joined(*upper),
            _ => None,
        };
        if whole(&before).is_none() || whole(&before) != whole(&after) {
            return Err(BadLine::whole(
                "the shards of a reshard do not have the same hash keys before and after, the \
                 lower one first",
            ));
        }
        for child in children {
            if child.shard_id <= self.last_shard {
                return Err(BadLine::whole(format!(
                    "{} does not come after {}",
                    child.shard_id, self.last_shard
                )));
            }
            self.last_shard = child.shard_id;
        }
        for parent in parents {
            self.open.remove(parent);
        }
        for child in children {
            self.open
                .insert(child.shard_id, (child.hash_key_range, None));
        }
        if self.open.len() > SHARD_COUNT_MAX as usize * 2 {
            return Err(BadLine::whole("there are too many shards"));
        }
        Ok(())
    }

    fn check_end(&self, end: End) -> Result<(), BadLine> {
        if end.records == self.records {
            return Ok(());
        }
        Err(BadLine::whole(format!(
            "the end says {} records, but there are {}",
            end.records, self.records
        )))
    }

    fn open_shard(
        &mut self,
        shard_id: ShardId,
    ) -> Result<&mut (HashKeyRange, Option<SequenceNumber>), BadLine> {
        self.open
            .get_mut(&shard_id)
            .ok_or_else(|| BadLine::whole(format!("{shard_id} is not open here")))
    }
}

impl<R: BufRead> Iterator for CaptureReader<R> {
    type Item = Result<CaptureEvent, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.end.is_some() {
            return None;
        }
        let event = self.read().transpose();
        self.failed = matches!(event, Some(Err(_)));
        event
    }
}

impl<R> fmt::Debug for CaptureReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureReader")
            .field("header", &self.header)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Reads a line with its line break, if it has one; `None` at the end of the input.
fn next_line<'b>(
    input: &mut impl BufRead,
    buffer: &'b mut Vec<u8>,
    line: u64,
) -> Result<Option<&'b [u8]>, CaptureError> {
    buffer.clear();
    let read = input
        .by_ref()
        .take(LINE_BYTES_MAX + 1)
        .read_until(b'\n', buffer)?;
    if read as u64 > LINE_BYTES_MAX {
        let problem = format!("the line is over {LINE_BYTES_MAX} bytes");
        return Err(bad_line(line, BadLine::whole(problem)));
    }
    Ok((read > 0).then_some(buffer))
}

/// Checks that shards have all hash keys, each once, and ids of their own; returns the last of these.
fn check_partition(shards: &[CapturedShard]) -> Result<ShardId, BadLine> {
    if shards.len() > SHARD_COUNT_MAX as usize {
        return Err(BadLine::whole(format!(
            "there are over {SHARD_COUNT_MAX} shards"
        )));
    }
    let mut ranges: Vec<_> = shards.iter().map(|shard| shard.hash_key_range).collect();
    ranges.sort_by_key(|range| range.start());
    let begins = ranges.first().map(|range| range.start()) == Some(HashKey::MIN);
    let ends = ranges.last().map(|range| range.end()) == Some(HashKey::MAX);
    let is_adjacent = |two: &[HashKeyRange]| two[0].is_adjacent_below(two[1]);
    match shards.last() {
        Some(last) if begins && ends && ranges.windows(2).all(is_adjacent) => {
            if shards.is_sorted_by(|one, next| one.shard_id < next.shard_id) {
                Ok(last.shard_id)
            } else {
                Err(BadLine::whole(
                    "the shards are not in the order of their ids",
                ))
            }
        }
        _ => Err(BadLine::whole(
            "the shards do not have all hash keys, each once",
        )),
    }
}

fn bad_line(line: u64, bad: BadLine) -> CaptureError {
    CaptureError::Line {
        line,
        column: bad.column,
        problem: bad.problem,
    }
}
