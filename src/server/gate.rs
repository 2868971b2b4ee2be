//! What a request has to be, whatever it asks for: checked first, on every path and method.
//!
//! A server on loopback is within reach of every page that the developer's browser shows. Two things
//! give a page away: the `Host`, which names the page's own site even if that site's name was made to
//! point at 127.0.0.1 (DNS rebinding), and the `Origin`, which a browser sends with every request to
//! another site that could change something.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::protocol::Head;
use crate::server::reply::Reply;
use crate::sync::OnceLock;

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    /// Names besides those of this machine; `*` for any.
    pub(crate) hosts: Vec<String>,
    /// Whether any address will do, as on a server that others reach: a name is needed to deceive.
    pub(crate) any_address: bool,
    /// Origins of pages; `*` for any.
    pub(crate) origins: Vec<String>,
}

/// What the gate looks at, and what few requests have and has to be looked at if they do: found in one go
/// with the [head](Head), which costs less than to look one of them up.
#[derive(Debug, Default)]
pub(crate) struct Seen<'a> {
    host: Option<&'a HeaderValue>,
    has_more_hosts: bool,
    pub(crate) origin: bool,
    encoding: bool,
    pub(crate) transfer_encoding: bool,
    pub(crate) upgrade: bool,
    pub(crate) expect: bool,
}

impl<'a> Seen<'a> {
    /// One more header.
    pub(crate) fn note(&mut self, name: &HeaderName, value: &'a HeaderValue) {
        match *name {
            header::HOST => self.has_more_hosts |= self.host.replace(value).is_some(),
            header::ORIGIN => self.origin = true,
            header::CONTENT_ENCODING => self.encoding = true,
            header::TRANSFER_ENCODING => self.transfer_encoding = true,
            header::UPGRADE => self.upgrade = true,
            header::EXPECT => self.expect = true,
            _ => {}
        }
    }
}

/// A host that was let in: one that a connection names in all its requests is looked at closely once.
#[derive(Debug, Default)]
pub(crate) struct KnownHost(OnceLock<Box<[u8]>>);

impl KnownHost {
    /// Whether a host is that one, or else may be let in.
    fn admits(&self, host: &[u8], may: impl FnOnce(&[u8]) -> bool) -> bool {
        if self.0.get().is_some_and(|known| **known == *host) {
            return true;
        }
        let admitted = may(host);
        if admitted {
            self.0.get_or_init(|| host.into());
        }
        admitted
    }
}

/// Why a request is not let in: a status, and a text for whoever sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) &'static str);

impl Gate {
    /// Lets a request in, or says why not.
    pub(crate) fn check(
        &self,
        head: &Head<'_>,
        seen: &Seen<'_>,
        known_host: &KnownHost,
    ) -> Result<(), Refused> {
        self.check_host(head, seen, known_host)?;
        if seen.origin {
            self.check_origin(head.headers)?;
        }
        match seen.encoding {
            true => check_encoding(head.headers),
            false => Ok(()),
        }
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match headers.get(header::ORIGIN) {
            Some(origin) if self.allowed(origin).is_none() => Err(Refused(
                StatusCode::FORBIDDEN,
                "The request comes from a web page (it has an Origin) that is not allowed to ask. See \
                 --allow-origin.\n",
            )),
            _ => Ok(()),
        }
    }

    fn check_host(
        &self,
        head: &Head<'_>,
        seen: &Seen<'_>,
        known: &KnownHost,
    ) -> Result<(), Refused> {
        let in_header = seen.host;
        let in_target = head.uri.authority();
        if seen.has_more_hosts || (in_header.is_none() && in_target.is_none()) {
            return Err(Refused(
                StatusCode::BAD_REQUEST,
                "The request needs exactly one Host.\n",
            ));
        }
        let allows = |host: &[u8]| std::str::from_utf8(host).is_ok_and(|host| self.allows(host));
        let is_fine = |host: &[u8]| known.admits(host, allows);
        let header_is_fine = in_header.is_none_or(|host| is_fine(host.as_bytes()));
        let target_is_fine = in_target.is_none_or(|host| is_fine(host.as_str().as_bytes()));
        match header_is_fine && target_is_fine {
            true => Ok(()),
            false => Err(Refused(
                StatusCode::FORBIDDEN,
                "The Host of the request does not name this machine. See --allow-host.\n",
            )),
        }
    }

