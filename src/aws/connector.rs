//! From a request of the SDK to an answer of the service.

use std::future::poll_fn;
use std::pin::Pin;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use http::Request;
use http_body::Body as _;

use crate::protocol::{Body, Service};

/// An HTTP client whose one connection is a service.
#[derive(Debug)]
pub(super) struct InProcess {
    connector: SharedHttpConnector,
}

#[derive(Debug)]
struct Connector {
    service: Service,
}

impl InProcess {
    pub(super) fn new(service: Service) -> Self {
        Self {
            connector: SharedHttpConnector::new(Connector { service }),
        }
    }
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connector.clone()
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.service.clone();
        HttpConnectorFuture::new(async move { answer(&service, request).await })
    }
}

async fn answer(service: &Service, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request
        .try_into_http1x()
        .map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let body = whole(body).await.map_err(ConnectorError::user)?;
    let response = service.respond(&Request::from_parts(parts, body));
    let response = response.map(|body| match body {
        Body::Whole(bytes) => SdkBody::from(bytes),
        events => SdkBody::from_body_1_x(events),
    });
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// All of a body; that of an operation is in one piece and is not copied.
async fn whole(mut body: SdkBody) -> Result<Bytes, BoxError> {
    let mut pieces = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            pieces.push(data);
        }
    }
    Ok(match <[Bytes; 1]>::try_from(pieces) {
        Ok([only]) => only,
        Err(pieces) => {
            let mut whole = BytesMut::new();
            for piece in pieces {
                whole.extend_from_slice(&piece);
            }
            whole.freeze()
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use crate::registry::Registry;

    use super::*;

    #[test]
    fn a_body_is_whole_in_however_many_pieces_it_comes() {
        let data = Bytes::from_static(b"{}");
        let one = block_on(whole(SdkBody::from(data.clone()))).unwrap();
        assert_eq!(one.as_ptr(), data.as_ptr(), "it is not copied");
        assert_eq!(block_on(whole(SdkBody::empty())).unwrap(), "");
        struct Pieces(Vec<&'static str>);
        impl http_body::Body for Pieces {
            type Data = Bytes;
            type Error = std::convert::Infallible;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                _context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
                let piece = self.0.pop();
                std::task::Poll::Ready(piece.map(|piece| Ok(http_body::Frame::data(piece.into()))))
            }
        }
        let pieces = SdkBody::from_body_1_x(Pieces(vec!["}", "", "{"]));
        assert_eq!(block_on(whole(pieces)).unwrap(), "{}");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_of_whoever_calls() {
        struct Broken;
        impl http_body::Body for Broken {
            type Data = Bytes;
            type Error = std::io::Error;
            fn poll_frame(
                self: Pin<&mut Self>,
                _context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
                std::task::Poll::Ready(Some(Err(std::io::ErrorKind::BrokenPipe.into())))
            }
        }
        let service = Service::new(&Registry::new());
        let request = HttpRequest::new(SdkBody::from_body_1_x(Broken));
        let error = block_on(answer(&service, request)).expect_err("it is broken");
        assert!(error.is_user());
    }

    fn call(service: &Service, operation: &str, body: &str) -> SdkBody {
        let request = Request::post("https://kinesis.us-east-1.amazonaws.com/")
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-date", "20200101T000000Z")
            .header(
                "authorization",
                "Credential=a, SignedHeaders=b, Signature=c",
            )
            .body(SdkBody::from(body))
            .unwrap();
        let request = HttpRequest::try_from(request).unwrap();
        let answer = block_on(answer(service, request)).unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{operation}");
        assert!(answer.headers().get("x-amzn-requestid").is_some());
        answer.into_body()
    }

    #[test]
    fn frames_come_one_by_one_and_the_body_ends_for_good() {
        let service = Service::new(&Registry::new());
        call(
            &service,
            "CreateStream",
            r#"{"StreamName":"orders","ShardCount":1}"#,
        );
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders";
        let register = format!(r#"{{"StreamARN":"{arn}","ConsumerName":"audit"}}"#);
        let registered = block_on(whole(call(&service, "RegisterStreamConsumer", &register)));
        let registered: serde_json::Value = serde_json::from_slice(&registered.unwrap()).unwrap();
        let consumer = registered["Consumer"]["ConsumerARN"].as_str().unwrap();
        let subscribe = format!(
            r#"{{"ConsumerARN":"{consumer}","ShardId":"shardId-000000000000","StartingPosition":{{"Type":"LATEST"}}}}"#
        );
        let mut body = call(&service, "SubscribeToShard", &subscribe);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut poll = || Pin::new(&mut body).poll_frame(&mut context);
        let mut frames = Vec::new();
        while let std::task::Poll::Ready(Some(frame)) = poll() {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(frames.len(), 2, "the first frame, and the first event");
        service.registry().get("orders").unwrap().close();
        assert!(matches!(poll(), std::task::Poll::Ready(Some(Ok(_)))));
        for _ in 0..2 {
            assert!(matches!(poll(), std::task::Poll::Ready(None)));
        }
    }
}
