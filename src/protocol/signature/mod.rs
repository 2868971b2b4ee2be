//! Signature Version 4, verified: that a request was made by somebody who has the secret key.
//!
//! The signature is an HMAC over the request in a form that both sides derive from it: method, path,
//! query, the headers that the client chose to sign, and the hash of the body. The crates that exist
//! for it sign; to verify with them means to make up a request that they would sign in the same way,
//! which they do not promise. So the form is made here, and the cryptography is that of `hmac` and
//! `sha2`.
//!
//! # Promises, and how they could break
//!
//! 1. **Nothing that matters is outside of the signature**: the host and the date have to be signed, the
//!    body is hashed whatever hash a header claims, and a parameter that is there twice is refused, so
//!    that nobody reads another of the two.
//! 2. **A comparison tells nothing**: it takes the same time wherever the difference is.
//! 3. **A request cannot be sent again for long**: its date is at most 15 minutes from the service's
//!    clock, or it says itself when it expires.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::protocol::Credentials;
use crate::protocol::exception::Exception;
use crate::protocol::head::Head;

#[cfg(test)]
mod tests;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What HTTP/2 has in place of `Host`: the AWS SDK for JavaScript signs it by this name.
const AUTHORITY: &str = ":authority";
const TERMINATOR: &str = "aws4_request";
/// How far the date of a request may be from the service's clock.
const SKEW: Duration = Duration::from_secs(15 * 60);
/// The longest that a request may be valid by its own word: a week.
const EXPIRES_SECS_MAX: u64 = 7 * 86_400;
const MISMATCH: &str = "The request signature we calculated does not match the signature you \
                        provided. Check your AWS Secret Access Key and signing method. Consult the \
                        service documentation for details.";

/// What a request has to be signed with, and when.
pub(crate) struct Verifier<'a> {
    pub(crate) credentials: &'a Credentials,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) now: Timestamp,
}

/// What a request says of its signature.
struct Signed<'a> {
    place: Place,
    algorithm: Cow<'a, str>,
    /// Key, date, region, service and a constant, between slashes.
    credential: Cow<'a, str>,
    /// Names between semicolons.
    headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    date: Cow<'a, str>,
    /// For how long it is valid, if it says so.
    expires: Option<Cow<'a, str>>,
}

/// Where a request says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Query,
}

/// What a key is for.
struct Scope<'a> {
    key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

impl Verifier<'_> {
    /// Checks the signature of a request in which nothing of it is missing.
    pub(crate) fn verify(&self, head: &Head<'_>, body: &[u8]) -> Result<(), Exception> {
        let signed = match head.authorization.is_some() {
            true => Signed::of_header(head.headers)?,
            false => Signed::of_query(head.uri.query().unwrap_or_default())?,
        };
        if signed.algorithm != ALGORITHM {
            return Err(Exception::incomplete_signature(format!(
                "Unsupported AWS 'algorithm': '{}'.",
                signed.algorithm
            )));
        }
        let scope = Scope::of(&signed.credential)?;
        if scope.key_id != self.credentials.access_key_id {
            return Err(Exception::unrecognized_client(
                "The security token included in the request is invalid.",
            ));
        }
        self.check_scope(&scope, &signed)?;
        self.check_date(&signed)?;
        signed.check_headers(head)?;
        let body_hash = hex(&Sha256::digest(body));
        check_claimed_hash(head.headers, &body_hash)?;

        let canonical = canonical_request(head, &signed, &body_hash);
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/{TERMINATOR}\n{}",
            signed.date,
            scope.date,
            scope.region,
            scope.service,
            hex(&Sha256::digest(canonical))
        );
        let signature = bytes_of_hex(&signed.signature).ok_or_else(mismatch)?;
        self.signing_key(&scope)
            .chain_update(to_sign)
            .verify_slice(&signature)
            .map_err(|_| mismatch())
    }

    /// The key of a day, a region and a service.
    fn signing_key(&self, scope: &Scope<'_>) -> Hmac<Sha256> {
        let first = zeroize::Zeroizing::new(format!("AWS4{}", self.credentials.secret()));
        let mut key = keyed(first.as_bytes());
        for part in [scope.date, scope.region, scope.service, TERMINATOR] {
            key = keyed(&key.chain_update(part).finalize().into_bytes());
        }
        key
    }

    fn check_scope(&self, scope: &Scope<'_>, signed: &Signed<'_>) -> Result<(), Exception> {
        let mut wrong = String::new();
        let day = signed.date.get(..8).unwrap_or_default();
        if scope.date != day {
            wrong += &format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
                 HTTP: '{}' != '{day}', from '{}'. ",
                scope.date, signed.date
            );
        }
        if scope.region != self.region {
            wrong += &format!(
                "Credential should be scoped to a valid region, not '{}'. ",
                scope.region
            );
        }
        if scope.service != self.service {
            wrong += &format!(
                "Credential should be scoped to correct service: '{}'. ",
                self.service
            );
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Exception::invalid_signature(wrong)),
        }
    }

    /// Checks that the request is neither too old nor from the future.
    fn check_date(&self, signed: &Signed<'_>) -> Result<(), Exception> {
        let date = timestamp_of_basic(&signed.date).ok_or_else(|| {
            Exception::incomplete_signature(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See \
                 http://en.wikipedia.org/wiki/ISO_8601",
                signed.date
            ))
        })?;
        let valid = match &signed.expires {
            None => SKEW,
            Some(secs) => match secs.parse() {
                Ok(secs @ 1..=EXPIRES_SECS_MAX) => Duration::from_secs(secs),
                _ => {
                    return Err(Exception::invalid_signature(
                        "X-Amz-Expires must be a number of seconds between 1 and 604800.",
                    ));
                }
            },
        };
        let earliest = self.now - valid;
        if date < earliest {
            return Err(Exception::invalid_signature(format!(
                "Signature expired: {} is now earlier than {} ({} - {} min.)",
                signed.date,
                basic(earliest),
                basic(self.now),
                valid.as_secs() / 60
            )));
        }
        let latest = self.now + SKEW;
        if date > latest {
            return Err(Exception::invalid_signature(format!(
                "Signature not yet current: {} is still later than {} ({} + 15 min.)",
                signed.date,
                basic(latest),
                basic(self.now)
            )));
        }
        Ok(())
    }
}

