//! Starting and stopping: a second start goes on, and what cannot start says why and leaves nothing half started.

use std::path::Path;

use e2e::Backbone;
use e2e::backbone::command;
use e2e::shell::Shell;
use e2e::stage::eventually;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::topics::read_until;

const CONTINUE: &[u8; 21] = b"HTTP/1.1 100 Continue";
/// What `techleet` answers to a second Ctrl-C.
const IMPATIENT_EXIT: i32 = 130;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_goes_on_where_the_first_one_was() {
    let data_dir = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let backbone = Backbone::start(data_dir.path()).await.unwrap();
        let request = json!({"firstName": "An", "lastName": "Tran", "email": format!("an{number}@example.com")});
        let answer = backbone.post_user(&request).send().await.unwrap();
        let employee: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(employee["employeeId"], number);
        let records = read_until(backbone.broker(), "user-events", move |records| records.len() == number).await;
        assert_eq!(records.len(), number);
        let status = backbone.interrupt().await.unwrap();
        assert!(status.success(), "Ctrl-C ends with {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_commands_that_a_start_prints_do_what_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    // A path that a shell would take for something else.
    let data_dir = folder.path().join("An's data & more");
    let backbone = Backbone::start(&data_dir).await.unwrap();
    let paste = |number: usize| Shell::start(folder.path(), &backbone.commands[number], &[]).unwrap();
    let created = paste(0).end().await.unwrap();
    let employee: serde_json::Value = serde_json::from_str(&created.stdout).unwrap();
    assert_eq!((&employee["email"], &employee["firstName"]), (&json!("an@example.com"), &json!("An")));
    let mut consuming = paste(1);
    let event: serde_json::Value = serde_json::from_str(&consuming.first_line().await.unwrap()).unwrap();
    assert_eq!((&event["eventType"], &event["data"]["employeeId"]), (&json!("user.created"), &employee["employeeId"]));
    // Some shells end by the signal themselves; the command has nothing to say of it.
    assert_eq!(consuming.interrupt().await.unwrap().stderr, "");
    let verified = paste(2).end().await.unwrap();
    assert!(verified.status.success() && verified.stdout.starts_with("whole: "), "{verified:?}");
    assert!(backbone.interrupt().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_is_refused_with_the_way_out() {
    let data_dir = tempfile::tempdir().unwrap();
    let backbone = Backbone::start(data_dir.path()).await.unwrap();
    let second = command(data_dir.path()).unwrap().output().await.unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("is in use by process") && said.contains("data_dir"), "{said}");
    assert!(said.lines().count() == 1, "one line: {said}");
    drop(backbone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_written_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    // Nobody can make a directory in the second, whoever runs the test.
    for data_dir in [file.join("data"), Path::new("/proc/techleet").to_owned()] {
        let refused = command(&data_dir).unwrap().output().await.unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(&data_dir.display().to_string()) && said.contains("data_dir"), "{said}");
        assert!(said.lines().count() == 1, "one line: {said}");
        assert!(refused.stdout.is_empty(), "nothing has started");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_does_not_wait_for_what_is_in_flight() {
    let data_dir = tempfile::tempdir().unwrap();
    let backbone = Backbone::start(data_dir.path()).await.unwrap();
    let address = backbone.user_service().strip_prefix("http://").unwrap().to_owned();
    // A request that never ends holds the first stop up.
    let mut slow = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/v1/sessions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: 10\r\nExpect: 100-continue\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    // It is in flight: its body is waited for.
    let mut going_on = [0; CONTINUE.len()];
    slow.read_exact(&mut going_on).await.unwrap();
    assert_eq!(&going_on, CONTINUE);
    backbone.ask_to_stop().unwrap();
    eventually("nobody is let in any more", async || TcpStream::connect(&address).await.err()).await;
    let status = backbone.interrupt().await.unwrap();
    assert_eq!(status.code(), Some(IMPATIENT_EXIT));
    Backbone::start(data_dir.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_refused_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for key in [
        "broker.listen",
        "user_service.listen",
        "company_service.listen",
        "recruitment_service.listen",
        "container.listen",
    ] {
        let data_dir = tempfile::tempdir().unwrap();
        let mut command = command(data_dir.path()).unwrap();
        let refused = command.arg("--set").arg(format!("{key}={address}")).output().await.unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(&address.to_string()) && said.contains(key), "{key}: {said}");
        // What is begun already may log that its broker goes away under it.
        let told: Vec<&str> = said.lines().filter(|line| !line.contains(" WARN ")).collect();
        assert!(told.len() == 1 && told[0].starts_with("techleet: "), "one line: {said}");
        // Nothing is left that holds the directory.
        Backbone::start(data_dir.path()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_in_the_configuration_is_told_at_once() {
    let mistakes = ["--set", "http.body_bytes=1", "--set", "user_service.listen=7", "--set", "container.listen=here"];
    let mut told = Vec::new();
    for command in [&["up"][..], &["run", "company-service"], &["config", "check"]] {
        let refused = e2e::program::run(&[&mistakes[..], command].concat()).await.unwrap();
        assert_eq!(refused.status.code(), Some(2), "{command:?}");
        assert!(refused.stdout.is_empty(), "{command:?}");
        told.push(refused.stderr);
    }
    for words in [
        "unknown key `http.body_bytes`; did you mean `http.body_bytes_max`?",
        "`user_service.listen` must be HOST:PORT, found \"7\"",
        "`container.listen` must be HOST:PORT, found \"here\"",
    ] {
        assert!(told[0].contains(words), "{words} in {}", told[0]);
    }
    assert!(told.iter().all(|other| *other == told[0]), "a start and a check say the same: {told:?}");
}
