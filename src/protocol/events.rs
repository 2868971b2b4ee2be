//! The frames of an event stream (the contract, 6.3).

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use aws_smithy_types::str_bytes::StrBytes;
use bytes::Bytes;

use crate::protocol::exception::Exception;
use crate::protocol::json;

/// The first frame of a stream.
pub(crate) fn initial_response() -> Bytes {
    frame("event", ":event-type", "initial-response", b"{}".to_vec())
}

/// An event with a payload of JSON.
pub(crate) fn event(kind: &'static str, payload: Vec<u8>) -> Bytes {
    frame("event", ":event-type", kind, payload)
}

/// An error that ends the stream.
pub(crate) fn exception(exception: &Exception) -> Bytes {
    let mut payload = Vec::new();
    json::encode(&exception.body(), &mut payload);
    frame(
        "exception",
        ":exception-type",
        exception.name().to_owned(),
        payload,
    )
}

fn frame(
    message_type: &'static str,
    kind_name: &'static str,
    kind: impl Into<StrBytes>,
    payload: Vec<u8>,
) -> Bytes {
    /// Lengths, checksums and headers.
    const REST_BYTES: usize = 256;
    let mut out = Vec::with_capacity(payload.len() + REST_BYTES);
    let text = |name: &'static str, value: StrBytes| Header::new(name, HeaderValue::String(value));
    let message = Message::new(Bytes::from(payload))
        .add_header(text(":message-type", message_type.into()))
        .add_header(text(kind_name, kind.into()))
        .add_header(text(":content-type", "application/json".into()));
    write_message_to(&message, &mut out).expect("names are short, and no payload has 4 GiB");
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_first_frame_is_that_of_the_service_to_the_byte() {
        assert_eq!(
            hex(&initial_response()),
            "00000068000000564e6817240d3a6d6573736167652d747970650700056576656e740b3a6576656e742d747970\
             65070010696e697469616c2d726573706f6e73650d3a636f6e74656e742d747970650700106170706c69636174\
             696f6e2f6a736f6e7b7dfe942c1d"
        );
    }

    #[test]
    fn a_frame_of_an_exception_is_that_of_the_service_to_the_byte() {
        let payload = br#"{"message":"x"}"#.to_vec();
        let name = "ResourceInUseException";
        assert_eq!(
            hex(&frame("exception", ":exception-type", name, payload)),
            "0000008300000064d9bbb06a0d3a6d6573736167652d74797065070009657863657074696f6e0f3a6578636570\
             74696f6e2d747970650700165265736f75726365496e557365457863657074696f6e0d3a636f6e74656e742d74\
             7970650700106170706c69636174696f6e2f6a736f6e7b226d657373616765223a2278227de1ecdf10"
        );
    }

    #[test]
    fn an_exception_says_its_name_twice() {
        let frame = exception(&Exception::in_use("x"));
        let message = aws_smithy_eventstream::frame::read_message_from(&frame[..]).unwrap();
        let payload = br#"{"__type":"ResourceInUseException","message":"x"}"#;
        assert_eq!(&message.payload()[..], payload);
    }
}
