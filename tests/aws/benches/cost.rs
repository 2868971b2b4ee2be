//! What a registry adds to the cost of the AWS SDK: the SDK's client answered by the service, beside the
//! same client answered with the same bytes by something that does nothing.
//!
//! ```text
//! cargo bench --manifest-path tests/aws/Cargo.toml --bench cost
//! cargo bench --manifest-path tests/aws/Cargo.toml --bench cost -- get_records    one of the calls
//! ```
//!
//! Varies: the call, and who answers. The two take turns; a round is some tens or hundreds of calls that
//! were put together beforehand, and the ratio is that of neighbouring rounds. Signing, serializing and
//! reading the answer are the SDK's, and so is dropping it.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use brooklet::protocol::Service;
use brooklet::{Limits, Registry, Stream};
use cpu_time::ThreadTime;
use futures_executor::block_on;

const ROUNDS: usize = 31;
const WARM_UP: usize = 3;
const DATA_BYTES: usize = 1024;
/// How much the whole may cost of the SDK's own.
const BAR: f64 = 1.20;

/// A call that was put together and not sent yet.
type Call = Pin<Box<dyn Future<Output = ()>>>;

fn main() {
    // What begins with a dash is cargo's.
    let named: Vec<_> = std::env::args().skip(1).collect();
    let named: Vec<_> = named.iter().filter(|name| !name.starts_with('-')).collect();
    println!("processor time of a call, us; the median of {ROUNDS} rounds, min..max");
    println!(
        "{:28} {:>28} {:>28} {:>7}",
        "", "on a registry", "canned answers", "ratio"
    );
    for (name, count, call) in [
        ("put_record, 1 KiB", 400, put_record as fn(&World) -> Make),
        ("put_records, 500 x 1 KiB", 8, put_records),
        ("get_records, 1,000 x 1 KiB", 8, get_records),
    ] {
        if named.is_empty() || named.iter().any(|part| name.contains(*part)) {
            compare(name, count, call);
        }
    }
    println!("the bar: at most {BAR:.2}");
}

/// Puts a call together for a client.
type Make = Box<dyn Fn(&Client) -> Call>;

fn put_record(_: &World) -> Make {
    Box::new(|client| {
        let put = client.put_record().stream_name("orders");
        let put = put.partition_key("customer-17").data(data()).send();
        Box::pin(async { drop(black_box(put.await.expect("it is put"))) })
    })
}

fn put_records(_: &World) -> Make {
    let entry = || {
        let entry = PutRecordsRequestEntry::builder().partition_key("customer-17");
        entry.data(data()).build().expect("it is whole")
    };
    Box::new(move |client| {
        let entries = (0..500).map(|_| entry()).collect();
        let put = client.put_records().stream_name("orders");
        let put = put.set_records(Some(entries)).send();
        Box::pin(async {
            let answer = black_box(put.await.expect("they are put"));
            assert_eq!(answer.records.len(), 500);
        })
    })
}

fn get_records(world: &World) -> Make {
    let get = world.client.get_shard_iterator().stream_name("replay");
    let get = get.shard_id("shardId-000000000000");
    let get = get.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let got = block_on(get.send()).expect("there is a shard");
    let iterator = got.shard_iterator.expect("it is open");
    Box::new(move |client| {
        let get = client.get_records().shard_iterator(&iterator).send();
        Box::pin(async {
            let answer = black_box(get.await.expect("they are there"));
            assert_eq!(answer.records.len(), 1000);
        })
    })
}

fn data() -> Blob {
    Blob::new(vec![b'x'; DATA_BYTES])
}

/// Has both answer in turns.
fn compare(name: &str, count: usize, call: fn(&World) -> Make) {
    let world = World::new();
    let make = call(&world);
    let canned = world.canned(&make);
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS + WARM_UP {
        let (our, their) = if round % 2 == 0 {
            let our = micros(&make, &world.client, count);
            (our, micros(&make, &canned, count))
        } else {
            let their = micros(&make, &canned, count);
            (micros(&make, &world.client, count), their)
        };
        if round >= WARM_UP {
            ours.push(our);
            theirs.push(their);
            ratios.push(our / their);
        }
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "{name:28} {:>28} {:>28} {:>7.2}",
        spread(ours),
        spread(theirs),
        ratios[ratios.len() / 2]
    );
}

