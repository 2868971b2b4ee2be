//! A request without its body.

#[cfg(feature = "server")]
use bytes::Bytes;
#[cfg(feature = "server")]
use http::Request;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

/// Names the operation.
static X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");
static X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// The head of a request, with the headers that decide on an answer, the first one of each name: found in
/// one go, which costs less than to look one of them up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) target: Option<&'a HeaderValue>,
    pub(crate) content_type: Option<&'a HeaderValue>,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) has_date: bool,
}

impl<'a> Head<'a> {
    pub(crate) fn of(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self::and_others(method, uri, headers, |_, _| {})
    }

    /// Shows all other headers to whoever looks for some of them.
    #[inline]
    pub(crate) fn and_others(
        method: &'a Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        mut other: impl FnMut(&'a HeaderName, &'a HeaderValue),
    ) -> Self {
        let mut head = Self {
            method,
            uri,
            headers,
            target: None,
            content_type: None,
            authorization: None,
            has_date: false,
        };
        for (name, value) in headers {
            let slot = match *name {
                header::CONTENT_TYPE => &mut head.content_type,
                header::AUTHORIZATION => &mut head.authorization,
                _ if *name == X_AMZ_TARGET => &mut head.target,
                _ if *name == X_AMZ_DATE || *name == header::DATE => {
                    head.has_date = true;
                    continue;
                }
                _ => {
                    other(name, value);
                    continue;
                }
            };
            slot.get_or_insert(value);
        }
        head
    }

    /// The request of its own that it is with a body.
    #[cfg(feature = "server")]
    pub(crate) fn with_body(&self, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_header_of_a_name_counts_and_others_are_shown_each() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-amz-target", "first"),
            ("host", "one"),
            ("content-type", "first"),
            ("x-amz-target", "second"),
            ("x-amz-date", "today"),
            ("host", "other"),
            ("authorization", "first"),
            ("content-type", "second"),
            ("authorization", "second"),
        ] {
            let name = HeaderName::from_static(name);
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut others = Vec::new();
        let (method, uri) = (Method::POST, Uri::from_static("/"));
        let head = Head::and_others(&method, &uri, &headers, |name, value| {
            others.push((name.as_str(), value.to_str().unwrap()));
        });
        for named in [head.target, head.content_type, head.authorization] {
            assert_eq!(named, Some(&HeaderValue::from_static("first")));
        }
        assert!(head.has_date);
        assert_eq!(others, [("host", "one"), ("host", "other")]);
    }
}
