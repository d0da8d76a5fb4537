//! Apache Kafka's own tools make users and rules, and its client keeps to them; `TECHLEET_TEST_KAFKA_TOOLS` names a
//! folder with their jars.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{ADMIN, with_logins};
use crate::support::{Running, kafka_tools_folder};

/// A JVM on a machine with much to do.
const RUN_MAX: std::time::Duration = std::time::Duration::from_secs(180);

/// A file that lets somebody log in.
fn properties(dir: &Path, (user, password): (&str, &str)) -> String {
    let path = dir.join(format!("{user}.properties"));
    let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
    let text = format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nretries=0\n\
         sasl.jaas.config={module} required username=\"{user}\" password=\"{password}\";\n"
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Runs a tool with one line of input; returns all that it printed.
async fn run(jars: &Path, class: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(jars.join("*")).arg(class);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A tool that reads nothing may be gone already.
    let _ = input.write_all(b"hello\n").await;
    drop(input);
    let output = tokio::time::timeout(RUN_MAX, child.wait_with_output()).await.expect("it does not end").unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafkas_tools_make_users_and_rules_and_its_producer_keeps_to_them() {
    let Some(jars) = kafka_tools_folder() else { return };
    let broker = Running::with(|config| {
        with_logins(&mut config.security);
        config.security.authorize = true;
        config.security.super_users = "User:admin".to_owned();
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (admin, relay) = (properties(dir.path(), ADMIN), properties(dir.path(), ("relay", "relay-secret")));
    let address = broker.address();
    let server = ["--bootstrap-server", address.as_str(), "--command-config"];
    let with = |file, rest: &[&'static str]| -> Vec<String> {
        server.into_iter().chain([file]).chain(rest.iter().copied()).map(ToOwned::to_owned).collect()
    };
    let tool = async |class: &str, arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&jars, class, &arguments).await
    };
    let set = ["--alter", "--entity-type", "users", "--entity-name", "relay"];
    let mut change = with(&admin, &set);
    change.extend(["--add-config".to_owned(), "SCRAM-SHA-512=[iterations=4096,password=relay-secret]".to_owned()]);
    let said = tool("kafka.admin.ConfigCommand", change).await;
    assert!(said.contains("Completed updating config for user relay."), "{said}");
    let allow = ["--add", "--allow-principal", "User:relay", "--producer", "--topic", "events"];
    let said = tool("org.apache.kafka.tools.AclCommand", with(&admin, &allow)).await;
    assert!(said.contains("operation=WRITE, permissionType=ALLOW"), "{said}");
    let said = tool("org.apache.kafka.tools.ConsoleProducer", with(&relay, &["--topic", "events"])).await;
    assert!(!said.contains("Exception"), "{said}");
    let said = tool("org.apache.kafka.tools.ConsoleProducer", with(&relay, &["--topic", "secrets"])).await;
    assert!(said.contains("TopicAuthorizationException"), "{said}");
    broker.stop().await;
}
