//! What `doctor` finds, by causing it; and that the cure which it names is one.

use std::net::TcpListener;
use std::path::Path;

use chassis::DataDir;
use contracts::topics::required_topics;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::support::{Fixture, Ran};

struct Findings {
    ran: Ran,
    all: Vec<Value>,
}

impl Findings {
    fn of(&self, check: &str) -> &Value {
        let found = self.all.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no finding of {check} in {:#?}", self.all))
    }

    /// Insists on what was found, and that the advice names this.
    fn assert(&self, check: &str, status: &str, message: &str, advice: &str) {
        let finding = self.of(check);
        assert_eq!(finding["status"], status, "{finding}");
        assert!(finding["message"].as_str().unwrap().contains(message), "{finding}");
        let advised = finding["advice"].as_str().unwrap_or_default();
        assert!(advised.contains(advice) && advised.is_empty() == advice.is_empty(), "{finding}");
    }
}

/// Runs `doctor` with more settings (`key=value`) over the data directory.
async fn doctor(fixture: &Fixture, settings: &[String]) -> Findings {
    let mut args = vec!["doctor", "--watch-ms", "1", "--format", "json"];
    for setting in settings {
        args.extend(["--set", setting]);
    }
    let ran = fixture.techleet(&args, "").await;
    let all = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Findings { ran, all }
}

/// An address on which nobody listens when this returns.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Makes all topics of the backbone, so that they are not what is wrong.
async fn with_topics() -> Fixture {
    let fixture = Fixture::start().await;
    for spec in required_topics() {
        let partitions = spec.partitions.to_string();
        let mut args = vec!["topics", "create", &spec.name, "--partitions", &partitions];
        let settings: Vec<String> = spec.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        settings.iter().for_each(|setting| args.extend(["--setting", setting]));
        assert_eq!(fixture.techleet(&args, "").await.code, 0);
    }
    fixture
}

/// The services listen where nobody else does, so that they are not what is wrong.
fn elsewhere() -> [String; 2] {
    ["company_service", "recruitment_service"].map(|part| format!("{part}.listen=127.0.0.1:0"))
}

#[tokio::test]
async fn where_all_is_well_doctor_ends_with_0() {
    let fixture = with_topics().await;
    let found = doctor(&fixture, &elsewhere()).await;
    assert_eq!(found.ran.code, 0, "{}{}", found.ran.stdout, found.ran.stderr);
    assert!(found.all.iter().all(|finding| finding["status"] == "ok"), "{:#?}", found.all);
    found.assert("topics", "ok", "all 10 are there", "");
}

#[tokio::test]
async fn what_is_wrong_with_this_machine_is_found() {
    let fixture = with_topics().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = fixture.dir.path().join("data");
    let file = data.join("user-service/user-service.db");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "this was a database once. ".repeat(1000)).unwrap();
    let redis = free_address();
    let redis_port = redis.rsplit_once(':').unwrap().1;
    let settings = [
        "recruitment_service.listen=127.0.0.1:0".to_owned(),
        format!("company_service.listen={address}"),
        // Of a network for examples, so of no machine.
        "user_service.listen=192.0.2.1:3001".to_owned(),
        "redis.host=127.0.0.1".to_owned(),
        format!("redis.port={redis_port}"),
    ];
    let found = doctor(&fixture, &settings).await;
    assert_eq!(found.ran.code, 4);
    assert_eq!(found.ran.stderr, "techleet: 4 things are wrong\n", "{:#?}", found.all);
    let port = format!("port {address}");
    let advice = "choose another with --set company_service.listen=HOST:PORT";
    found.assert(&port, "wrong", "another program has it", advice);
    let nowhere = "choose an address of this machine with --set user_service.listen=HOST:PORT";
    found.assert("port 192.0.2.1:3001", "wrong", "cannot be listened on", nowhere);
    found.assert("database of user-service", "wrong", "cannot be opened", "restore it from a copy");
    let advice = "start it, for example with background/start-infrastructure.sh start --only redis";
    found.assert(&format!("redis {redis}"), "wrong", "", advice);

