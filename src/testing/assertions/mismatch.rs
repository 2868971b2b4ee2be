//! What was expected, what came, and where.

use std::fmt::{self, Write};

use similar::{Algorithm, ChangeTag, DiffOp, TextDiff, capture_diff_slices};

use crate::log::Record;

/// So much of the data of a record is shown.
const DATA_CHARS_MAX: usize = 200;
/// So many lines of a difference are shown.
const LINES_MAX: usize = 60;
/// So many equal records are shown beside a difference.
const CONTEXT: usize = 2;
/// Of longer differences the records are compared one by one, at the same place.
const ALIGNED_MAX: usize = 2_000;

/// What differs from what was expected. Its text shows where, with keys and data.
#[derive(Clone, PartialEq, Eq)]
pub struct Mismatch {
    text: String,
}

/// What was expected and what came, to be compared.
pub(super) struct Comparison<'a> {
    /// What they are records of.
    pub(super) name: &'a str,
    /// What came.
    pub(super) records: &'a [Record],
    pub(super) expected_count: usize,
    /// Whether what was expected at the first index is what came at the second.
    pub(super) is_equal: &'a dyn Fn(usize, usize) -> bool,
    pub(super) show_expected: &'a dyn Fn(usize) -> String,
    pub(super) show_came: &'a dyn Fn(usize) -> String,
}

/// Whether the order of records matters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    AsGiven,
    Any,
}

/// The lines of a difference.
struct Lines<'a> {
    of: &'a Comparison<'a>,
    lines: Vec<String>,
    missing: usize,
    unexpected: usize,
}

impl Mismatch {
    /// What is wrong with records, and which they are.
    pub(super) fn of(name: &str, why: &str, records: &[Record]) -> Self {
        let lines = records.iter().enumerate().map(|(index, record)| {
            let shown = show_data(record.data());
            format!("    {index:<5} {shown}  {}", place_of(record))
        });
        let text = format!("{name} {why}; what came:\n{}", listed(lines.collect()));
        Self { text }
    }

    /// What is wrong with one record.
    pub(super) fn of_record(name: &str, why: &str, record: &Record) -> Self {
        let text = format!("{name}: {why}  {}", place_of(record));
        Self { text }
    }