impl<'a> Signed<'a> {
    fn of_header(headers: &'a HeaderMap) -> Result<Self, Exception> {
        let mut all = headers.get_all(header::AUTHORIZATION).iter();
        let authorization = all.next().and_then(|value| value.to_str().ok());
        let (Some(authorization), None) = (authorization, all.next()) else {
            return Err(mismatch());
        };
        let (algorithm, parameters) = authorization
            .split_once(' ')
            .unwrap_or((authorization, Default::default()));
        let pairs = || {
            let parts = parameters.split(',');
            parts.filter_map(|part| part.trim().split_once('='))
        };
        let only = |name: &str| only_one(pairs(), name).map(Cow::Borrowed);
        let mut dates = ["x-amz-date", header::DATE.as_str()]
            .into_iter()
            .filter_map(|name| headers.get(name));
        let date = dates.next().and_then(|value| value.to_str().ok());
        Ok(Self {
            place: Place::Header,
            algorithm: Cow::Borrowed(algorithm),
            credential: only("Credential")?,
            headers: only("SignedHeaders")?,
            signature: only("Signature")?,
            date: Cow::Borrowed(date.ok_or_else(mismatch)?),
            expires: None,
        })
    }

    fn of_query(query: &'a str) -> Result<Self, Exception> {
        let pairs = || query_pairs(query);
        let only = |name: &str| only_one(pairs(), name).map(decoded);
        let expires = pairs().any(|(name, _)| name == "X-Amz-Expires");
        Ok(Self {
            place: Place::Query,
            algorithm: only("X-Amz-Algorithm")?,
            credential: only("X-Amz-Credential")?,
            headers: only("X-Amz-SignedHeaders")?,
            signature: only("X-Amz-Signature")?,
            date: only("X-Amz-Date")?,
            expires: match expires {
                true => Some(only("X-Amz-Expires")?),
                false => None,
            },
        })
    }

