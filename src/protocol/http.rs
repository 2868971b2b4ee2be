//! A whole HTTP request, checked in the order in which the service does it (the contract, 7.2).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use memchr::memchr_iter;

use crate::protocol::body::Body;
use crate::protocol::codec::Encoding;
use crate::protocol::exception::Exception;
use crate::protocol::head::Head;
use crate::protocol::signature::Verifier;
use crate::protocol::value::Value;
use crate::protocol::{Service, operations, request_id};

impl Service {
    /// Answers an HTTP request as the service's endpoint does, whichever way it came.
    ///
    /// Path and query do not matter, but for credentials in the query. Limits on the size of the
    /// body, CORS and the checks of the `Host` are those of the server that it came through.
    pub fn respond(&self, request: &Request<Bytes>) -> Response<Body> {
        let head = Head::of(request.method(), request.uri(), request.headers());
        self.respond_with(&head, request.body(), HeaderMap::new())
    }

    /// Answers with headers in the memory of a map without any.
    pub(crate) fn respond_with(
        &self,
        head: &Head<'_>,
        body: &Bytes,
        spare: HeaderMap,
    ) -> Response<Body> {
        if *head.method != Method::POST {
            return access_denied();
        }
        let Some(encoding) = encoding_of(head) else {
            return unusual_content_type(text(head.target), text(head.content_type), body);
        };
        // Names are of visible characters: a target of others has none.
        let target = head.target.map_or(&b""[..], HeaderValue::as_bytes);
        operations::call(self, target, encoding, body, spare, || {
            self.authenticate(head, body)
        })
    }

    /// Checks that the request has credentials and, if the service knows a key, that they are right.
    fn authenticate(&self, head: &Head<'_>, body: &[u8]) -> Result<(), Exception> {
        let query = head.uri.query().unwrap_or_default();
        let in_query = !query.is_empty()
            && query.split('&').any(|pair| {
                let name = pair.split('=').next().unwrap_or_default();
                name == "X-Amz-Algorithm"
            });
        match (head.authorization, in_query) {
            (Some(_), true) => Err(Exception::invalid_signature(
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP \
                 header.",
            )),
            (None, false) => Err(Exception::missing_authentication(
                "Missing Authentication Token",
            )),
            (Some(authorization), false) => {
                check_authorization(authorization.as_bytes(), head.has_date)?;
                self.verify(head, body)
            }
            (None, true) => {
                check_query(query)?;
                self.verify(head, body)
            }
        }
    }

    /// Checks the signature, if the service knows a key.
    fn verify(&self, head: &Head<'_>, body: &[u8]) -> Result<(), Exception> {
        let Some(credentials) = &self.settings.credentials else {
            return Ok(());
        };
        let verifier = Verifier {
            credentials,
            region: self.region(),
            service: "kinesis",
            now: self.registry.clock().now(),
        };
        verifier.verify(head, body)
    }
}

/// Answers of a server that could not ask the service.
#[cfg(feature = "server")]
impl Service {
    /// A panic while a request with these headers was answered.
    pub(crate) fn internal_failure(head: &Head<'_>) -> Response<Body> {
        let message = "The request could not be answered because of a fault of the service.";
        let exception = Exception::named("InternalFailure", message);
        operations::answer(encoding_or_json(head), Err(exception), HeaderMap::new())
    }

    /// Whether an answer may take as long as a test says.
    #[cfg(feature = "testing")]
    pub(crate) fn may_be_late(&self) -> bool {
        self.registry.has_hooks()
    }

    /// More streams of events than the server keeps.
    pub(crate) fn too_many_subscriptions(head: &Head<'_>) -> Response<Body> {
        let exception = Exception::limit_exceeded("Too many subscriptions at the same time.");
        operations::answer(encoding_or_json(head), Err(exception), HeaderMap::new())
    }
}

/// The encoding of a request; JSON if it names none.
#[cfg(feature = "server")]
fn encoding_or_json(head: &Head<'_>) -> Encoding {
    encoding_of(head).unwrap_or(Encoding::Json)
}

