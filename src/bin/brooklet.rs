//! The endpoint with a command line: `brooklet serve`.

use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use brooklet::protocol::Service;
use brooklet::server::{Answered, Server, ServerError, Tls};
use brooklet::{Limits, Registry, Stream};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Streams with the words and rules of Amazon Kinesis, in this process's memory.
#[derive(Parser)]
#[command(name = "brooklet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer the Kinesis API over HTTP, for SDKs and tools that are given this endpoint.
    ///
    /// Any credentials will do, unless --access-key and --secret-key are given. Streams live as long
    /// as the process. It ends on SIGINT and SIGTERM.
    #[command(after_help = EXAMPLES)]
    Serve(Box<Serve>),
}

const EXAMPLES: &str = "\
Examples:
  brooklet serve --create orders:4
  aws kinesis list-streams --endpoint-url http://127.0.0.1:4567

  brooklet serve --port 0 --limits kinesis --state-delay-ms 500
  brooklet serve --tls --tls-save-cert brooklet.pem
  BROOKLET_SECRET_KEY=... brooklet serve --host 0.0.0.0 --access-key test";

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    address: AddressOptions,
    #[command(flatten)]
    account: AccountOptions,
    #[command(flatten)]
    access: AccessOptions,
    #[command(flatten)]
    tls: TlsOptions,

    /// Threads that answer; 0 for as many as there are cores
    #[arg(
        long,
        env = "BROOKLET_THREADS",
        default_value_t = 0,
        value_name = "COUNT"
    )]
    threads: usize,
    /// Write a line to stderr for each request: what it called, the status, and sizes
    #[arg(long, env = "BROOKLET_LOG")]
    log: bool,
}

#[derive(Args)]
#[command(next_help_heading = "Address")]
struct AddressOptions {
    /// The address to listen on
    #[arg(long, env = "BROOKLET_HOST", default_value = "127.0.0.1")]
    host: String,
    /// The port to listen on; 0 for any that is free
    #[arg(long, env = "BROOKLET_PORT", default_value_t = 4567)]
    port: u16,
}

#[derive(Args)]
#[command(next_help_heading = "Account")]
struct AccountOptions {
    /// The region in ARNs
    #[arg(long, env = "BROOKLET_REGION", default_value = "us-east-1")]
    region: String,
    /// The account in ARNs, 12 digits
    #[arg(long, env = "BROOKLET_ACCOUNT", default_value = "000000000000", value_parser = account)]
    account: String,
    /// How many open shards the account may have
    #[arg(
        long,
        env = "BROOKLET_SHARD_LIMIT",
        default_value_t = 20_000,
        value_name = "COUNT"
    )]
    shard_limit: u32,
    /// The limits of each shard: those of Kinesis, or none
    #[arg(long, env = "BROOKLET_LIMITS", value_enum, default_value_t = ShardLimits::Unlimited)]
    limits: ShardLimits,
    /// How long streams stay CREATING, UPDATING and DELETING
    #[arg(
        long,
        env = "BROOKLET_STATE_DELAY_MS",
        default_value_t = 0,
        value_name = "MS"
    )]
    state_delay_ms: u64,
    /// Create a stream at the start; may be given again, or several between commas
    #[arg(
        long,
        env = "BROOKLET_CREATE",
        value_name = "NAME:SHARDS",
        value_delimiter = ',',
        value_parser = stream_and_shards
    )]
    create: Vec<(String, u32)>,
}

#[derive(Args)]
#[command(next_help_heading = "Who may ask")]
struct AccessOptions {
    /// Take only requests that are signed with this key
    #[arg(
        long,
        env = "BROOKLET_ACCESS_KEY",
        requires = "secret_key",
        value_name = "KEY_ID"
    )]
    access_key: Option<String>,
    /// The secret of that key; others see arguments, the environment they do not
    #[arg(
        long,
        env = "BROOKLET_SECRET_KEY",
        hide_env_values = true,
        requires = "access_key",
        value_name = "SECRET"
    )]
    secret_key: Option<String>,
    /// Listen where other machines reach it, though no signatures are checked
    #[arg(long, env = "BROOKLET_INSECURE")]
    insecure: bool,
    /// One more name by which clients may call this machine; `*` for any
    #[arg(
        long,
        env = "BROOKLET_ALLOW_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    allow_host: Vec<String>,
    /// One more origin whose web pages may ask (CORS); `*` for any
    #[arg(
        long,
        env = "BROOKLET_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    allow_origin: Vec<String>,
}

