//! What an account may have, and what it has committed to.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::protocol::account::Commitment;
use crate::protocol::operations::channels::CHANNELS_MAX;
use crate::protocol::operations::streams::ON_DEMAND_STREAMS_MAX;
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape, Text};
use crate::protocol::value::Value;

const COMMITMENT: Shape = Shape::Structure {
    name: "MinimumThroughputBillingCommitmentInput",
    members: &[Member::required(
        "Status",
        Shape::Text(Text::one_of(&["ENABLED", "DISABLED"])),
    )],
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "DescribeLimits",
        members: &[],
        run: describe_limits,
    },
    Operation {
        name: "DescribeAccountSettings",
        members: &[],
        run: describe_account_settings,
    },
    Operation {
        name: "UpdateAccountSettings",
        members: &[Member::required(
            "MinimumThroughputBillingCommitment",
            COMMITMENT,
        )],
        run: update_account_settings,
    },
];

/// For how long a commitment holds at least.
const COMMITMENT_MIN: Duration = Duration::from_secs(24 * 60 * 60);

fn describe_limits(call: &Call<'_>, _: &Input) -> Outcome {
    let streams = call.streams();
    Ok(Output::Members(
        Value::structure()
            .with("ShardLimit", call.service.settings.shard_limit)
            .with("OpenShardCount", call.open_shard_count(&streams))
            .with("OnDemandStreamCount", call.on_demand_count(&streams))
            .with("OnDemandStreamCountLimit", ON_DEMAND_STREAMS_MAX)
            .with("ChannelCount", call.channels().len())
            .with("ChannelCountLimit", CHANNELS_MAX),
    ))
}

fn describe_account_settings(call: &Call<'_>, _: &Input) -> Outcome {
    let commitment = *call.account.commitment.lock();
    Ok(settings(commitment, call.now()))
}

fn update_account_settings(call: &Call<'_>, input: &Input) -> Outcome {
    let asked = input.structure("MinimumThroughputBillingCommitment");
    let asked = asked.expect("it is required");
    let mut commitment = call.account.commitment.lock();
    *commitment = match asked.text("Status") {
        Some("ENABLED") => commitment.enabled(call.now()),
        _ => commitment.disabled(call.now()),
    };
    Ok(settings(*commitment, call.now()))
}

impl Commitment {
    /// As it is once it is asked for: one that was to end does not.
    fn enabled(self, now: Timestamp) -> Self {
        let started = self.started.filter(|_| self.is_enabled(now));
        Self {
            started: Some(started.unwrap_or(now)),
            ended: None,
        }
    }

    /// As it is once it is given up: it ends when it may.
    fn disabled(self, now: Timestamp) -> Self {
        let is_to_end = self.ended.is_some();
        let ended = self.earliest_end().filter(|_| !is_to_end);
        Self {
            ended: ended.map_or(self.ended, |earliest| Some(earliest.max(now))),
            ..self
        }
    }

    fn earliest_end(self) -> Option<Timestamp> {
        self.started
            .map(|started| started.saturating_add(COMMITMENT_MIN))
    }
}

fn settings(commitment: Commitment, now: Timestamp) -> Output {
    let is_enabled = commitment.is_enabled(now);
    let status = match (is_enabled, commitment.ended) {
        (true, None) => "ENABLED",
        (true, Some(_)) => "ENABLED_UNTIL_EARLIEST_ALLOWED_END",
        (false, _) => "DISABLED",
    };
    let earliest_end = commitment.earliest_end().filter(|_| is_enabled);
    let commitment = Value::structure()
        .with("Status", status)
        .with_some("StartedAt", commitment.started)
        .with_some("EndedAt", commitment.ended.filter(|_| !is_enabled))
        .with_some("EarliestAllowedEndAt", earliest_end);
    Output::Members(Value::structure().with("MinimumThroughputBillingCommitment", commitment))
}