/// The encoding that a request names.
fn encoding_of(head: &Head<'_>) -> Option<Encoding> {
    // Nearly all name it as it is, which can be seen without making sure that it is a text.
    let content_type = head.content_type?;
    let as_usual = |encoding: &Encoding| content_type == encoding.content_type();
    let usual = [Encoding::Json, Encoding::Cbor].into_iter().find(as_usual);
    usual.or_else(|| Encoding::of_content_type(text(Some(content_type))))
}

/// A header as text; none, if it is not.
fn text(value: Option<&HeaderValue>) -> &str {
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Checks that nothing is missing in the header.
fn check_authorization(authorization: &[u8], has_date: bool) -> Result<(), Exception> {
    const PARAMETERS: [&str; 3] = ["Credential", "Signature", "SignedHeaders"];
    let found = parameters(authorization, PARAMETERS);
    if found == [true; 3] && has_date {
        return Ok(());
    }
    let mut missing = String::new();
    for (parameter, _) in PARAMETERS.iter().zip(found).filter(|(_, found)| !found) {
        missing += &format!("Authorization header requires '{parameter}' parameter. ");
    }
    if !has_date {
        missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                    header. ";
    }
    let authorization = String::from_utf8_lossy(authorization);
    Err(Exception::incomplete_signature(format!(
        "{missing}Authorization={authorization}"
    )))
}

/// Which parameters a header of credentials has, with values. They are between commas or blanks.
fn parameters(text: &[u8], names: [&str; 3]) -> [bool; 3] {
    let is_between = |byte: Option<&u8>| matches!(byte, None | Some(b',' | b' '));
    let mut found = [false; 3];
    // Looking for the few equals signs is quicker than looking at each byte for a separator.
    for equals in memchr_iter(b'=', text) {
        let has_value = !is_between(text.get(equals + 1));
        let before = &text[..equals];
        for (found, name) in found.iter_mut().zip(names) {
            // Nearly always the last letter tells.
            let name = name.as_bytes();
            if before.last() == name.last()
                && let Some(before) = before.strip_suffix(name)
            {
                *found |= has_value && is_between(before.last());
            }
        }
        if found == [true; 3] {
            break;
        }
    }
    found
}

/// Checks that nothing is missing in the query.
fn check_query(query: &str) -> Result<(), Exception> {
    let has = |name: &str| {
        query.split('&').any(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            key == name && !value.is_empty()
        })
    };
    let mut missing = String::new();
    for name in [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
    ] {
        if !has(name) {
            missing += &format!("AWS query-string parameters must include '{name}'. ");
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Exception::incomplete_signature(
        missing + "Re-examine the query-string parameters.",
    ))
}

/// A content type in which no operation is called.
fn unusual_content_type(target: &str, content_type: &str, body: &[u8]) -> Response<Body> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json");
    if body.is_empty() {
        // The contract, 7.2, 6: JSON if the content type is, CBOR otherwise.
        let (encoding, known) = (
            if is_json {
                Encoding::Json
            } else {
                Encoding::Cbor
            },
            operations::find(target.as_bytes()).is_some(),
        );
        let exception = match known {
            true => Exception::unreadable(),
            false => Exception::unknown_operation(),
        };
        return operations::answer(encoding, Err(exception), HeaderMap::new());
    }
    if !is_json {
        let has_operation = target
            .split_once('.')
            .is_some_and(|(service, operation)| !service.is_empty() && !operation.is_empty());
        if !has_operation {
            return access_denied();
        }
        return plain(404, None, "<UnknownOperationException/>\n");
    }
    let (status, name) = match Encoding::Json.decode(body) {
        Ok(Value::Map(_) | Value::List(_)) => (404, "UnknownOperationException"),
        _ => (400, "SerializationException"),
    };
    let body =
        format!(r#"{{"Output":{{"__type":"com.amazon.coral.service#{name}"}},"Version":"1.0"}}"#);
    plain(status, Some("application/json"), &body)
}

fn access_denied() -> Response<Body> {
    plain(
        403,
        None,
        "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be \
         authorized</Message>\n</AccessDeniedException>\n",
    )
}

/// An answer that is of no operation.
fn plain(status: u16, content_type: Option<&'static str>, body: &str) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).expect("it is one");
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    request_id::add(headers);
    response
}
