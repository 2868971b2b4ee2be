use bytes::Bytes;
use http::Request;

use super::*;

/// The suite that AWS publishes for implementers of the algorithm: requests that are signed in the
/// header, and the same in the query. Left out are those that S3 alone would sign so, folded headers
/// and targets that are no URI.
const VECTORS: &str = include_str!("vectors.txt");

#[derive(Clone)]
struct Signer {
    key_id: &'static str,
    region: &'static str,
    service: &'static str,
    time: &'static str,
}

/// Who signed the vectors, when and for what.
const SUITE: Signer = Signer {
    key_id: "AKIDEXAMPLE",
    region: "us-east-1",
    service: "service",
    time: "2015-08-30T12:36:00Z",
};

fn verify(signer: &Signer, request: &Request<Bytes>) -> Result<(), String> {
    let verifier = Verifier {
        credentials: &Credentials {
            access_key_id: signer.key_id.to_owned(),
            secret_access_key: zeroize::Zeroizing::new(
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            ),
        },
        region: signer.region,
        service: signer.service,
        now: signer.time.parse().unwrap(),
    };
    let head = Head::of(request.method(), request.uri(), request.headers());
    let outcome = verifier.verify(&head, request.body());
    outcome.map_err(|exception| {
        let message = exception.message().unwrap_or_default();
        format!("{}: {message}", exception.name())
    })
}

fn vectors() -> Vec<(&'static str, Request<Bytes>)> {
    let vectors = VECTORS.split("# ").skip(1);
    vectors
        .map(|vector| {
            let (name, text) = vector.split_once('\n').unwrap();
            (name, request(text.trim_end()))
        })
        .collect()
}

/// The request with a name of the vectors.
fn vector(name: &str) -> Request<Bytes> {
    let mut vectors = vectors().into_iter();
    vectors.find(|(found, _)| *found == name).unwrap().1
}

/// Reads a request as it travels.
fn request(text: &str) -> Request<Bytes> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut words = lines.next().unwrap().split(' ');
    let builder = Request::builder()
        .method(words.next().unwrap())
        .uri(words.next().unwrap());
    let builder = lines.fold(builder, |builder, line| {
        let (name, value) = line.split_once(':').unwrap();
        builder.header(name, value.trim())
    });
    builder
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

#[test]
fn every_vector_of_the_published_suite_is_right() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 52);
    for (name, request) in vectors {
        assert_eq!(verify(&SUITE, &request), Ok(()), "{name}");
    }
}

#[test]
fn no_vector_is_right_with_anything_changed() {
    for (name, request) in vectors() {
        let mut changed = vec![with_uri(&request, |uri| uri.replacen('/', "/x/", 1))];
        let mut other = request.clone();
        *other.method_mut() = http::Method::PUT;
        changed.push(other);
        let mut other = request.clone();
        *other.body_mut() = Bytes::from_static(b"another body");
        changed.push(other);
        let mut other = request.clone();
        other
            .headers_mut()
            .insert(header::HOST, "evil.example".parse().unwrap());
        changed.push(other);
        let separator = if request.uri().query().is_some() {
            '&'
        } else {
            '?'
        };
        changed.push(with_uri(&request, |uri| format!("{uri}{separator}more=1")));
        for (index, changed) in changed.iter().enumerate() {
            let refused = verify(&SUITE, changed).unwrap_err();
            assert!(
                refused.starts_with("InvalidSignatureException: "),
                "{name}, change {index}: {refused}"
            );
        }
    }
}

#[test]
fn a_signature_is_refused_with_any_digit_changed_or_missing() {
    let request = vector("get-vanilla, signed in the header");
    let authorization = request.headers()[header::AUTHORIZATION].to_str().unwrap();
    let start = authorization.find("Signature=").unwrap() + "Signature=".len();
    for at in start..authorization.len() {
        let mut text = authorization.to_owned();
        let other = if &text[at..=at] == "0" { "1" } else { "0" };
        text.replace_range(at..=at, other);
        for text in [&text, &authorization[..at]] {
            let mut changed = request.clone();
            changed
                .headers_mut()
                .insert(header::AUTHORIZATION, text.parse().unwrap());
            assert_eq!(
                verify(&SUITE, &changed),
                Err(format!("InvalidSignatureException: {MISMATCH}"))
            );
        }
    }
}