    /// Several in one, if there is any.
    pub(super) fn all(mismatches: Vec<Self>) -> Result<(), Self> {
        if mismatches.is_empty() {
            return Ok(());
        }
        let texts: Vec<_> = mismatches
            .into_iter()
            .map(|mismatch| mismatch.text)
            .collect();
        let text = texts.join("\n");
        Err(Self { text })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mismatch {
    /// As it is displayed, so that a test that returns or unwraps it is readable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Mismatch {}

impl Comparison<'_> {
    /// Checks that what came is what was expected.
    pub(super) fn check(&self, order: Order) -> Result<(), Mismatch> {
        match order {
            Order::AsGiven => self.in_order(),
            Order::Any => self.in_any_order(),
        }
    }

    fn in_order(&self) -> Result<(), Mismatch> {
        let (expected, came) = (self.expected_count, self.records.len());
        let shorter = expected.min(came);
        let before = (0..shorter)
            .take_while(|index| (self.is_equal)(*index, *index))
            .count();
        if before == expected && before == came {
            return Ok(());
        }
        let after = (1..=shorter - before)
            .take_while(|back| (self.is_equal)(expected - back, came - back))
            .count();
        let mut lines = Lines::new(self);
        lines.equal(0, before);
        for op in self.aligned(before, after) {
            lines.op(&op, before);
        }
        lines.equal(came - after, after);
        Err(lines.mismatch("in this order"))
    }

    fn in_any_order(&self) -> Result<(), Mismatch> {
        let mut taken = vec![false; self.records.len()];
        // Nearly always they come in about the order in which they are expected.
        let mut first_free = 0;
        let mut lines = Lines::new(self);
        for expected in 0..self.expected_count {
            let found = (first_free..taken.len())
                .find(|came| !taken[*came] && (self.is_equal)(expected, *came));
            match found {
                Some(came) => taken[came] = true,
                None => lines.missing(expected),
            }
            while taken.get(first_free) == Some(&true) {
                first_free += 1;
            }
        }
        for came in (0..taken.len()).filter(|came| !taken[*came]) {
            lines.unexpected(came);
        }
        if lines.lines.is_empty() {
            return Ok(());
        }
        Err(lines.mismatch("in any order"))
    }

    /// How what was expected becomes what came, between the records that are equal at either end.
    fn aligned(&self, before: usize, after: usize) -> Vec<DiffOp> {
        let expected = self.expected_count - after - before;
        let came = self.records.len() - after - before;
        if expected.max(came) > ALIGNED_MAX {
            return vec![DiffOp::Replace {
                old_index: 0,
                old_len: expected,
                new_index: 0,
                new_len: came,
            }];
        }
        let is_equal = |index: usize, at: usize| (self.is_equal)(before + index, before + at);
        // Equal ones get the same number: that of the first expected one, or one of their own.
        let of_came: Vec<_> = (0..came)
            .map(|at| {
                (0..expected)
                    .find(|index| is_equal(*index, at))
                    .unwrap_or(expected + at)
            })
            .collect();
        let of_expected: Vec<_> = (0..expected)
            .map(|index| {
                let at = (0..came).find(|at| is_equal(index, *at));
                at.map_or(expected + came + index, |at| of_came[at])
            })
            .collect();
        capture_diff_slices(Algorithm::Myers, &of_expected, &of_came)
    }
}

impl<'a> Lines<'a> {
    const fn new(of: &'a Comparison<'a>) -> Self {
        Self {
            of,
            lines: Vec::new(),
            missing: 0,
            unexpected: 0,
        }
    }

    /// One step from what was expected to what came; both begin at `base`.
    fn op(&mut self, op: &DiffOp, base: usize) {
        if let DiffOp::Equal { new_index, len, .. } = *op {
            self.equal(base + new_index, len);
            return;
        }
        let (old, new) = (op.old_range(), op.new_range());
        if old.len() != new.len() {
            old.for_each(|index| self.missing(base + index));
            new.for_each(|index| self.unexpected(base + index));
            return;
        }
        for (index, at) in old.zip(new).map(|(index, at)| (base + index, base + at)) {
            // Beyond what is aligned, a pair may be equal.
            if (self.of.is_equal)(index, at) {
                self.equal(at, 1);
            } else {
                self.changed(index, at);
            }
        }
    }

    /// Records that came as expected; far from a difference they are only counted.
    fn equal(&mut self, from: usize, len: usize) {
        if len <= 2 * CONTEXT + 1 {
            (from..from + len).for_each(|index| self.same(index));
            return;
        }
        (from..from + CONTEXT).for_each(|index| self.same(index));
        self.lines
            .push(format!("    ...   {} as expected", len - 2 * CONTEXT));
        (from + len - CONTEXT..from + len).for_each(|index| self.same(index));
    }

    fn same(&mut self, at: usize) {
        let shown = indented(&(self.of.show_came)(at));
        self.lines.push(format!("    {at:<5} {shown}"));
    }

    fn missing(&mut self, index: usize) {
        self.missing += 1;
        let shown = indented(&(self.of.show_expected)(index));
        self.lines.push(format!("  - {index:<5} {shown}"));
    }

    fn unexpected(&mut self, at: usize) {
        self.unexpected += 1;
        let shown = indented(&(self.of.show_came)(at));
        let place = place_of(&self.of.records[at]);
        self.lines.push(format!("  + {at:<5} {shown}  {place}"));
    }

    /// One record that came instead of another. Of values on many lines it shows those that differ.
    fn changed(&mut self, index: usize, at: usize) {
        let expected = (self.of.show_expected)(index);
        let came = (self.of.show_came)(at);
        if !expected.contains('\n') || !came.contains('\n') {
            self.missing(index);
            self.unexpected(at);
            return;
        }
        self.missing += 1;
        self.unexpected += 1;
        let place = place_of(&self.of.records[at]);
        let mut shown = format!("  ~ {index:<5} {place}");
        for change in TextDiff::from_lines(&expected, &came).iter_all_changes() {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let line = change.value().trim_end_matches('\n');
            let _always_ok = write!(shown, "\n  {sign}       {line}");
        }
        self.lines.push(shown);
    }

    fn mismatch(self, how: &str) -> Mismatch {
        let Self {
            of,
            lines,
            missing,
            unexpected,
        } = self;
        let text = format!(
            "{} are not as expected {how}: {} expected, {} came, {missing} missing (-), \
             {unexpected} not expected (+)\n{}",
            of.name,
            of.expected_count,
            of.records.len(),
            listed(lines),
        );
        Mismatch { text }
    }
}

/// Lines one below the other, as many as one can read.
fn listed(mut lines: Vec<String>) -> String {
    if lines.is_empty() {
        return "    none".to_owned();
    }
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if more > 0 {
        lines.push(format!("    ...   {more} more"));
    }
    lines.join("\n")
}

/// Text whose further lines are below its first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n          ")
}

/// Where a record lies, its key, and when it came.
pub(super) fn place_of(record: &Record) -> String {
    format!(
        "key {:?} in {} at {}, {}",
        record.partition_key(),
        record.shard_id(),
        record.sequence_number(),
        record.approximate_arrival_timestamp(),
    )
}

/// Data as text if it is some, else as numbers.
pub(super) fn show_data(data: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(data) else {
        let bytes: Vec<_> = data
            .iter()
            .take(DATA_CHARS_MAX / 4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let more = if bytes.len() < data.len() { " ..." } else { "" };
        return format!("<{} bytes: {}{more}>", data.len(), bytes.join(" "));
    };
    if text.chars().nth(DATA_CHARS_MAX).is_none() {
        return format!("{text:?}");
    }
    let shown: String = text.chars().take(DATA_CHARS_MAX).collect();
    format!("{shown:?}... ({} bytes)", data.len())
}
