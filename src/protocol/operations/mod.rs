//! The operations: which there are, and how a call gets to one.

use std::cell::OnceCell;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::clock::Timestamp;
use crate::error::Error;
use crate::limits::RECORD_BYTES_DEFAULT;
use crate::protocol::account::Account;
use crate::protocol::body::{Body, EventStream};
use crate::protocol::codec::Encoding;
use crate::protocol::exception::Exception;
use crate::protocol::request_id;
use crate::protocol::shape::{Input, Member, convert, validate};
use crate::protocol::stream_state::StreamState;
use crate::protocol::value::Value;
use crate::protocol::{Service, arn};
use crate::stream::Stream;

mod account_settings;
mod channels;
mod consumers;
mod encryption;
mod iterators;
mod monitoring;
mod policies;
mod put_body;
mod records;
mod resources;
mod settings;
mod shards;
mod streams;
mod subscribe;
mod tags;

pub(crate) use channels::Channel;
pub(crate) use subscribe::Ending;

/// What stands before the name of an operation in a target.
const TARGET: &[u8] = b"Kinesis_20131202.";

/// An operation.
pub(crate) struct Operation {
    name: &'static str,
    /// Its members, in the order in which they are checked.
    members: &'static [Member],
    run: fn(&Call<'_>, &Input) -> Outcome,
}

/// Answers a body that is as expected, without a value for each member; `None` for any other.
type Shortcut = fn(&Call<'_>, &[u8]) -> Option<Outcome>;

impl Operation {
    fn shortcut(&self) -> Option<Shortcut> {
        match self.name {
            "PutRecord" => Some(records::put_record_of_body),
            "PutRecords" => Some(records::put_records_of_body),
            _ => None,
        }
    }
}

/// What an operation has to say.
pub(crate) enum Output {
    /// Success, and nothing else.
    Nothing,
    Members(Value),
    /// Members that are encoded already.
    Encoded(Vec<u8>),
    Events(EventStream),
}

pub(crate) type Outcome = Result<Output, Exception>;

const OPERATIONS: &[&[Operation]] = &[
    // They are looked through in this order: those that are asked for most come first.
    records::OPERATIONS,
    iterators::OPERATIONS,
    streams::OPERATIONS,
    shards::OPERATIONS,
    subscribe::OPERATIONS,
    settings::OPERATIONS,
    monitoring::OPERATIONS,
    encryption::OPERATIONS,
    consumers::OPERATIONS,
    tags::OPERATIONS,
    policies::OPERATIONS,
    account_settings::OPERATIONS,
    channels::OPERATIONS,
];

/// One call of an operation.
pub(crate) struct Call<'a> {
    pub(crate) service: &'a Service,
    pub(crate) account: &'a Account,
    pub(crate) encoding: Encoding,
    now: OnceCell<Timestamp>,
}

/// Answers a call, if `authenticate` lets it.
pub(crate) fn call(
    service: &Service,
    target: &[u8],
    encoding: Encoding,
    body: &Bytes,
    spare: HeaderMap,
    authenticate: impl Fn() -> Result<(), Exception>,
) -> Response<Body> {
    let call = Call::new(service, encoding);
    let outcome = call.run(target, body, authenticate);
    answer(encoding, outcome, spare)
}

/// The operation that a target names.
pub(crate) fn find(target: &[u8]) -> Option<&'static Operation> {
    let name = target.strip_prefix(TARGET)?;
    let mut operations = OPERATIONS.iter().copied().flatten();
    operations.find(|operation| operation.name.as_bytes() == name)
}