#[test]
fn a_request_is_right_for_15_minutes_before_and_after_its_date() {
    let request = vector("get-vanilla, signed in the header");
    let at = |time| verify(&Signer { time, ..SUITE }, &request);
    assert_eq!(at("2015-08-30T12:51:00Z"), Ok(()));
    assert_eq!(at("2015-08-30T12:21:00Z"), Ok(()));
    assert_eq!(
        at("2015-08-30T12:52:00Z"),
        Err(
            "InvalidSignatureException: Signature expired: 20150830T123600Z is now earlier than \
             20150830T123700Z (20150830T125200Z - 15 min.)"
                .to_owned()
        )
    );
    assert_eq!(
        at("2015-08-30T12:20:00Z"),
        Err(
            "InvalidSignatureException: Signature not yet current: 20150830T123600Z is still later \
             than 20150830T123500Z (20150830T122000Z + 15 min.)"
                .to_owned()
        )
    );
}

#[test]
fn a_signed_query_is_right_for_as_long_as_it_says() {
    let request = vector("get-vanilla, signed in the query");
    let at = |time| verify(&Signer { time, ..SUITE }, &request);
    // It says 3,600 seconds.
    assert_eq!(at("2015-08-30T13:36:00Z"), Ok(()));
    let refused = at("2015-08-30T13:36:01Z").unwrap_err();
    assert!(refused.contains("Signature expired"), "{refused}");
    for secs in ["0", "604801", "-1", "x", ""] {
        let request = with_uri(&request, |uri| {
            uri.replace("X-Amz-Expires=3600", &format!("X-Amz-Expires={secs}"))
        });
        let refused = verify(&SUITE, &request).unwrap_err();
        assert!(refused.contains("X-Amz-Expires must be"), "{refused}");
    }
}

#[test]
fn another_key_region_service_or_day_is_told_as_such() {
    let request = vector("get-vanilla, signed in the header");
    let by = |signer| verify(&signer, &request).unwrap_err();
    assert_eq!(
        by(Signer {
            key_id: "AKIDOTHER",
            ..SUITE
        }),
        "UnrecognizedClientException: The security token included in the request is invalid."
    );
    let refused = by(Signer {
        region: "eu-west-1",
        ..SUITE
    });
    assert!(refused.contains("not 'us-east-1'"), "{refused}");
    let refused = by(Signer {
        service: "kinesis",
        ..SUITE
    });
    assert!(refused.contains("correct service: 'kinesis'"), "{refused}");

    let another_day = with_authorization(&request, |text| text.replace("/20150830/", "/20150829/"));
    let refused = verify(&SUITE, &another_day).unwrap_err();
    assert!(refused.contains("'20150829' != '20150830'"), "{refused}");
}

#[test]
fn the_host_and_the_date_have_to_be_signed() {
    let request = vector("get-vanilla, signed in the header");
    for (signed, missing) in [("x-amz-date", "'Host'"), ("host", "'x-amz-date'")] {
        let request = with_authorization(&request, |text| text.replace("host;x-amz-date", signed));
        let refused = verify(&SUITE, &request).unwrap_err();
        assert!(refused.contains(missing), "{refused}");
    }
    // A header that is signed has to be there: it could be added on the way otherwise.
    let request = with_authorization(&request, |text| text.replace("host;", "host;x-amz-target;"));
    let refused = verify(&SUITE, &request).unwrap_err();
    assert!(refused.contains(MISMATCH), "{refused}");
}