    /// Checks that what has to be signed is, and that what is signed is there.
    fn check_headers(&self, head: &Head<'_>) -> Result<(), Exception> {
        let names = || self.headers.split(';');
        let is_signed = |name: &str| names().any(|signed| signed == name);
        if !is_signed("host") && !is_signed(AUTHORITY) {
            return Err(Exception::invalid_signature(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ));
        }
        let date = match head.headers.contains_key("x-amz-date") {
            true => "x-amz-date",
            false => "date",
        };
        if self.place == Place::Header && !is_signed(date) {
            return Err(Exception::invalid_signature(format!(
                "'{date}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
        let is_there = |name: &str| match name {
            "host" => true,
            AUTHORITY => head.uri.authority().is_some(),
            name => head.headers.contains_key(name),
        };
        match names().all(is_there) {
            true => Ok(()),
            false => Err(mismatch()),
        }
    }
}

impl<'a> Scope<'a> {
    fn of(credential: &'a str) -> Result<Self, Exception> {
        let parts: Vec<_> = credential.split('/').collect();
        let [key_id, date, region, service, TERMINATOR] = parts[..] else {
            return Err(Exception::incomplete_signature(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{credential}'"
            )));
        };
        Ok(Self {
            key_id,
            date,
            region,
            service,
        })
    }
}

/// A hash that a header claims for the body has to be the body's.
fn check_claimed_hash(headers: &HeaderMap, body_hash: &str) -> Result<(), Exception> {
    let mut claimed = headers.get_all("x-amz-content-sha256").iter();
    match claimed.all(|claimed| claimed.as_bytes() == body_hash.as_bytes()) {
        true => Ok(()),
        false => Err(Exception::invalid_signature(
            "The value of the header x-amz-content-sha256 is not the hash of the body.",
        )),
    }
}

/// The request as it is signed.
fn canonical_request(head: &Head<'_>, signed: &Signed<'_>, body_hash: &str) -> Vec<u8> {
    let uri = head.uri;
    let mut out = Vec::with_capacity(1024);
    for part in [
        head.method.as_str(),
        &canonical_path(uri.path()),
        &canonical_query(uri.query().unwrap_or_default()),
    ] {
        out.extend_from_slice(part.as_bytes());
        out.push(b'\n');
    }
    for name in signed.headers.split(';') {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let mut values = head.headers.get_all(name).iter().peekable();
        if matches!(name, "host" | AUTHORITY) && values.peek().is_none() {
            // HTTP/2 has it in the target.
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            out.extend_from_slice(authority.as_bytes());
        }
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_trimmed(value.as_bytes(), &mut out);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed.headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(body_hash.as_bytes());
    out
}

/// Appends a header's value without space around it, and with single spaces in it.
fn push_trimmed(value: &[u8], out: &mut Vec<u8>) {
    let words = value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// The path without `.`, `..` and empty segments, each segment encoded (once more).
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(encoded(segment.as_bytes())),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let mut out = String::from("/");
    out += &segments.join("/");
    if is_folder && out.len() > 1 {
        out.push('/');
    }
    out
}

/// The pairs of the query but the signature, encoded and sorted.
fn canonical_query(query: &str) -> String {
    let encode = |text| encoded(decoded(text).as_bytes());
    let mut pairs: Vec<_> = query_pairs(query)
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The value of a name that is there exactly once.
fn only_one<'a>(
    mut pairs: impl Iterator<Item = (&'a str, &'a str)>,
    name: &str,
) -> Result<&'a str, Exception> {
    let mut value = || pairs.find(|(found, _)| *found == name);
    match (value(), value()) {
        (Some((_, value)), None) => Ok(value),
        _ => Err(mismatch()),
    }
}

/// Text with `%` and two digits read as a byte. What is not of that form, or not UTF-8 in the end, is
/// kept as it is: its signature will not match.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.as_bytes().get(at) {
        let digits = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(bytes_of_hex) {
            Some(decoded) => {
                out.extend_from_slice(&decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Text in which all but letters, digits and `-._~` is `%` and two digits.
fn encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            byte => write!(out, "%{byte:02X}").expect("a string takes all that is written to it"),
        }
    }
    out
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key may have any length")
}

fn mismatch() -> Exception {
    Exception::invalid_signature(MISMATCH)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a string takes all that is written to it");
    }
    out
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !text.len().is_multiple_of(2) {
        return None;
    }
    let bytes = (0..text.len()).step_by(2);
    bytes
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// A time as signatures have it: `20150830T123600Z`.
fn basic(time: Timestamp) -> String {
    let text = time.to_string();
    let to_the_second = text.split('.').next().unwrap_or(&text);
    to_the_second.replace(['-', ':'], "") + "Z"
}

fn timestamp_of_basic(text: &str) -> Option<Timestamp> {
    let is_basic = text.len() == 16 && text.is_ascii();
    let (date, time) = text.split_once('T').filter(|_| is_basic)?;
    let (year, month, day) = (date.get(..4)?, date.get(4..6)?, date.get(6..)?);
    let (hour, minute, second) = (time.get(..2)?, time.get(2..4)?, time.get(4..)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}")
        .parse()
        .ok()
}