    fn allows(&self, host: &str) -> bool {
        let Some(name) = name_of(host) else {
            return false;
        };
        let is_this_machine = match name {
            Name::Address(address) => self.any_address || address.is_loopback(),
            Name::Text(name) => name.eq_ignore_ascii_case("localhost"),
        };
        is_this_machine
            || self.hosts.iter().any(|allowed| {
                let text = host_without_port(host);
                allowed == "*" || allowed.eq_ignore_ascii_case(text)
            })
    }

    /// The value of `Access-Control-Allow-Origin` for an origin that may ask.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let is = |allowed: &&String| *allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        match self.origins.iter().find(is)?.as_str() {
            "*" => Some(HeaderValue::from_static("*")),
            _ => Some(origin.clone()),
        }
    }

    /// The answer to a browser that asks what it may ask (the contract, 7.2, 3).
    pub(crate) fn preflight(&self, head: &Head<'_>, seen: &Seen<'_>) -> Option<Response<Reply>> {
        if *head.method != Method::OPTIONS || !seen.origin {
            return None;
        }
        let mut response = Response::new(Reply::empty());
        let headers = response.headers_mut();
        for (asked, answered) in [
            (
                header::ACCESS_CONTROL_REQUEST_HEADERS,
                header::ACCESS_CONTROL_ALLOW_HEADERS,
            ),
            (
                header::ACCESS_CONTROL_REQUEST_METHOD,
                header::ACCESS_CONTROL_ALLOW_METHODS,
            ),
        ] {
            if let Some(value) = head.headers.get(asked) {
                headers.insert(answered, value.clone());
            }
        }
        let two_days = HeaderValue::from_static("172800");
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, two_days);
        crate::protocol::add_request_id(headers);
        headers.remove("x-amz-id-2");
        Some(response)
    }

    /// Adds what lets a page read the answer, if a page that may asked.
    pub(crate) fn share(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let Some(allowed) = origin.and_then(|origin| self.allowed(origin)) else {
            return;
        };
        if allowed != "*" {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        // The contract, 7.2, 3: a browser that asks what it may ask is shown nothing.
        if headers.contains_key(header::ACCESS_CONTROL_MAX_AGE) {
            return;
        }
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(
                "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,\
                 Date",
            ),
        );
    }
}

/// Refuses what would have to be unpacked: nothing says how large it becomes.
fn check_encoding(headers: &HeaderMap) -> Result<(), Refused> {
    const IDENTITY: &[u8] = b"identity";
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    match encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(IDENTITY)) {
        true => Ok(()),
        false => Err(Refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Requests are taken without Content-Encoding only.\n",
        )),
    }
}

/// What a `Host` names.
enum Name<'a> {
    Address(IpAddr),
    Text(&'a str),
}

/// The name in a `Host`, if it is well formed.
fn name_of(host: &str) -> Option<Name<'_>> {
    let name = host_without_port(host);
    let port = &host[name.len()..];
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = digits.bytes().all(|byte| byte.is_ascii_digit());
    if name.is_empty() || !is_port {
        return None;
    }
    if let Some(inner) = name.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Name::Address(address.into()));
    }
    Some(match name.parse() {
        Ok(address) => Name::Address(IpAddr::V4(address)),
        Err(_) => Name::Text(name),
    })
}

