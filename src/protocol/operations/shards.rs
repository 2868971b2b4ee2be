//! Listing, splitting and merging shards.

use crate::clock::Timestamp;
use crate::hash_key::HashKey;
use crate::limits::SHARD_COUNT_MAX;
use crate::protocol::exception::Exception;
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::paging::{Page, TokenKind, invalid_token};
use crate::protocol::shape::{Input, Member, Shape, Text};
use crate::protocol::shapes::{
    HASH_KEY, LIMIT, NEXT_TOKEN, POSITIVE, SHARD_ID, STREAM_ARN_OPTIONAL, STREAM_NAME,
};
use crate::protocol::value::Value;
use crate::shard::Shard;
use crate::shard_id::ShardId;
use crate::stream::{ShardFilter, Stream};

const SHARD_FILTER: Shape = Shape::Structure {
    name: "ShardFilter",
    members: &[
        Member::required(
            "Type",
            Shape::Text(Text::one_of(&[
                "AFTER_SHARD_ID",
                "AT_TRIM_HORIZON",
                "FROM_TRIM_HORIZON",
                "AT_LATEST",
                "AT_TIMESTAMP",
                "FROM_TIMESTAMP",
            ])),
        ),
        Member::optional("ShardId", SHARD_ID),
        Member::optional("Timestamp", Shape::Timestamp),
    ],
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "ListShards",
        members: &[
            Member::optional("ExclusiveStartShardId", SHARD_ID),
            Member::optional("MaxResults", LIMIT),
            Member::optional("NextToken", NEXT_TOKEN),
            Member::optional("StreamCreationTimestamp", Shape::Timestamp),
            Member::optional("StreamName", crate::protocol::shapes::NAME),
            STREAM_ARN_OPTIONAL,
            Member::optional("ShardFilter", SHARD_FILTER),
        ],
        run: list_shards,
    },
    Operation {
        name: "SplitShard",
        members: &[
            Member::required("NewStartingHashKey", HASH_KEY),
            STREAM_NAME,
            Member::required("ShardToSplit", SHARD_ID),
            STREAM_ARN_OPTIONAL,
        ],
        run: split_shard,
    },
    Operation {
        name: "MergeShards",
        members: &[
            Member::required("ShardToMerge", SHARD_ID),
            Member::required("AdjacentShardToMerge", SHARD_ID),
            STREAM_NAME,
            STREAM_ARN_OPTIONAL,
        ],
        run: merge_shards,
    },
    Operation {
        name: "UpdateShardCount",
        members: &[
            STREAM_NAME,
            Member::required("TargetShardCount", POSITIVE),
            Member::required(
                "ScalingType",
                Shape::Text(Text::one_of(&["UNIFORM_SCALING"])),
            ),
            STREAM_ARN_OPTIONAL,
        ],
        run: update_shard_count,
    },
];

fn list_shards(call: &Call<'_>, input: &Input) -> Outcome {
    /// Shards of one page, at most.
    const PAGE_MAX: usize = 1000;
    let (stream, filter, page) = match input.text("NextToken") {
        Some(token) => continued_list(call, input, token)?,
        None => first_list(call, input)?,
    };
    let after = match &page.after {
        Some(last) => Some(call.shard_id(stream.name(), last)?),
        None => match input.text("ExclusiveStartShardId") {
            Some(text) => Some(call.shard_id(stream.name(), text)?),
            None => None,
        },
    };
    let limit = input
        .count("MaxResults")
        .map_or(PAGE_MAX, |max| max.min(PAGE_MAX));
    let shards = stream
        .list_shards(filter)
        .map_err(|error| call.exception(stream.name(), &error))?;
    let mut left = shards
        .iter()
        .filter(|shard| after.is_none_or(|after: ShardId| shard.id() > after))
        .peekable();
    let listed: Vec<_> = left.by_ref().take(limit).collect();
    let last = listed.last().filter(|_| left.peek().is_some());
    let token = last.map(|last| page.next_token(call, &last.id().to_string()));
    let listed = listed.iter().map(|shard| shard_value(shard));
    Ok(Output::Members(
        Value::structure()
            .with("Shards", Value::list(listed))
            .with_some("NextToken", token),
    ))
}

type List = (Stream, ShardFilter, Page);

/// The first page of a list.
fn first_list(call: &Call<'_>, input: &Input) -> Result<List, Exception> {
    if !input.has("StreamName") && !input.has("StreamARN") {
        return Err(Exception::invalid_argument(
            "Either NextToken or StreamName should be provided.",
        ));
    }
    let stream = call.stream(input)?;
    let created = stream.created().as_secs();
    let is_other = |time: Timestamp| time.as_secs() != created;
    if input
        .timestamp("StreamCreationTimestamp")
        .is_some_and(is_other)
    {
        return Err(call.stream_not_found(stream.name()));
    }
    let (filter, text) = match input.structure("ShardFilter") {
        Some(filter) => filter_of(call, stream.name(), &filter)?,
        None => (ShardFilter::FromTrimHorizon, "FROM_TRIM_HORIZON".to_owned()),
    };
    let scope = scope(call, &stream, &text);
    Ok((stream, filter, Page::first(TokenKind::Shards, &scope)))
}

