//! The promises of the service, each tried through every door: the Rust face, the protocol in process
//! in both encodings and, with the feature `server`, HTTP/1.1 with JSON and HTTP/2 with CBOR. The AWS
//! SDK runs the same promises in `tests/aws`.
//!
//! A promise that only one door keeps is a bug of the others: all run on the same engine.

mod door;
#[cfg(feature = "server")]
mod http;
mod promises;
mod rust;
#[cfg(feature = "protocol")]
mod wire;

/// Has a door keep every promise, each as a test of its own.
macro_rules! doors {
    ($($door:ident: $open:expr,)*) => {$(
        mod $door {
            crate::promises::every_promise!($open);
        }
    )*};
}

doors! {
    rust_face: crate::rust::RustFace::open(),
}

#[cfg(feature = "protocol")]
doors! {
    json_in_process: crate::wire::Wire::open(crate::wire::InProcess::json),
    cbor_in_process: crate::wire::Wire::open(crate::wire::InProcess::cbor),
}

#[cfg(feature = "server")]
doors! {
    json_over_http_1: crate::wire::Wire::open(crate::http::Http1::json),
    cbor_over_http_2: crate::wire::Wire::open(crate::http::Http2::cbor),
}