fn host_without_port(host: &str) -> &str {
    // An address of version 6 has colons of its own, and brackets for that.
    let from = host.find(']').unwrap_or(0);
    let end = host[from..].find(':').map_or(host.len(), |at| from + at);
    &host[..end]
}

/// Whether the client asks to go on in HTTP/2 without TLS, on the connection it has.
pub(crate) fn asks_for_h2c(headers: &HeaderMap) -> bool {
    const SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
    let lists = |name: HeaderName, token: &str| {
        headers.get_all(name).iter().any(|value| {
            let tokens = value.to_str().unwrap_or_default().split(',');
            tokens
                .into_iter()
                .any(|one| one.trim().eq_ignore_ascii_case(token))
        })
    };
    let one_settings = headers.get_all(SETTINGS).iter().count() == 1;
    one_settings
        && lists(header::UPGRADE, "h2c")
        && lists(header::CONNECTION, "upgrade")
        && lists(header::CONNECTION, "http2-settings")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(gate: &Gate, hosts: &[&str]) -> Vec<String> {
        let allowed = hosts.iter().filter(|host| gate.allows(host));
        allowed.map(|host| (*host).to_owned()).collect()
    }

    #[test]
    fn this_machine_is_named_by_localhost_and_by_loopback_addresses() {
        let fine = [
            "localhost",
            "LOCALHOST:4567",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:4567",
        ];
        assert_eq!(allowed(&Gate::default(), &fine), fine);
    }

    #[test]
    fn a_request_has_one_host_in_its_head_or_else_in_its_target() {
        let check = |uri: &'static str, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            let (method, uri) = (Method::POST, http::Uri::from_static(uri));
            let mut seen = Seen::default();
            let head = Head::and_others(&method, &uri, &headers, |name, value| {
                seen.note(name, value);
            });
            let checked = Gate::default().check(&head, &seen, &KnownHost::default());
            checked.map_err(|Refused(status, _)| status.as_u16())
        };
        assert_eq!(check("/", &["localhost"]), Ok(()));
        assert_eq!(check("http://localhost/", &[]), Ok(()));
        assert_eq!(check("/", &[]), Err(400));
        assert_eq!(check("/", &["localhost", "localhost"]), Err(400));
        assert_eq!(check("/", &["localhost", "evil.example"]), Err(400));
        assert_eq!(check("/", &["evil.example"]), Err(403));
        assert_eq!(check("http://evil.example/", &["localhost"]), Err(403));
    }

    #[test]
    fn nothing_else_names_this_machine() {
        let evil = [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "evil.example:4567",
            "127.0.0.1.evil",
            "127.0.0.1.evil:80",
            "127.1",
            "0177.0.0.1",
            "2130706433",
            "0.0.0.0",
            "10.0.0.1",
            "localhost.",
            "localhost:80:80",
            "localhost:8a",
            "user@localhost",
            "localhost@evil.example",
            "[::1",
            "[::1]x",
            "[::1].evil:80",
            "[::2]",
            "[::ffff:127.0.0.1]",
            "::1",
            " localhost",
            "*",
        ];
        assert_eq!(allowed(&Gate::default(), &evil), [""; 0]);
    }

    #[test]
    fn more_is_allowed_as_far_as_it_is_asked_for() {
        let hosts = [
            "kinesis.test:4567",
            "KINESIS.test",
            "x.kinesis.test",
            "10.0.0.1:1",
            "[fe80::1]",
        ];
        let named = Gate {
            hosts: vec!["kinesis.test".to_owned()],
            ..Gate::default()
        };
        assert_eq!(allowed(&named, &hosts), hosts[..2]);
        let reached_by_others = Gate {
            any_address: true,
            ..Gate::default()
        };
        assert_eq!(allowed(&reached_by_others, &hosts), hosts[3..]);
        let any = Gate {
            hosts: vec!["*".to_owned()],
            ..Gate::default()
        };
        assert_eq!(allowed(&any, &hosts), hosts);
    }
}