/// The page that a token asks for: the stream and the filter are those of the page before.
fn continued_list(call: &Call<'_>, input: &Input, token: &str) -> Result<List, Exception> {
    for other in [
        "StreamName",
        "StreamARN",
        "ExclusiveStartShardId",
        "StreamCreationTimestamp",
        "ShardFilter",
    ] {
        if input.has(other) {
            return Err(Exception::invalid_argument(format!(
                "NextToken and {other} cannot be provided together."
            )));
        }
    }
    let page = Page::continued(call, token, TokenKind::Shards)?;
    // Incarnation, filter, name: the first two have no slash.
    let mut parts = page.scope().splitn(3, '/');
    let (_, text, name) = (parts.next(), parts.next(), parts.next());
    let (Some(text), Some(name)) = (text, name) else {
        return Err(invalid_token());
    };
    let stream = call.stream_named(name)?;
    if scope(call, &stream, text) != page.scope() {
        return Err(call.stream_not_found(name));
    }
    let filter = filter_of_text(text).ok_or_else(invalid_token)?;
    Ok((stream, filter, page))
}

/// What a list of shards is of.
fn scope(call: &Call<'_>, stream: &Stream, filter: &str) -> String {
    let incarnation = call.state(stream).incarnation;
    format!("{incarnation}/{filter}/{}", stream.name())
}

/// The filter that a request asks for, and a text for it.
fn filter_of(
    call: &Call<'_>,
    stream: &str,
    filter: &Input,
) -> Result<(ShardFilter, String), Exception> {
    let kind = filter.text("Type").expect("it is required");
    let needs_id = kind == "AFTER_SHARD_ID";
    let needs_time = matches!(kind, "AT_TIMESTAMP" | "FROM_TIMESTAMP");
    for (member, needed) in [("ShardId", needs_id), ("Timestamp", needs_time)] {
        if filter.has(member) != needed {
            let verb = if needed { "must" } else { "can not" };
            return Err(Exception::invalid_argument(format!(
                "{member} {verb} be provided when ShardFilter Type is {kind}."
            )));
        }
    }
    let text = match (filter.text("ShardId"), filter.timestamp("Timestamp")) {
        (Some(id), _) => format!("{kind}:{}", call.shard_id(stream, id)?.index()),
        (_, Some(time)) => format!("{kind}:{}", time.as_millis()),
        _ => kind.to_owned(),
    };
    let filter = filter_of_text(&text).expect("all members are there");
    Ok((filter, text))
}

fn filter_of_text(text: &str) -> Option<ShardFilter> {
    let (kind, number) = text.split_once(':').unwrap_or((text, ""));
    let time = || number.parse().ok().map(Timestamp::from_millis);
    Some(match kind {
        "AFTER_SHARD_ID" => ShardFilter::AfterShardId(ShardId::new(number.parse().ok()?)?),
        "AT_TRIM_HORIZON" => ShardFilter::AtTrimHorizon,
        "FROM_TRIM_HORIZON" => ShardFilter::FromTrimHorizon,
        "AT_LATEST" => ShardFilter::AtLatest,
        "AT_TIMESTAMP" => ShardFilter::AtTimestamp(time()?),
        "FROM_TIMESTAMP" => ShardFilter::FromTimestamp(time()?),
        _ => return None,
    })
}

/// A shard as lists and descriptions have it.
pub(super) fn shard_value(shard: &Shard) -> Value {
    let numbers = Value::structure()
        .with(
            "StartingSequenceNumber",
            shard.starting_sequence_number().to_string(),
        )
        .with_some(
            "EndingSequenceNumber",
            shard
                .ending_sequence_number()
                .map(|number| number.to_string()),
        );
    let text = |id: ShardId| id.to_string();
    Value::structure()
        .with("ShardId", shard.id().to_string())
        .with_some("ParentShardId", shard.parent_shard_id().map(text))
        .with_some(
            "AdjacentParentShardId",
            shard.adjacent_parent_shard_id().map(text),
        )
        .with("HashKeyRange", range_value(shard.hash_key_range()))
        .with("SequenceNumberRange", numbers)
}

/// A range of hash keys, both ends inclusive.
pub(super) fn range_value(range: crate::hash_key::HashKeyRange) -> Value {
    Value::structure()
        .with("StartingHashKey", range.start().to_string())
        .with("EndingHashKey", range.end().to_string())
}