/// An answer with the headers that every answer has, in the memory of a map without any.
pub(crate) fn answer(encoding: Encoding, outcome: Outcome, spare: HeaderMap) -> Response<Body> {
    const JSON: HeaderValue = HeaderValue::from_static(Encoding::Json.content_type());
    const CBOR: HeaderValue = HeaderValue::from_static(Encoding::Cbor.content_type());
    let json_or_cbor = match encoding {
        Encoding::Json => JSON,
        Encoding::Cbor => CBOR,
    };
    let (status, content_type, body, error) = match outcome {
        Ok(Output::Nothing) => (200, json_or_cbor, Body::Whole(Bytes::new()), None),
        Ok(Output::Members(value)) => {
            let body = Body::Whole(encoding.encode(&value).into());
            (200, json_or_cbor, body, None)
        }
        Ok(Output::Encoded(body)) => (200, json_or_cbor, Body::Whole(body.into()), None),
        Ok(Output::Events(events)) => {
            let content_type = HeaderValue::from_static("application/vnd.amazon.eventstream");
            (200, content_type, Body::Events(events), None)
        }
        Err(exception) => {
            let body = Body::Whole(encoding.encode(&exception.body()).into());
            let name = HeaderValue::from_str(exception.name()).ok();
            (exception.status(), json_or_cbor, body, name)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("it is one");
    let headers = response.headers_mut();
    *headers = spare;
    headers.insert(header::CONTENT_TYPE, content_type);
    if let Some(name) = error {
        headers.insert("x-amzn-errortype", name);
    }
    request_id::add(headers);
    response
}

impl<'a> Call<'a> {
    pub(crate) fn new(service: &'a Service, encoding: Encoding) -> Self {
        Self {
            service,
            account: Account::of(&service.registry),
            encoding,
            now: OnceCell::new(),
        }
    }

    /// When it came: the time at which this is asked for first, the same for the whole call.
    ///
    /// No clock is looked at under a lock, since it may be anybody's. So this is asked for before an
    /// operation runs, which may ask again under one; a shortcut asks before it locks anything.
    pub(crate) fn now(&self) -> Timestamp {
        let clock = self.service.registry.clock();
        *self.now.get_or_init(|| clock.now())
    }

    /// The checks in the order of the service (the contract, 2.1), and the effect.
    fn run(
        &self,
        target: &[u8],
        body: &Bytes,
        authenticate: impl Fn() -> Result<(), Exception>,
    ) -> Outcome {
        let operation = find(target);
        if body.is_empty() {
            return Err(match operation {
                Some(_) => Exception::unreadable(),
                None => Exception::unknown_operation(),
            });
        }
        if let Some(shortcut) = operation.and_then(Operation::shortcut)
            && authenticate().is_ok()
            && let Some(outcome) = shortcut(self, body)
        {
            return outcome;
        }
        // Looks at the clock before anything is locked. A shortcut seldom needs to.
        self.now();
        let request = match self.encoding.decode(body) {
            Ok(request @ (Value::Map(_) | Value::List(_))) => request,
            _ => return Err(Exception::unreadable()),
        };
        let operation = operation.ok_or_else(Exception::unknown_operation)?;
        authenticate()?;
        let input = convert(operation.members, request)?;
        validate(operation.members, &input, self.data_bytes_max(&input))?;
        (operation.run)(self, &input)
    }

    /// How large the data of a record may be: as the stream says that the request is about, or as one
    /// that nothing was said of.
    fn data_bytes_max(&self, input: &Input) -> usize {
        let named = self.stream_name(input).ok().flatten();
        let stream = named.and_then(|name| self.service.registry.get(name).ok());
        stream.map_or(RECORD_BYTES_DEFAULT, |stream| stream.record_bytes_max())
    }

    /// The stream that a request is about.
    pub(crate) fn stream(&self, input: &Input) -> Result<Stream, Exception> {
        let name = self.stream_name(input)?.ok_or_else(|| {
            Exception::invalid_argument("Either StreamName or StreamARN must be provided.")
        })?;
        self.stream_named(name)
    }

    /// The name of the stream that a request is about, if it says one.
    pub(crate) fn stream_name<'i>(&self, input: &'i Input) -> Result<Option<&'i str>, Exception> {
        let named = input.text("StreamName");
        let Some(arn) = input.text("StreamARN") else {
            return Ok(named);
        };
        let of_arn = self.stream_of_arn(arn)?;
        match named {
            Some(named) if named != of_arn => Err(Exception::invalid_argument(format!(
                "StreamName {named} and StreamARN {arn} are not of the same stream."
            ))),
            _ => Ok(Some(of_arn)),
        }
    }

    /// The stream that an ARN names, in this account and region.
    pub(crate) fn stream_of_arn<'i>(&self, arn: &'i str) -> Result<&'i str, Exception> {
        let parts = arn::Parts::of(arn).filter(|parts| parts.is_of(self.service));
        let name = parts.and_then(|parts| parts.resource.strip_prefix("stream/"));
        name.ok_or_else(|| {
            let name = arn.rsplit_once("stream/").map_or(arn, |(_, name)| name);
            self.stream_not_found(name)
        })
    }

    /// A stream, in whichever state.
    pub(crate) fn stream_named(&self, name: &str) -> Result<Stream, Exception> {
        let stream = self.service.registry.get(name);
        stream.map_err(|_| self.stream_not_found(name))
    }

    /// What the service knows of a stream.
    pub(crate) fn state<'s>(&self, stream: &'s Stream) -> &'s StreamState {
        StreamState::of(&self.service.registry, stream)
    }

    pub(crate) fn stream_not_found(&self, name: &str) -> Exception {
        let account = self.service.account_id();
        Exception::not_found(format!("Stream {name} under account {account} not found."))
    }

    /// A shard that a stream does not have, as most operations tell it.
    pub(crate) fn shard_not_found(&self, stream: &str, shard: &str) -> Exception {
        let account = self.service.account_id();
        Exception::not_found(format!(
            "Could not find shard {shard} in stream {stream} under account {account}."
        ))
    }

    /// An error of the engine in the words of the service (the contract, 2.6).
    pub(crate) fn exception(&self, stream: &str, error: &Error) -> Exception {
        let account = self.service.account_id();
        match error {
            Error::StreamNotFound { .. } => self.stream_not_found(stream),
            Error::StreamExists { .. } => Exception::in_use(format!(
                "Stream {stream} under account {account} already exists."
            )),
            Error::StreamNotActive { status, .. } => Exception::in_use(format!(
                "Stream {stream} under account {account} not ACTIVE, instead in state {status}"
            )),
            Error::ShardNotFound { shard_id, .. } => {
                self.shard_not_found(stream, &shard_id.to_string())
            }
            Error::ShardClosed { shard_id } => Exception::invalid_argument(format!(
                "Shard {shard_id} in stream {stream} under account {account} has already been merged \
                 or split, and thus is not eligible for merging or splitting."
            )),
            Error::InvalidSplit {
                shard_id,
                key,
                start,
                end,
            } => Exception::invalid_argument(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard {shard_id} in stream {stream} \
                 under account {account} is not both greater than one plus the shard's \
                 StartingHashKey {start} and less than the shard's EndingHashKey {end}."
            )),
            Error::ShardsNotAdjacent { lower, upper } => Exception::invalid_argument(format!(
                "Shards {lower} and {upper} in stream {stream} under account {account} are not an \
                 adjacent pair of shards eligible for merging"
            )),
            Error::ShardCountStep { current, target } => {
                let way = if target > current {
                    "up over double"
                } else {
                    "down below half"
                };
                Exception::limit_exceeded(format!(
                    "UpdateShardCount cannot scale {way} your current open shard count. Current open \
                     shard count: {current} Target shard count: {target}"
                ))
            }
            Error::WriteThrottled { shard_id, .. }
            | Error::ReadThrottled { shard_id, .. }
            | Error::ShardFull { shard_id, .. }
            | Error::PutTimedOut { shard_id, .. } => Exception::throughput_exceeded(format!(
                "Rate exceeded for shard {shard_id} in stream {stream} under account {account}."
            )),
            Error::TimestampInFuture { timestamp, now } => Exception::invalid_argument(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {}, currentTimestampInMillis: {}",
                timestamp.as_millis(),
                now.as_millis()
            )),
            Error::RecordTooLarge { limit_bytes, .. } => Exception::validation(format!(
                "1 validation error detected: Value at 'data' failed to satisfy constraint: Member \
                 must have length less than or equal to {limit_bytes}"
            )),
            other => Exception::named(other.code(), other.to_string()),
        }
    }

    /// Goes on with an operation that is all checked, unless that is all it was to be.
    pub(crate) fn unless_dry_run(&self, input: &Input) -> Result<(), Exception> {
        if input.flag("DryRun") {
            return Err(dry_run());
        }
        Ok(())
    }
}

/// The answer to a request of which everything is right, and nothing is to be done.
pub(crate) fn dry_run() -> Exception {
    Exception::dry_run("Request would have succeeded, but DryRun flag is set.")
}
