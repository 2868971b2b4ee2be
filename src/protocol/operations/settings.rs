//! What can be changed of a stream: its mode, its throughput, the size of its records, how they are
//! distributed, and for how long they can be read.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::protocol::exception::Exception;
use crate::protocol::operations::streams::{
    ON_DEMAND_STREAMS_MAX, RECORD_KIB, retention_hours, warm_throughput, warm_throughput_value,
};
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member};
use crate::protocol::shapes::{
    ANY_INTEGER, DISTRIBUTION_STRATEGY, NATURAL, STREAM_ARN, STREAM_ARN_OPTIONAL,
    STREAM_ARN_REQUIRED, STREAM_MODE_DETAILS, STREAM_NAME,
};
use crate::protocol::stream_state::Attributes;
use crate::protocol::value::Value;
use crate::stream::{Stream, StreamStatus};

const RETENTION: &[Member] = &[
    Member::required("RetentionPeriodHours", ANY_INTEGER),
    STREAM_NAME,
    STREAM_ARN_OPTIONAL,
];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "UpdateStreamMode",
        members: &[
            STREAM_ARN_REQUIRED,
            Member::required("StreamModeDetails", STREAM_MODE_DETAILS),
            Member::optional("WarmThroughputMiBps", NATURAL),
        ],
        run: update_stream_mode,
    },
    Operation {
        name: "UpdateStreamWarmThroughput",
        members: &[
            STREAM_ARN_OPTIONAL,
            STREAM_NAME,
            Member::required("WarmThroughputMiBps", NATURAL),
        ],
        run: update_stream_warm_throughput,
    },
    Operation {
        name: "UpdateMaxRecordSize",
        members: &[
            // Not required by the service's model, yet nothing else says which stream.
            Member::unless("", "StreamARN", STREAM_ARN),
            Member::required("MaxRecordSizeInKiB", RECORD_KIB),
        ],
        run: update_max_record_size,
    },
    Operation {
        name: "UpdateStreamRecordDistributionStrategy",
        members: &[
            STREAM_ARN_REQUIRED,
            Member::required("RecordDistributionStrategy", DISTRIBUTION_STRATEGY),
        ],
        run: update_stream_record_distribution_strategy,
    },
    Operation {
        name: "IncreaseStreamRetentionPeriod",
        members: RETENTION,
        run: increase_stream_retention_period,
    },
    Operation {
        name: "DecreaseStreamRetentionPeriod",
        members: RETENTION,
        run: decrease_stream_retention_period,
    },
];

/// How often the mode of a stream may change within 24 hours.
const MODE_CHANGES_PER_DAY: usize = 2;

fn update_stream_mode(call: &Call<'_>, input: &Input) -> Outcome {
    let details = input.structure("StreamModeDetails");
    let details = details.expect("it is required");
    let to_on_demand = details.text("StreamMode") == Some("ON_DEMAND");
    let stream = call.stream(input)?;
    call.check_active(&stream)?;
    let (name, account) = (stream.name(), call.service.account_id());
    let is_changed = call.state(&stream).attributes().is_on_demand != to_on_demand;
    let warm = warm_throughput(call, input, to_on_demand)?;
    if !is_changed && warm.is_some() {
        return Err(Exception::validation(format!(
            "WarmThroughputMiBps is for a change to On-Demand mode, and stream {name} under account \
             {account} is in it."
        )));
    }
    if !is_changed {
        return Ok(Output::Nothing);
    }
    if !to_on_demand && call.has_channels(&stream) {
        return Err(Exception::in_use(format!(
            "Stream {name} under account {account} has active channels."
        )));
    }
    if to_on_demand && call.on_demand_count(&call.streams()) >= ON_DEMAND_STREAMS_MAX {
        return Err(Exception::limit_exceeded(format!(
            "Account {account} has {ON_DEMAND_STREAMS_MAX} streams in On-Demand mode, as many as it \
             may have."
        )));
    }
    call.update(&stream, |attributes| {
        let changes = &mut attributes.mode_changes;
        if !note_within_day(changes, call.now(), MODE_CHANGES_PER_DAY) {
            return Err(Exception::limit_exceeded(format!(
                "The mode of stream {name} under account {account} was changed \
                 {MODE_CHANGES_PER_DAY} times within 24 hours, as often as it may be."
            )));
        }
        attributes.is_on_demand = to_on_demand;
        attributes.warm_throughput_mibps = warm;
        // Only streams on demand distribute their records.
        attributes.is_auto_distributed = false;
        Ok(())
    })?;
    Ok(Output::Nothing)
}

fn update_stream_warm_throughput(call: &Call<'_>, input: &Input) -> Outcome {
    let stream = call.stream(input)?;
    call.check_active(&stream)?;
    let is_on_demand = call.state(&stream).attributes().is_on_demand;
    let warm = warm_throughput(call, input, is_on_demand)?;
    call.update(&stream, |attributes| {
        attributes.warm_throughput_mibps = warm;
        Ok(())
    })?;
    let name = stream.name();
    Ok(Output::Members(
        Value::structure()
            .with("StreamARN", call.service.stream_arn(name))
            .with("StreamName", name)
            .with_some("WarmThroughput", warm.map(warm_throughput_value)),
    ))
}

