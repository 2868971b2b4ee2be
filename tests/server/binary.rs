//! The program `brooklet`, as a user starts it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

use crate::client::{Client, call};

/// The program, with an environment of its own.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brooklet"));
    command.args(arguments).env_clear();
    command
}

/// Runs the program to its end.
fn output(command: &mut Command) -> Output {
    command.output().expect("the program can be run")
}

/// The program while it serves; killed at the end, if it is still there.
pub struct Serving {
    child: Child,
    line: String,
}

impl Serving {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it writes a line");
        Self { child, line }
    }

    /// Of the process.
    #[cfg(target_os = "linux")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        let (_, address) = self
            .line
            .rsplit_once("://")
            .expect("the line has an address");
        address.trim().parse().expect("it is an address")
    }

    /// Ends it as a user does.
    #[cfg(unix)]
    fn signal(mut self, signal: &str) -> Output {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill can be run").success());
        let status = self.child.wait().expect("it ends");
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let out = self.child.stdout.as_mut().expect("it is piped");
        out.read_to_end(&mut stdout).expect("it can be read");
        let err = self.child.stderr.as_mut().expect("it is piped");
        err.read_to_end(&mut stderr).expect("it can be read");
        Output {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn it_says_its_address_answers_and_ends_cleanly_when_told() {
    for signal in ["INT", "TERM"] {
        let serving = Serving::start(&mut program(&["serve", "--port", "0"]));
        assert!(
            serving
                .line
                .starts_with("brooklet listens on http://127.0.0.1:")
        );
        let mut client = Client::connect(serving.address());
        assert_eq!(client.ask(call("ListStreams", "{}")).status, 200);
        let output = serving.signal(signal);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(client.end(), b"");
    }
}

#[test]
fn its_options_are_those_of_the_account() {
    let arguments = [
        "serve",
        "--port=0",
        "--region=eu-west-1",
        "--account=123456789012",
        "--create=tea:3",
        "--create=cups:2",
        "--shard-limit=7",
    ];
    let serving = Serving::start(&mut program(&arguments));
    let mut client = Client::connect(serving.address());
    let streams = client.ask(call("ListStreams", "{}"));
    assert!(
        streams.text().contains(r#""StreamNames":["cups","tea"]"#),
        "{}",
        streams.text()
    );
    let tea = client.ask(call("DescribeStreamSummary", r#"{"StreamName":"tea"}"#));
    assert!(
        tea.text()
            .contains("arn:aws:kinesis:eu-west-1:123456789012:stream/tea"),
        "{}",
        tea.text()
    );
    assert!(
        tea.text().contains(r#""OpenShardCount":3"#),
        "{}",
        tea.text()
    );
    let more = client.ask(call(
        "CreateStream",
        r#"{"StreamName":"more","ShardCount":3}"#,
    ));
    assert!(
        more.text().contains("LimitExceededException"),
        "{}",
        more.text()
    );
}

#[test]
fn the_environment_can_set_each_option_and_arguments_go_first() {
    let mut command = program(&["serve", "--create=tea:3"]);
    command
        .env("BROOKLET_PORT", "0")
        .env("BROOKLET_REGION", "ap-south-1")
        .env("BROOKLET_CREATE", "nothing:1")
        .env("BROOKLET_STATE_DELAY_MS", "3600000");
    let serving = Serving::start(&mut command);
    let mut client = Client::connect(serving.address());
    let tea = client.ask(call("DescribeStreamSummary", r#"{"StreamName":"tea"}"#));
    assert!(tea.text().contains(":ap-south-1:"), "{}", tea.text());
    assert!(
        tea.text().contains(r#""StreamStatus":"CREATING""#),
        "{}",
        tea.text()
    );
    let nothing = client.ask(call("DescribeStreamSummary", r#"{"StreamName":"nothing"}"#));
    assert_eq!(nothing.status, 400);
}

#[test]
fn it_refuses_to_be_reached_by_others_by_accident() {
    let output = output(&mut program(&["serve", "--host", "0.0.0.0", "--port", "0"]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("brooklet: 0.0.0.0:"), "{text}");
    assert!(text.contains("--insecure"), "{text}");
    let insisted = program(&["serve", "--host", "0.0.0.0", "--port", "0", "--insecure"])
        .stdout(Stdio::piped())
        .spawn();
    let mut insisted = insisted.expect("it can be run");
    let mut line = String::new();
    let stdout = insisted.stdout.as_mut().expect("it is piped");
    let read = BufReader::new(stdout).read_line(&mut line);
    insisted.kill().expect("it serves");
    insisted.wait().expect("it ends");
    read.expect("it writes a line");
    assert!(line.contains("http://0.0.0.0:"), "{line}");
}

#[test]
fn a_secret_is_shown_nowhere() {
    let mut help = program(&["serve", "--help"]);
    help.env("BROOKLET_SECRET_KEY", "canary");
    let help = output(&mut help);
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout);
    for option in [
        "--host",
        "--port",
        "--region",
        "--account",
        "--shard-limit",
        "--limits",
        "--state-delay-ms",
        "--create",
        "--access-key",
        "--secret-key",
        "BROOKLET_SECRET_KEY",
        "--tls",
        "--allow-origin",
        "--insecure",
    ] {
        assert!(text.contains(option), "{option} is missing in {text}");
    }
    assert!(!text.contains("canary"), "{text}");

    // A secret without its key is a mistake.
    let mut half = program(&["serve", "--port=0"]);
    half.env("BROOKLET_SECRET_KEY", "canary");
    let half = output(&mut half);
    assert_eq!(half.status.code(), Some(2));
    let text = String::from_utf8_lossy(&half.stderr);
    assert!(
        text.contains("--access-key") && !text.contains("canary"),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn a_log_has_a_line_for_each_request_and_no_secret_in_it() {
    let mut command = program(&["serve", "--port=0", "--log", "--access-key=key"]);
    command.env("BROOKLET_SECRET_KEY", "canary");
    let serving = Serving::start(&mut command);
    let mut client = Client::connect(serving.address());
    let answer = client.ask(call("PutRecord", r#"{"Data":"canarydata"}"#));
    assert_eq!(answer.status, 400);
    let output = serving.signal("TERM");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("Kinesis_20131202.PutRecord 400 in 21 out "),
        "{text}"
    );
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn bad_options_are_told_before_anything_is_done() {
    for (arguments, text) in [
        (vec!["serve", "--account", "12"], "an account is 12 digits"),
        (vec!["serve", "--create", "tea:many"], "name:shards"),
        (
            vec!["serve", "--port", "0", "--create", "bad name:1"],
            "cannot create the stream bad name",
        ),
        (vec!["serve", "--tls-cert", "a.pem"], "--tls-key"),
        (
            vec![
                "serve",
                "--port",
                "0",
                "--tls-cert=none.pem",
                "--tls-key=none.pem",
            ],
            "none.pem",
        ),
        (vec!["serve", "--limits", "some"], "kinesis, unlimited"),
        (vec![], "serve"),
    ] {
        let output = output(&mut program(&arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(text), "{arguments:?}: {told}");
    }
}
