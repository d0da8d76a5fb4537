//! The hiring story: in one process, with every part in its own, and while processes are killed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use demo::story::Told;
use demo::{Plan, Progress, Story};
use e2e::end_state;
use e2e::ground::Ground;
use e2e::soak::{self, Turns};
use e2e::stage::{self, Stage};
use e2e::system::{Layout, System};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::background::LIBRARIES;
use crate::demo_command;

/// How long a process lives before it is killed: somewhere between these, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 150..900;
const SEED: u64 = 11;
/// How much longer each kill lets a test be.
const KILL_MAX: Duration = Duration::from_secs(30);

/// Tells a story and looks at all that follows from it; then `afterwards` goes on with the system.
async fn told_and_checked(layout: Layout, afterwards: impl AsyncFnOnce(&Stage, &mut System, &Told)) {
    stage::within_time(Duration::ZERO, async |stage| {
        stage.enter("the start");
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
        let mut system = System::start_on(&ground, layout, folder.path(), &[]).await.unwrap();
        stage.enter("the story");
        let plan = Plan { companies: 2, employees: 12, jobs: 2, applications: 12, ..Plan::default() };
        let steps = Arc::new(Mutex::new(Vec::new()));
        let seen = steps.clone();
        let progress: Progress = Arc::new(move |done, all| seen.lock().unwrap().push((done, all)));
        let story = Story { progress, ..stage::story(&system, plan).unwrap() };
        let mut told = [demo::tell(story).await.unwrap()];
        let all = plan.companies + plan.employees + plan.jobs + 2 * plan.applications;
        assert_eq!(*steps.lock().unwrap(), (1..=all).map(|done| (done, all)).collect::<Vec<_>>());
        stage.enter("the end state");
        end_state::check(&system, &mut told).await.unwrap();
        afterwards(stage, &mut system, &told[0]).await;
        stage.enter("the stop");
        system.stop().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_in_one_process_and_as_a_command() {
    told_and_checked(Layout::Together, async |stage, system, told| {
        stage.enter("the command");
        demo_command::tells_all(system, told).await;
        stage.enter("the command, with an event too many");
        demo_command::one_event_too_many(system, told).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_with_every_part_in_its_own_process_and_a_session_ends_in_all_of_them() {
    told_and_checked(Layout::Apart, async |stage, system, told| {
        sessions_end_everywhere(stage, system, told).await;
        stage.enter("another configuration");
        the_trail_tells_of_starts_and_stops(system).await;
    })
    .await;
}

/// The user-service was killed and started again; the company-service stops and starts with another configuration.
async fn the_trail_tells_of_starts_and_stops(system: &mut System) {
    system.interrupt("company-service").await.unwrap();
    system.configure("http.requests_in_flight_max=200");
    system.start_process("company-service").await.unwrap();
    let expected = [
        ("user-service", &["started", "started"][..]),
        ("company-service", &["started", "stopping", "started", "reconfigured"]),
        ("recruitment-service", &["started"]),
        ("container", &["started"]),
    ];
    for (part, expected) in expected {
        let entity = format!("part-{part}");
        let told = stage::eventually("the trail tells of every start and stop", async || {
            let options = ["audit", "list", "--limit", "100000", "--format", "json"];
            let listed = system.run("container", &options).await.ok()?;
            let records = listed.stdout.lines().map(serde_json::from_str::<Value>);
            let records = records.collect::<Result<Vec<_>, _>>().ok()?.into_iter();
            let of_part = records.filter(|record| record["entity"] == entity && record["eventType"] == "audit.system");
            let told = of_part.map(|record| record["envelope"]["data"]["occurrence"].as_str().map(str::to_owned));
            let told: Vec<String> = told.collect::<Option<_>>()?;
            (told.len() >= expected.len()).then_some(told)
        })
        .await;
        assert_eq!(told, expected, "{part}");
    }
}

/// Who asks each of the parts that ask the user-service.
const ASKED: [(&str, &str); 3] =
    [("company-service", "companies"), ("recruitment-service", "job-postings"), ("container", "audit")];
/// How long an answer of the user-service may count elsewhere.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(1);

/// Without the user-service no session is let in, and once it ended it is let in nowhere.
async fn sessions_end_everywhere(stage: &Stage, system: &mut System, told: &Told) {
    let session = told.admin_token.as_str();
    stage.enter("a session everywhere");
    assert_answered(system, session, 200).await;
    stage.enter("sessions without the user-service");
    system.kill("user-service").await.unwrap();
    a_second_later().await;
    assert_answered(system, session, 503).await;
    for (part, path) in ASKED {
        let operator = system.operator_token(part).unwrap();
        assert_eq!(status(system, part, path, &operator).await, 200, "{part} knows its operator by itself");
    }
    system.start_process("user-service").await.unwrap();
    assert_answered(system, session, 200).await;
    stage.enter("a session that ended");
    let url = format!("{}/api/v1/sessions/current", system.url("user-service"));
    let ended = chassis::net::client().delete(url).bearer_auth(session).send().await.unwrap();
    assert_eq!(ended.status(), 204);
    a_second_later().await;
    assert_answered(system, session, 401).await;
}

/// The wait is the experiment: after it no older answer may count.
async fn a_second_later() {
    let _ = tokio::time::timeout(ANSWER_AGE_MAX, std::future::pending::<()>()).await;
}

async fn assert_answered(system: &System, token: &str, expected: u16) {
    for (part, path) in ASKED {
        assert_eq!(status(system, part, path, token).await, expected, "{part}");
    }
}

async fn status(system: &System, part: &str, path: &str, token: &str) -> u16 {
    let url = format!("{}/api/v1/{path}", system.url(part));
    chassis::net::client().get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_while_the_process_is_killed() {
    told_under_kills(Layout::Together).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_while_each_part_is_killed() {
    told_under_kills(Layout::Apart).await;
}

/// Tells stories, one after the other, while processes are killed and started again, until there were enough kills.
async fn told_under_kills(layout: Layout) {
    let kills = soak::kills();
    let longer = KILL_MAX * u32::try_from(kills).unwrap();
    stage::within_time(longer, async |stage| tell_and_kill(stage, layout, kills).await).await;
}

async fn tell_and_kill(stage: &Stage, layout: Layout, kills: usize) {
    stage.enter("the start");
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    let mut system = System::start_on(&ground, layout, folder.path(), &[]).await.unwrap();
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut killed, mut turns) = (0, Turns::default());
    let mut all_told: Vec<Told> = Vec::new();
    while killed < kills {
        let plan = Plan { companies: 1, employees: 9, jobs: 2, applications: 9, ..Plan::default() };
        let (telling, is_told) = begin(&system, plan);
        let number = all_told.len() + 1;
        while killed < kills && !is_told.load(Ordering::SeqCst) {
            let life = Duration::from_millis(random.random_range(LIFE_MS));
            // The wait is the experiment: at any moment, and the story goes on meanwhile.
            let _ = tokio::time::timeout(life, std::future::pending::<()>()).await;
            let victim = turns.next(&system.processes());
            stage.enter(format!("story {number}, kill {} of {kills}: {victim}", killed + 1));
            system.kill(victim).await.unwrap();
            turns.killed(victim);
            killed += 1;
            system.start_process(victim).await.unwrap();
        }
        stage.enter(format!("story {number}, after kill {killed} of {kills}"));
        all_told.push(telling.await.unwrap().unwrap());
    }
    turns.assert_fair(&system.processes());
    stage.enter("the end state");
    end_state::check(&system, &mut all_told).await.unwrap();
    stage.enter("the stop");
    soak::report(&format!("{layout:?}"), killed, all_told.iter().map(|told| told.ledger.events()).sum());
    system.stop().await.unwrap();
}

fn begin(system: &System, plan: Plan) -> (JoinHandle<Result<Told, demo::Error>>, Arc<AtomicBool>) {
    let story = stage::story(system, plan).unwrap();
    let is_told = Arc::new(AtomicBool::new(false));
    let flag = is_told.clone();
    let telling = tokio::spawn(async move {
        let told = demo::tell(story).await;
        flag.store(true, Ordering::SeqCst);
        told
    });
    (telling, is_told)
}