/// Microseconds of this thread for one of many calls.
fn micros(make: &Make, client: &Client, count: usize) -> f64 {
    let calls: Vec<_> = (0..count).map(|_| make(client)).collect();
    let begun = ThreadTime::now();
    for call in calls {
        block_on(call);
    }
    begun.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// The median, and how far the rest is from it.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (median, last) = (values[values.len() / 2], values[values.len() - 1]);
    format!("{median:.1} ({:.1}..{last:.1})", values[0])
}

/// A registry with a stream to put into and one with records to read, and a client on it.
struct World {
    service: Service,
    client: Client,
}

impl World {
    fn new() -> Self {
        let registry = Registry::new();
        for name in ["orders", "replay"] {
            // Full after the first rounds: what comes after them is in memory that was used before.
            let stream = Stream::builder(name)
                .limits(Limits::unlimited())
                .capacity_bytes(8 * 1024 * 1024);
            registry.create(stream).expect("the name is free");
        }
        let replay = registry.get("replay").expect("it was created");
        for _ in 0..1000 {
            let put = replay
                .producer()
                .put_record("customer-17", vec![b'x'; DATA_BYTES]);
            put.expect("it is open");
        }
        let service = Service::new(&registry);
        let client = Client::new(&brooklet::aws::config(&service));
        Self { service, client }
    }

    /// A client that is answered what the service says to a call, without the service.
    fn canned(&self, make: &Make) -> Client {
        let kept = Kept::default();
        block_on(make(&self.answered_by(recorder(&self.service, &kept))));
        let kept = kept.lock().expect("nobody panics with it").take();
        let connector = SharedHttpConnector::new(kept.expect("it was answered"));
        self.answered_by(http_client_fn(move |_, _| connector.clone()))
    }

    /// A client that is as the other one but for who answers.
    fn answered_by(&self, http_client: SharedHttpClient) -> Client {
        let config = brooklet::aws::config(&self.service).into_builder();
        Client::new(&config.http_client(http_client).build())
    }
}

/// The last answer.
type Kept = Arc<Mutex<Option<Canned>>>;

/// The service, with its answer written down.
fn recorder(service: &Service, kept: &Kept) -> SharedHttpClient {
    let (service, kept) = (brooklet::aws::http_client(service), Arc::clone(kept));
    http_client_fn(move |settings, components| {
        let service = service.http_connector(settings, components);
        let kept = Arc::clone(&kept);
        SharedHttpConnector::new(Recorder { service, kept })
    })
}

#[derive(Debug)]
struct Recorder {
    service: SharedHttpConnector,
    kept: Kept,
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answering = self.service.call(request);
        let kept = Arc::clone(&self.kept);
        HttpConnectorFuture::new(async move {
            let answer = answering.await?.try_into_http1x();
            let (parts, body) = answer.expect("it is of HTTP").into_parts();
            let bytes = body.bytes().expect("it is in one piece").to_vec();
            let canned = Canned {
                head: http::Response::from_parts(parts, ()),
                body: bytes.into(),
            };
            let answer = canned.answer();
            *kept.lock().expect("nobody panics with it") = Some(canned);
            Ok(answer)
        })
    }
}

/// An answer that is given to every call.
#[derive(Debug)]
struct Canned {
    head: http::Response<()>,
    body: bytes::Bytes,
}

impl Canned {
    fn answer(&self) -> HttpResponse {
        let body = SdkBody::from(self.body.clone());
        let mut answer = http::Response::new(body);
        *answer.status_mut() = self.head.status();
        *answer.headers_mut() = self.head.headers().clone();
        HttpResponse::try_from(answer).expect("it is of HTTP")
    }
}

impl HttpConnector for Canned {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Ok(self.answer()))
    }
}