    // Cured one by one, as it says.
    drop(taken);
    std::fs::remove_file(&file).unwrap();
    let settings =
        [&elsewhere()[1..], &[format!("company_service.listen={address}"), "redis.host=".to_owned()]].concat();
    let found = doctor(&fixture, &settings).await;
    assert_eq!(found.ran.code, 0, "{:#?}", found.all);
    found.assert(&port, "ok", "free", "");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_is_found() {
    let fixture = with_topics().await;
    let data = fixture.dir.path().join("data");
    std::fs::write(&data, "a file, in the way").unwrap();
    let found = doctor(&fixture, &elsewhere()).await;
    assert_eq!(found.ran.code, 4);
    found.assert(&check_of(&data), "wrong", "", "choose another with --data-dir");
    assert!(!found.all.iter().any(|finding| finding["check"] == "databases"), "nothing is said of what is in it");
    let another = fixture.dir.path().join("another").display().to_string();
    let args = ["doctor", "--watch-ms", "1", "--data-dir", &another];
    let [company_service, recruitment_service] = elsewhere();
    let settings = ["--set", &company_service, "--set", &recruitment_service];
    let cured = fixture.techleet(&[&args[..], &settings].concat(), "").await;
    assert_eq!(cured.code, 0, "{}", cured.stdout);
}

fn check_of(data_dir: &Path) -> String {
    format!("data directory {}", data_dir.display())
}

#[tokio::test]
async fn parts_that_do_not_answer_while_something_runs_are_found() {
    let fixture = with_topics().await;
    let data = fixture.dir.path().join("data");
    let _runs = DataDir::open(data.clone()).unwrap();
    let (nobody, stranger) = (free_address(), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = stranger.local_addr().unwrap().to_string();
    let answering = tokio::spawn(async move {
        while let Ok((mut connection, _)) = stranger.accept().await {
            // It may be gone already.
            let _ =
                connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").await;
        }
    });
    let settings = [format!("company_service.listen={nobody}"), format!("recruitment_service.listen={address}")];
    let found = doctor(&fixture, &settings).await;
    answering.abort();
    assert_eq!(found.ran.code, 4);
    found.assert(&check_of(&data), "ok", &format!("in use by process {}", std::process::id()), "");
    found.assert(&format!("port {nobody}"), "warning", "nobody listens", "company_service.listen says where");
    let advice = "choose one with --set recruitment_service.listen=HOST:PORT";
    found.assert(&format!("port {address}"), "wrong", "does not tell whether it is ready", advice);
}

#[tokio::test]
async fn a_broker_that_refuses_connections_is_found() {
    let fixture = Fixture::start().await;
    let nobody = free_address();
    let found = doctor(&fixture, &[&elsewhere()[..], &[format!("kafka.brokers={nobody}")]].concat()).await;
    assert_eq!(found.ran.code, 4);
    found.assert("broker", "wrong", &format!("no broker answers on {nobody}"), "start one with `techleet up`");
    assert!(!found.all.iter().any(|finding| finding["check"] == "topics"), "what it has cannot be known");
}

#[tokio::test]
async fn a_topic_that_is_missing_is_found_and_made_by_the_command_that_is_named() {
    let fixture = with_topics().await;
    assert_eq!(fixture.techleet(&["topics", "delete", "company-events", "--yes"], "").await.code, 0);
    let found = doctor(&fixture, &elsewhere()).await;
    assert_eq!(found.ran.stderr, "techleet: one thing is wrong\n");
    found.assert("topic company-events", "wrong", "is missing", "techleet topics create company-events");
    obey(&fixture, found.of("topic company-events")).await;
    assert_eq!(doctor(&fixture, &elsewhere()).await.ran.code, 0);
}

#[tokio::test]
async fn a_group_that_lags_is_found_and_forgotten_by_the_command_that_is_named() {
    let fixture = with_topics().await;
    assert_eq!(fixture.techleet(&["produce", "user-events", "--partition", "0"], "1\n2\n3\n").await.code, 0);
    let read = ["consume", "user-events", "--group", "readers", "--from-beginning", "--max-messages", "2"];
    assert_eq!(fixture.techleet(&read, "").await.code, 0);
    let found = doctor(&fixture, &elsewhere()).await;
    assert_eq!(found.ran.code, 4);
    let advice = "if it is not used any more: techleet groups delete readers";
    found.assert("group readers", "wrong", "is behind by 1 and nobody reads for it", advice);
    obey(&fixture, found.of("group readers")).await;
    let cured = doctor(&fixture, &elsewhere()).await;
    assert_eq!(cured.ran.code, 0, "{:#?}", cured.all);
    cured.assert("groups", "ok", "none is behind", "");
}

/// Runs the command that an advice ends with.
async fn obey(fixture: &Fixture, finding: &Value) {
    let (_, command) = finding["advice"].as_str().unwrap().rsplit_once("techleet ").unwrap();
    let mut args: Vec<&str> = command.split(' ').collect();
    if args.contains(&"delete") {
        args.push("--yes");
    }
    let ran = fixture.techleet(&args, "").await;
    assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
}
