//! The guide to production, taken at its word: every step of the page is run against Apache Kafka, PostgreSQL and Redis.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use e2e::infrastructure::{BACKGROUND, Infrastructure, Metadata, REQUIRED, is_required};
use e2e::program;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use crate::background::LIBRARIES;

const PAGE: &str = include_str!("../../../docs/guide/production.md");
/// How long all steps may take on a busy machine.
const STEPS_MAX: Duration = Duration::from_secs(420);
/// What others on the machine see of the parts, and their end.
const END: &str = "ps -o args= -p \"$(cat ./*.pid | paste -s -d ,)\" > processes.out\nkill $(cat ./*.pid)\n";
/// The parts' addresses, as the page has them and as variables that choose others.
const PARTS: [&str; 4] = ["USER_SERVICE", "COMPANY_SERVICE", "RECRUITMENT_SERVICE", "CONTAINER"];

/// The blocks of the page in one language, in order.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = PAGE;
    let mark = format!("\n```{language}\n");
    while let Some((_, after)) = rest.split_once(&mark) {
        let (block, after) = after.split_once("\n```").expect("a block ends");
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}

#[test]
fn properties_of_the_page_are_the_file_that_it_names() {
    let file = std::fs::read_to_string(Path::new(BACKGROUND).join("native/secured.properties")).unwrap();
    assert_eq!(blocks("properties"), [file.trim_end()]);
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
async fn every_step_of_the_production_guide_works() {
    if !is_required() {
        eprintln!("no {REQUIRED}: this test with real servers is left out");
        return;
    }
    let infrastructure = Infrastructure::new(Metadata::KRaft, Path::new(LIBRARIES)).unwrap();
    infrastructure.start_databases().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Shell::begin(&infrastructure, folder.path()).await;
    let ended = tokio::time::timeout(STEPS_MAX, shell.child.wait()).await;
    let said = std::fs::read_to_string(folder.path().join("steps.log")).unwrap();
    let status = ended.unwrap_or_else(|_| panic!("not through in time: {said}")).unwrap();
    assert!(status.success(), "{said}{}", logs(folder.path()));
    no_secret_shows(folder.path(), &said);
}

/// The page as one script; whatever it started ends when this is dropped.
struct Shell {
    child: tokio::process::Child,
    group: Pid,
}

impl Shell {
    async fn begin(infrastructure: &Infrastructure, folder: &Path) -> Self {
        let script = folder.join("steps.sh");
        let steps = blocks("sh").join("\n\n");
        // Each command is told before it runs, but with its words as the page has them: no value of a variable shows.
        std::fs::write(&script, format!("set -euo pipefail\nset -v\n{steps}\n{END}")).unwrap();
        let log = std::fs::File::create(folder.join("steps.log")).unwrap();
        let programs = program::path().unwrap().parent().unwrap().to_owned();
        let path = [infrastructure.tools().await.unwrap(), programs]
            .iter()
            .map(|folder: &PathBuf| format!("{}:", folder.display()))
            .collect::<String>();
        let mut command = Command::new("bash");
        command.arg(&script).current_dir(folder).env("PATH", path + &program::path_variable());
        command.env("repository", Path::new(BACKGROUND).parent().unwrap());
        for (name, part) in
            [("kafka", "kafka"), ("kafka_internal", "kafka-internal"), ("kafka_controller", "kafka-controller")]
        {
            command.env(name, format!("localhost:{}", infrastructure.port(part)));
        }
        command.env("database_url", infrastructure.database_url());
        command.env("redis_port", infrastructure.port("redis").to_string()).env("redis_password", "techleet123");
        let listeners = PARTS.map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        for (part, listener) in PARTS.iter().zip(&listeners) {
            let address = listener.local_addr().unwrap();
            command.env(format!("TECHLEET_{part}__LISTEN"), address.to_string());
            command.env(part.to_lowercase(), format!("http://{address}"));
        }
        drop(listeners);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let child = command.spawn().unwrap();
        let group = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
        Self { child, group }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // All ended already is as good.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

/// What the parts and Kafka said.
fn logs(folder: &Path) -> String {
    let mut logs = String::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|extension| extension == "log") {
            logs.push_str(&format!("\n{}:\n{}", entry.display(), std::fs::read_to_string(&entry).unwrap()));
        }
    }
    logs
}

/// Not in a log, not in what was printed, not in the list of processes.
fn no_secret_shows(folder: &Path, said: &str) {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let parts = ["user-service", "company-service", "recruitment-service", "container"];
    let mut text = logs(folder) + said + &read("printed");
    parts.iter().for_each(|part| text.push_str(&read(&format!("{part}.out"))));
    let processes = read("processes.out");
    assert_eq!(processes.matches("techleet run ").count(), parts.len(), "{processes}");
    text.push_str(&processes);
    let mut looked_for = 0;
    for entry in std::fs::read_dir(folder.join("secrets")).unwrap().map(|entry| entry.unwrap().path()) {
        let secret = std::fs::read_to_string(&entry).unwrap_or_default();
        let secret = match entry.extension().and_then(|extension| extension.to_str()) {
            Some("password" | "token") => secret.trim(),
            Some("url") => password_of(secret.trim()),
            _ => continue,
        };
        assert!(secret.len() > 8 && !text.contains(secret), "what is in {} shows", entry.display());
        looked_for += 1;
    }
    assert!(looked_for >= parts.len() + 3, "of each part, of Redis, of the database, of the operator: {looked_for}");
}

/// What stands between the user and the host.
fn password_of(url: &str) -> &str {
    let (before_host, _) = url.rsplit_once('@').unwrap();
    before_host.rsplit_once(':').unwrap().1
}
