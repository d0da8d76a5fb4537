//! The hiring story: in one process, with every part in its own, and while processes are killed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use demo::Plan;
use demo::story::Told;
use e2e::ground::Ground;
use e2e::stage::{self, Stage};
use e2e::system::{Layout, System};
use e2e::{end_state, soak};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;

use crate::background::LIBRARIES;

/// How long a process lives before it is killed: somewhere between these, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 150..900;
const SEED: u64 = 11;
/// How much longer each kill lets a test be.
const KILL_MAX: Duration = Duration::from_secs(30);

async fn told_and_checked(layout: Layout) {
    stage::within_time(Duration::ZERO, async |stage| {
        stage.enter("the start");
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
        let system = System::start_on(&ground, layout, folder.path(), &[]).await.unwrap();
        stage.enter("the story");
        let plan = Plan { companies: 2, employees: 12, jobs: 2, applications: 12, ..Plan::default() };
        let told = demo::tell(stage::story(&system, plan).unwrap()).await.unwrap();
        stage.enter("the end state");
        end_state::check(&system, &[told]).await.unwrap();
        stage.enter("the stop");
        system.stop().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_in_one_process() {
    told_and_checked(Layout::Together).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_with_every_part_in_its_own_process() {
    told_and_checked(Layout::Apart).await;
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
    let mut killed = 0;
    let mut all_told: Vec<Told> = Vec::new();
    while killed < kills {
        let plan = Plan { companies: 1, employees: 9, jobs: 2, applications: 9, ..Plan::default() };
        let (telling, is_told) = begin(&system, plan);
        let number = all_told.len() + 1;
        while killed < kills && !is_told.load(Ordering::SeqCst) {
            let life = Duration::from_millis(random.random_range(LIFE_MS));
            // The wait is the experiment: at any moment, and the story goes on meanwhile.
            let _ = tokio::time::timeout(life, std::future::pending::<()>()).await;
            let processes = system.processes();
            let victim = processes[random.random_range(0..processes.len())];
            stage.enter(format!("story {number}, kill {} of {kills}: {victim}", killed + 1));
            system.kill(victim).await.unwrap();
            killed += 1;
            system.start_process(victim).await.unwrap();
        }
        stage.enter(format!("story {number}, after kill {killed} of {kills}"));
        all_told.push(telling.await.unwrap().unwrap());
    }
    stage.enter("the end state");
    end_state::check(&system, &all_told).await.unwrap();
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
