//! Shard-level metrics: which of them are on is kept; none is sent anywhere.

use std::collections::BTreeSet;

use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member, Shape, Text};
use crate::protocol::shapes::{STREAM_ARN_OPTIONAL, STREAM_NAME};
use crate::protocol::stream_state::METRICS;
use crate::protocol::value::Value;

/// All of them at once.
const ALL: &str = "ALL";

const METRIC: Shape = Shape::Text(Text::one_of(&[
    METRICS[0], METRICS[1], METRICS[2], METRICS[3], METRICS[4], METRICS[5], METRICS[6], ALL,
]));

const MEMBERS: &[Member] = &[
    STREAM_NAME,
    Member::required(
        "ShardLevelMetrics",
        Shape::List {
            of: &METRIC,
            min: 1,
            max: METRICS.len(),
        },
    ),
    STREAM_ARN_OPTIONAL,
];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "EnableEnhancedMonitoring",
        members: MEMBERS,
        run: |call, input| set(call, input, |on, asked| on | asked),
    },
    Operation {
        name: "DisableEnhancedMonitoring",
        members: MEMBERS,
        run: |call, input| set(call, input, |on, asked| on - asked),
    },
];

/// Positions in the list of metrics.
type Metrics = BTreeSet<usize>;

fn set(call: &Call<'_>, input: &Input, becomes: fn(&Metrics, &Metrics) -> Metrics) -> Outcome {
    let is_asked = |metric: &str| {
        let mut asked = input.texts("ShardLevelMetrics");
        asked.any(|asked| asked == metric || asked == ALL)
    };
    let asked = (0..METRICS.len()).filter(|index| is_asked(METRICS[*index]));
    let asked: Metrics = asked.collect();
    let stream = call.stream(input)?;
    call.check_established(&stream)?;
    let (before, after) = {
        let mut attributes = call.state(&stream).attributes();
        let after = becomes(&attributes.metrics, &asked);
        (
            std::mem::replace(&mut attributes.metrics, after.clone()),
            after,
        )
    };
    let names = |metrics: &Metrics| Value::list(metrics.iter().map(|index| METRICS[*index]));
    let name = stream.name();
    Ok(Output::Members(
        Value::structure()
            .with("StreamName", name)
            .with("CurrentShardLevelMetrics", names(&before))
            .with("DesiredShardLevelMetrics", names(&after))
            .with("StreamARN", call.service.stream_arn(name)),
    ))
}
