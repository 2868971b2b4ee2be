//! The limits of a shard, as the contract has them (2.9).

/// Refills at a rate up to a size; counted in thousandths, so that a millisecond's refill is whole.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_second: u128,
    size: u128,
    level: u128,
    last_ms: u64,
}

impl Bucket {
    pub fn new(per_second: u64, size: u64) -> Self {
        let size = u128::from(size) * 1_000;
        Self {
            per_second: u128::from(per_second),
            size,
            level: size,
            last_ms: 0,
        }
    }

    /// What has flowed in since the bucket was last looked at; a clock that steps back adds nothing, and
    /// one that steps back by up to a second is somebody who asked it earlier: the time stays.
    pub fn fill(&mut self, now_ms: u64) {
        if now_ms > self.last_ms {
            let gained = u128::from(now_ms - self.last_ms) * self.per_second;
            self.level = self.size.min(self.level + gained);
        }
        if now_ms >= self.last_ms || self.last_ms - now_ms > 1_000 {
            self.last_ms = now_ms;
        }
    }

    pub fn has(&self, amount: u64) -> bool {
        self.level >= u128::from(amount) * 1_000
    }

    pub fn take(&mut self, amount: u64) {
        self.level -= u128::from(amount) * 1_000;
    }

    pub fn try_one(&mut self, now_ms: u64) -> bool {
        self.fill(now_ms);
        let enough = self.has(1);
        if enough {
            self.take(1);
        }
        enough
    }
}

/// The buckets for writing.
#[derive(Clone, Debug)]
pub struct Writes {
    pub bytes: Bucket,
    pub records: Bucket,
}

impl Writes {
    /// A record goes through if both buckets have enough; otherwise it takes from neither.
    pub fn admits(&mut self, now_ms: u64, bytes: u64) -> bool {
        self.bytes.fill(now_ms);
        self.records.fill(now_ms);
        let admitted = self.bytes.has(bytes) && self.records.has(1);
        if admitted {
            self.bytes.take(bytes);
            self.records.take(1);
        }
        admitted
    }
}

/// The buckets for reading, and until when the shard gives nothing.
#[derive(Clone, Debug)]
pub struct Reads {
    pub calls: Bucket,
    pub iterators: Bucket,
    pub bytes_per_second: u64,
    pub second_ms: u64,
    pub second_bytes: u64,
    pub blocked_until_us: u128,
}

impl Reads {
    pub fn admits(&mut self, now_ms: u64) -> bool {
        u128::from(now_ms) * 1_000 >= self.blocked_until_us && self.calls.try_one(now_ms)
    }

    /// Counts an answer: once a second's total is over the rate, each answer blocks as long as its
    /// bytes take.
    pub fn answered(&mut self, now_ms: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let same_second = now_ms >= self.second_ms && now_ms < self.second_ms + 1_000;
        if !same_second {
            self.second_ms = now_ms;
            self.second_bytes = 0;
        }
        self.second_bytes += bytes;
        if self.second_bytes > self.bytes_per_second {
            let from = self.blocked_until_us.max(u128::from(now_ms) * 1_000);
            let takes = u128::from(bytes) * 1_000_000 / u128::from(self.bytes_per_second);
            self.blocked_until_us = from + takes;
        }
    }
}