fn update_max_record_size(call: &Call<'_>, input: &Input) -> Outcome {
    let kib = input.count("MaxRecordSizeInKiB").expect("it is required");
    let stream = call.stream(input)?;
    let set = stream.set_record_bytes_max(kib * 1024);
    set.map_err(|error| call.exception(stream.name(), &error))?;
    Ok(Output::Nothing)
}

fn update_stream_record_distribution_strategy(call: &Call<'_>, input: &Input) -> Outcome {
    let is_auto = input.text("RecordDistributionStrategy") == Some("AUTO");
    let stream = call.stream(input)?;
    call.check_established(&stream)?;
    let mut attributes = call.state(&stream).attributes();
    if is_auto && !attributes.is_on_demand {
        return Err(Exception::invalid_argument(
            "RecordDistributionStrategy AUTO is for streams in On-Demand mode.",
        ));
    }
    attributes.is_auto_distributed = is_auto;
    Ok(Output::Nothing)
}

fn increase_stream_retention_period(call: &Call<'_>, input: &Input) -> Outcome {
    let retention = Retention::of(call, input)?;
    let Retention { hours, present, .. } = retention;
    if hours < present {
        let name = retention.stream.name();
        return Err(Exception::invalid_argument(format!(
            "Requested retention period ({hours} hours) for stream {name} can not be shorter than \
             existing retention period ({present} hours). Use DecreaseRetentionPeriod API."
        )));
    }
    retention.set(call)
}

fn decrease_stream_retention_period(call: &Call<'_>, input: &Input) -> Outcome {
    let retention = Retention::of(call, input)?;
    let Retention { hours, present, .. } = retention;
    if hours > present {
        let name = retention.stream.name();
        return Err(Exception::invalid_argument(format!(
            "Requested retention period ({hours} hours) for stream {name} can not be longer than \
             existing retention period ({present} hours). Use IncreaseRetentionPeriod API."
        )));
    }
    retention.set(call)
}

/// A retention that is asked for, and that is within its bounds.
struct Retention {
    stream: Stream,
    hours: u64,
    /// The hours of now.
    present: u64,
}

impl Retention {
    const HOURS_MIN: i64 = 24;
    const HOURS_MAX: i64 = 8760;

    fn of(call: &Call<'_>, input: &Input) -> Result<Self, Exception> {
        let hours = input.integer("RetentionPeriodHours");
        let hours = hours.expect("it is required");
        let stream = call.stream(input)?;
        call.check_active(&stream)?;
        let bound = |word, bound, fault| {
            Exception::invalid_argument(format!(
                "{word} allowed retention period is {bound} hours. Requested retention period \
                 ({hours} hours) is too {fault}."
            ))
        };
        if hours < Self::HOURS_MIN {
            return Err(bound("Minimum", Self::HOURS_MIN, "short"));
        }
        if hours > Self::HOURS_MAX {
            return Err(bound("Maximum", Self::HOURS_MAX, "long"));
        }
        Ok(Self {
            present: retention_hours(&stream),
            hours: u64::try_from(hours).expect("it is not negative"),
            stream,
        })
    }

    fn set(&self, call: &Call<'_>) -> Outcome {
        if self.hours != self.present {
            let retention = Duration::from_secs(self.hours * 60 * 60);
            let set = self.stream.set_retention(retention);
            set.map_err(|error| call.exception(self.stream.name(), &error))?;
        }
        Ok(Output::Nothing)
    }
}

/// Notes that something is done now, unless it was done so often within the last 24 hours.
pub(super) fn note_within_day(
    times: &mut VecDeque<Timestamp>,
    now: Timestamp,
    times_max: usize,
) -> bool {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    while times
        .front()
        .is_some_and(|time| now.duration_since(*time) >= DAY)
    {
        times.pop_front();
    }
    let is_allowed = times.len() < times_max;
    if is_allowed {
        times.push_back(now);
    }
    is_allowed
}

impl Call<'_> {
    /// Checks that a stream can be changed in any way.
    pub(super) fn check_active(&self, stream: &Stream) -> Result<(), Exception> {
        let active = stream.check_active();
        active.map_err(|error| self.exception(stream.name(), &error))
    }

    /// Checks that a stream is neither being created nor deleted.
    pub(super) fn check_established(&self, stream: &Stream) -> Result<(), Exception> {
        let error = match stream.status_at(self.now()) {
            Some(StreamStatus::Active | StreamStatus::Updating) => return Ok(()),
            Some(status) => Error::StreamNotActive {
                stream: stream.name().to_owned(),
                status: status.as_str(),
            },
            None => Error::StreamNotFound {
                stream: stream.name().to_owned(),
            },
        };
        Err(self.exception(stream.name(), &error))
    }

    /// Changes an ACTIVE stream, which is UPDATING then. The attributes are locked while `change`
    /// checks and sets them; it is called twice.
    pub(super) fn update(
        &self,
        stream: &Stream,
        change: impl Fn(&mut Attributes) -> Result<(), Exception>,
    ) -> Result<(), Exception> {
        let state = self.state(stream);
        // On a copy: a change that is refused does not begin. Only then is it known that no other
        // begins at the same time, and the stream may have been changed in between.
        let mut copy = state.attributes().clone();
        change(&mut copy)?;
        let begun = stream.begin_update();
        begun.map_err(|error| self.exception(stream.name(), &error))?;
        change(&mut state.attributes())
    }
}
