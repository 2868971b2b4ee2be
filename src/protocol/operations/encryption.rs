//! Encryption of records: which key they are said to be encrypted with. None is; nothing is asked of
//! a key, and any is taken for good.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::protocol::exception::Exception;
use crate::protocol::operations::settings::note_within_day;
use crate::protocol::operations::{Call, Operation, Outcome, Output};
use crate::protocol::shape::{Input, Member};
use crate::protocol::shapes::{ENCRYPTION_TYPE, KEY_ID, STREAM_ARN_OPTIONAL, STREAM_NAME};
use crate::protocol::stream_state::Attributes;
use crate::stream::Stream;

const MEMBERS: &[Member] = &[
    STREAM_NAME,
    Member::required("EncryptionType", ENCRYPTION_TYPE),
    Member::required("KeyId", KEY_ID),
    STREAM_ARN_OPTIONAL,
];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "StartStreamEncryption",
        members: MEMBERS,
        run: start_stream_encryption,
    },
    Operation {
        name: "StopStreamEncryption",
        members: MEMBERS,
        run: stop_stream_encryption,
    },
];

/// How often a stream may be given a key within 24 hours, and how often have none.
const CHANGES_PER_DAY: usize = 25;

fn start_stream_encryption(call: &Call<'_>, input: &Input) -> Outcome {
    let key = input.text("KeyId").expect("it is required");
    let stream = changeable(call, input)?;
    call.update(&stream, |attributes| {
        check_often(call, &stream, &mut attributes.encryption_starts)?;
        encrypt_from_now(call, &stream, attributes, Some(key));
        Ok(())
    })?;
    Ok(Output::Nothing)
}

fn stop_stream_encryption(call: &Call<'_>, input: &Input) -> Outcome {
    let stream = changeable(call, input)?;
    call.update(&stream, |attributes| {
        if attributes.key_id().is_none() {
            return Err(Exception::invalid_argument(format!(
                "Stream {} under account {} is not encrypted.",
                stream.name(),
                call.service.account_id()
            )));
        }
        check_often(call, &stream, &mut attributes.encryption_stops)?;
        encrypt_from_now(call, &stream, attributes, None);
        Ok(())
    })?;
    Ok(Output::Nothing)
}

fn changeable(call: &Call<'_>, input: &Input) -> Result<Stream, Exception> {
    if input.text("EncryptionType") != Some("KMS") {
        return Err(Exception::invalid_argument(
            "EncryptionType must be KMS: it is the only type of encryption.",
        ));
    }
    let stream = call.stream(input)?;
    call.check_active(&stream)?;
    Ok(stream)
}

fn check_often(
    call: &Call<'_>,
    stream: &Stream,
    times: &mut VecDeque<Timestamp>,
) -> Result<(), Exception> {
    if note_within_day(times, call.now(), CHANGES_PER_DAY) {
        return Ok(());
    }
    Err(Exception::limit_exceeded(format!(
        "Encryption of stream {} under account {} was changed {CHANGES_PER_DAY} times within 24 \
         hours, as often as it may be.",
        stream.name(),
        call.service.account_id()
    )))
}

/// Has records encrypted with another key, or with none, once the stream is ACTIVE again.
fn encrypt_from_now(
    call: &Call<'_>,
    stream: &Stream,
    attributes: &mut Attributes,
    key: Option<&str>,
) {
    let now = call.now();
    let from = now.saturating_add(call.service.registry.state_delay());
    let encryption = &mut attributes.encryption;
    encryption.push((from, key.map(str::to_owned)));
    // What is only of records that have expired is not needed any more.
    let horizon = now.saturating_sub(stream.retention());
    let expired = encryption.iter().skip(1);
    let expired = expired.take_while(|(from, _)| *from <= horizon).count();
    encryption.drain(..expired);
}