#[derive(Args)]
#[command(next_help_heading = "TLS")]
struct TlsOptions {
    /// Answer over TLS, with a certificate that is made at the start unless one is given
    #[arg(long, env = "BROOKLET_TLS")]
    tls: bool,
    /// The certificate, with its chain, as PEM
    #[arg(
        long,
        env = "BROOKLET_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(
        long,
        env = "BROOKLET_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    tls_key: Option<PathBuf>,
    /// Write the certificate that is made to a file, for clients to trust
    #[arg(
        long,
        env = "BROOKLET_TLS_SAVE_CERT",
        requires = "tls",
        conflicts_with = "tls_cert",
        value_name = "FILE"
    )]
    tls_save_cert: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ShardLimits {
    Kinesis,
    Unlimited,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("cannot create the stream {name}: {source}")]
    Create {
        name: String,
        source: brooklet::Error,
    },
    #[error("cannot use {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
}

fn main() -> ExitCode {
    let Command::Serve(options) = Cli::parse().command;
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut text = failure.to_string();
            let mut source = std::error::Error::source(&failure);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                // Some say in their own text what caused them.
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            eprintln!("brooklet: {text}");
            ExitCode::from(2)
        }
    }
}

fn serve(options: &Serve) -> Result<(), Failure> {
    let service = service(&options.account, &options.access)?;
    let mut builder = Server::builder(&service)
        .insecure(options.access.insecure)
        .threads(options.threads);
    for host in &options.access.allow_host {
        builder = builder.allow_host(host);
    }
    for origin in &options.access.allow_origin {
        builder = builder.allow_origin(origin);
    }
    if let Some(tls) = tls(&options.tls, &options.access.allow_host)? {
        builder = builder.tls(tls);
    }
    if options.log {
        builder = builder.on_answer(log);
    }
    let AddressOptions { host, port } = &options.address;
    let server = builder.listen((host.as_str(), *port))?;
    let url = server.url();
    let mut ready = Ok(());
    server.run(async {
        let stop = match signals() {
            Ok(stop) => stop,
            Err(failure) => {
                ready = Err(Failure::Signals(failure));
                return;
            }
        };
        // Whoever reads this may send a signal at once.
        match writeln!(io::stdout(), "brooklet listens on {url}") {
            Ok(()) => stop.await,
            Err(failure) => ready = Err(Failure::Output(failure)),
        }
    })?;
    ready
}

/// The account with its streams.
fn service(account: &AccountOptions, access: &AccessOptions) -> Result<Service, Failure> {
    let limits = match account.limits {
        ShardLimits::Kinesis => Limits::kinesis(),
        ShardLimits::Unlimited => Limits::unlimited(),
    };
    let registry = Registry::builder()
        .state_delay(Duration::from_millis(account.state_delay_ms))
        .build();
    for (name, shards) in &account.create {
        let stream = Stream::builder(name).shard_count(*shards).limits(limits);
        registry.create(stream).map_err(|source| Failure::Create {
            name: name.clone(),
            source,
        })?;
    }
    let mut builder = Service::builder(&registry)
        .region(&account.region)
        .account_id(&account.account)
        .shard_limit(account.shard_limit)
        .limits(limits);
    if let (Some(key), Some(secret)) = (&access.access_key, &access.secret_key) {
        builder = builder.credentials(key, secret);
    }
    Ok(builder.build())
}

fn tls(options: &TlsOptions, names: &[String]) -> Result<Option<Tls>, Failure> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| Failure::File {
            path: path.clone(),
            source,
        })
    };
    if let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) {
        return Ok(Some(Tls::from_pem(&read(certificate)?, &read(key)?)?));
    }
    if !options.tls {
        return Ok(None);
    }
    let names = names.iter().filter(|name| *name != "*");
    let tls = Tls::self_made(names)?;
    if let Some(path) = &options.tls_save_cert {
        std::fs::write(path, tls.certificate_pem()).map_err(|source| Failure::File {
            path: path.clone(),
            source,
        })?;
    }
    Ok(Some(tls))
}

fn log(answered: &Answered<'_>) {
    let (target, status) = (answered.target, answered.status);
    let request_bytes = answered.request_bytes;
    // What a client sends is not to write lines of its own: a header has no line breaks.
    match answered.response_bytes {
        Some(bytes) => eprintln!("{target} {status} in {request_bytes} out {bytes}"),
        None => eprintln!("{target} {status} in {request_bytes} out events"),
    }
}

/// Waits for SIGINT or SIGTERM.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut signals = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    ];
    Ok(std::future::poll_fn(move |context| {
        let ready = |signal: &mut tokio::signal::unix::Signal| signal.poll_recv(context).is_ready();
        match signals.iter_mut().any(ready) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }))
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // If it cannot be waited for, whoever wants the end has to kill the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

fn stream_and_shards(text: &str) -> Result<(String, u32), String> {
    let (name, shards) = text.rsplit_once(':').unwrap_or((text, "1"));
    match shards.parse() {
        Ok(shards) => Ok((name.to_owned(), shards)),
        Err(_) => Err("it has to be of the form name:shards, as orders:4".to_owned()),
    }
}

fn account(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account is 12 digits".to_owned()),
    }
}