fn split_shard(call: &Call<'_>, input: &Input) -> Outcome {
    let name = call.addressed(input)?;
    let text = input.text("ShardToSplit").expect("it is required");
    let shard_id = call.shard_id(name, text)?;
    let stream = call.reshardable(name)?;
    let shard = stream
        .shard(shard_id)
        .map_err(|_| call.shard_not_found(name, &shard_id.to_string()))?;
    call.check_shard_limit(1)?;
    call.check_provisioned(&stream)?;
    let key = input.text("NewStartingHashKey").expect("it is required");
    let key: HashKey = key.parse().map_err(|_| {
        // Its form is right, so it is over the last key.
        let (range, account) = (shard.hash_key_range(), call.service.account_id());
        Exception::invalid_argument(format!(
            "NewStartingHashKey {key} used in SplitShard() on shard {shard_id} in stream {name} under \
             account {account} is not both greater than one plus the shard's StartingHashKey {} and \
             less than the shard's EndingHashKey {}.",
            range.start(),
            range.end()
        ))
    })?;
    let split = stream.split_shard(shard_id, key);
    split.map_err(|error| call.exception(name, &error))?;
    Ok(Output::Nothing)
}

fn merge_shards(call: &Call<'_>, input: &Input) -> Outcome {
    let name = call.addressed(input)?;
    let id = |member| call.shard_id(name, input.text(member).expect("it is required"));
    let (lower, upper) = (id("ShardToMerge")?, id("AdjacentShardToMerge")?);
    let stream = call.reshardable(name)?;
    for shard_id in [lower, upper] {
        stream
            .shard(shard_id)
            .map_err(|_| call.shard_not_found(name, &shard_id.to_string()))?;
    }
    call.check_provisioned(&stream)?;
    let merged = stream.merge_shards(lower, upper);
    merged.map_err(|error| call.exception(name, &error))?;
    Ok(Output::Nothing)
}

fn update_shard_count(call: &Call<'_>, input: &Input) -> Outcome {
    let name = call.addressed(input)?;
    let stream = call.stream_named(name)?;
    call.check_provisioned(&stream)?;
    let active = stream.check_active();
    active.map_err(|error| call.exception(name, &error))?;
    let current = stream.describe().open_shard_count;
    let target = input.count("TargetShardCount").expect("it is required");
    // The contract, 4.3: how far, how many of one stream, how many of the account, how often.
    let [from, to] = [current, target].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let step = stream.check_shard_count_step(from, to);
    step.map_err(|error| call.exception(name, &error))?;
    if to > SHARD_COUNT_MAX {
        return Err(Exception::limit_exceeded(format!(
            "TargetShardCount {target} is more than {SHARD_COUNT_MAX} shards of one stream."
        )));
    }
    if target > current {
        call.check_shard_limit(target - current)?;
    }
    let changed = stream.update_shard_count(to);
    changed.map_err(|error| call.exception(name, &error))?;
    Ok(Output::Members(
        Value::structure()
            .with("StreamName", name)
            .with("CurrentShardCount", current)
            .with("TargetShardCount", target)
            .with("StreamARN", call.service.stream_arn(name)),
    ))
}

/// The account has no room for so many shards more.
pub(super) fn shard_limit_exceeded(call: &Call<'_>, open: usize, more: usize) -> Exception {
    let (account, region) = (call.service.account_id(), call.service.region());
    let limit = call.service.settings.shard_limit;
    Exception::limit_exceeded(format!(
        "This request would exceed the shard limit for the account {account} in {region}. Current \
         shard count for the account: {open}. Limit: {limit}. Number of additional shards that would \
         have resulted from this request: {more}. Refer to the AWS Service Limits page \
         (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits \
         and how to request higher limits."
    ))
}

impl Call<'_> {
    /// The name of the stream that a request must say.
    pub(super) fn addressed<'i>(&self, input: &'i Input) -> Result<&'i str, Exception> {
        self.stream_name(input)?.ok_or_else(|| {
            Exception::invalid_argument("Either StreamName or StreamARN must be provided.")
        })
    }

    /// A stream that is in a state to be resharded.
    fn reshardable(&self, name: &str) -> Result<Stream, Exception> {
        let stream = self.stream_named(name)?;
        let active = stream.check_active();
        active.map_err(|error| self.exception(name, &error))?;
        Ok(stream)
    }

    fn check_provisioned(&self, stream: &Stream) -> Result<(), Exception> {
        if self.state(stream).attributes().is_on_demand {
            return Err(Exception::validation(format!(
                "Request is invalid. Stream {} under account {} is in On-Demand mode.",
                stream.name(),
                self.service.account_id()
            )));
        }
        Ok(())
    }

    /// Whether the account may have so many open shards more.
    fn check_shard_limit(&self, more: usize) -> Result<(), Exception> {
        let open = self.open_shard_count(&self.streams());
        if open + more > self.service.settings.shard_limit as usize {
            return Err(shard_limit_exceeded(self, open, more));
        }
        Ok(())
    }
}
