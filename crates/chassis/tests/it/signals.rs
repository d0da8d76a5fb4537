//! Signals, sent to a process of its own: this test binary, told to run one test.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use chassis::{Environment, Shutdown};

/// Set in the process that is to be signalled.
const CHILD: &str = "TECHLEET_TEST_SIGNAL_CHILD";

#[test]
fn first_signal_asks_to_stop_and_the_second_ends_the_process_at_once() {
    if Environment::from_process().get(CHILD).is_some() {
        return wait_for_signals();
    }
    for signal in ["TERM", "INT"] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("signals::first_signal_asks_to_stop_and_the_second_ends_the_process_at_once")
            .env(CHILD, "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = |word: &str| assert!(lines.any(|line| line.unwrap().contains(word)));
        let send = || {
            let pid = child.id().to_string();
            let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid).status().unwrap();
            assert!(sent.success());
        };
        said("listening");
        send();
        said("asked to stop");
        send();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
    }
}

/// Never ends by itself.
fn wait_for_signals() {
    let say = |word: &str| {
        let mut out = std::io::stdout();
        writeln!(out, "\n{word}").unwrap();
        out.flush().unwrap();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().unwrap();
        say("listening");
        shutdown.requested().await;
        say("asked to stop");
        std::future::pending::<()>().await;
    });
}
