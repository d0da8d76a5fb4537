//! `KAFKA_GROUP_ID`: the group of a part that runs alone, and left out where several parts share a process.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::{Fixture, program};

/// How long anything may take on a busy machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
const GROUP: &str = "user-service-group";

/// `techleet` with these arguments on the fixture's broker, started with the variable.
fn start(fixture: &Fixture, args: &[&str]) -> Child {
    let mut command: Command = program(&[]);
    command.arg("--set").arg(format!("kafka.brokers={}", fixture.config.brokers));
    for part in ["user_service", "company_service", "recruitment_service", "container"] {
        command.arg("--set").arg(format!("{part}.listen=127.0.0.1:0"));
    }
    command.arg("--data-dir").arg(fixture.dir.path().join("part")).args(args);
    command.env("KAFKA_GROUP_ID", GROUP).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.kill_on_drop(true).spawn().unwrap()
}

/// The groups that there are, as soon as `wanted` is one of them.
async fn groups_with(fixture: &Fixture, wanted: &str) -> Vec<String> {
    let waiting = tokio::time::timeout(WAIT_MAX, async {
        loop {
            let listed = fixture.techleet(&["groups", "list"], "").await.stdout;
            let groups: Vec<String> =
                listed.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
            if groups.iter().any(|group| group == wanted) {
                return groups;
            }
        }
    });
    waiting.await.unwrap_or_else(|_| panic!("there is no group {wanted}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_runs_alone_is_in_the_group_that_the_environment_names() {
    let fixture = Fixture::start().await;
    let _service = start(&fixture, &["run", "user-service"]);
    let groups = groups_with(&fixture, GROUP).await;
    assert!(!groups.contains(&"user-service".to_owned()), "{groups:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_up_each_part_keeps_its_group_and_a_warning_says_so() {
    let fixture = Fixture::start().await;
    let mut up = start(&fixture, &["up"]);
    let mut said = BufReader::new(up.stderr.take().unwrap()).lines();
    let line = tokio::time::timeout(WAIT_MAX, said.next_line()).await.unwrap().unwrap().unwrap();
    assert!(line.starts_with("warning: kafka.group_id (KAFKA_GROUP_ID) is left out"), "{line}");
    let groups = groups_with(&fixture, "user-service").await;
    assert!(!groups.contains(&GROUP.to_owned()), "{groups:?}");
}