/// The AWS SDK for JavaScript speaks HTTP/2, and signs what its requests have there. This is what its
/// signer makes of such a request.
#[test]
fn the_authority_of_http_2_is_signed_in_place_of_the_host() {
    let signed = |uri: &str| {
        request(&format!(
            "POST {uri} HTTP/1.1\n\
             x-amz-date:20150830T123600Z\n\
             authorization:AWS4-HMAC-SHA256 \
             Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=:authority;x-amz-date, \
             Signature=618e05df1bc70bcd07317a794c990b96617a4824688b27edb7394668ab39b1c7"
        ))
    };
    let uri = "http://example.amazonaws.com/";
    assert_eq!(verify(&SUITE, &signed(uri)), Ok(()));
    for uri in ["http://evil.example/", "/"] {
        let refused = verify(&SUITE, &signed(uri)).unwrap_err();
        assert!(refused.contains(MISMATCH), "{uri}: {refused}");
    }
}

#[test]
fn whatever_is_there_twice_is_refused() {
    let request = vector("get-vanilla, signed in the header");
    let twice = with_authorization(&request, |text| format!("{text}, Signature=00"));
    let mut two_headers = request.clone();
    let value = two_headers.headers()[header::AUTHORIZATION].clone();
    two_headers
        .headers_mut()
        .append(header::AUTHORIZATION, value);
    let query = vector("get-vanilla, signed in the query");
    let in_query = with_uri(&query, |uri| format!("{uri}&X-Amz-Expires=1"));
    for request in [twice, two_headers, in_query] {
        let refused = verify(&SUITE, &request).unwrap_err();
        assert!(refused.contains(MISMATCH), "{refused}");
    }
}

#[test]
fn a_hash_that_is_not_the_bodys_is_refused_whatever_it_says() {
    for claimed in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "00",
    ] {
        let mut request = vector("post-vanilla, signed in the header");
        let claimed = claimed.parse().unwrap();
        request
            .headers_mut()
            .insert("x-amz-content-sha256", claimed);
        let refused = verify(&SUITE, &request).unwrap_err();
        assert!(refused.contains("is not the hash of the body"), "{refused}");
    }
}

#[test]
fn what_is_no_signature_of_this_kind_is_told_as_such() {
    let request = vector("get-vanilla, signed in the header");
    let refused = |change: fn(&str) -> String| {
        verify(&SUITE, &with_authorization(&request, change)).unwrap_err()
    };
    let text = refused(|text| text.replace("HMAC-SHA256", "HMAC-MD5"));
    assert!(
        text.starts_with("IncompleteSignatureException: Unsupported"),
        "{text}"
    );
    let text = refused(|text| text.replace("/service", ""));
    assert!(text.contains("exactly 5 slash-delimited"), "{text}");
    let text = refused(|text| text.replace("aws4_request", "aws5_request"));
    assert!(text.contains("exactly 5 slash-delimited"), "{text}");
    for date in [
        "",
        "20150830",
        "20150830T1236000",
        "20150830T123600z",
        "2015083\u{e9}T123600Z",
    ] {
        let mut request = with_authorization(&request, str::to_owned);
        let value = http::HeaderValue::from_bytes(date.as_bytes()).unwrap();
        request.headers_mut().insert("x-amz-date", value);
        assert!(verify(&SUITE, &request).is_err(), "{date}");
    }
}

#[test]
fn text_that_is_badly_encoded_is_taken_as_it_is() {
    for text in ["%", "%4", "%zz", "a%", "%ff", "\u{e9}%4\u{e9}"] {
        assert_eq!(decoded(text), text);
    }
    assert_eq!(decoded("%41%2f%C3%A9"), "A/\u{e9}");
    assert_eq!(encoded("A/\u{e9} ~".as_bytes()), "A%2F%C3%A9%20~");
}

fn with_uri(request: &Request<Bytes>, change: impl Fn(&str) -> String) -> Request<Bytes> {
    let mut changed = request.clone();
    *changed.uri_mut() = change(&request.uri().to_string()).parse().unwrap();
    changed
}

fn with_authorization(request: &Request<Bytes>, change: impl Fn(&str) -> String) -> Request<Bytes> {
    let mut changed = request.clone();
    let text = change(request.headers()[header::AUTHORIZATION].to_str().unwrap());
    let headers = changed.headers_mut();
    headers.insert(header::AUTHORIZATION, text.parse().unwrap());
    changed
}
