//! kill -9 at any moment under load, of everything in one process and of each part in its own: what was answered is
//! stored, is told of in order, and had each effect once.

use std::path::Path;
use std::time::Duration;

use e2e::ground::Ground;
use e2e::load::{Answers, Load};
use e2e::promises;
use e2e::soak::{self, Turns};
use e2e::stage::{self, Stage};
use e2e::system::{Layout, PARTS, System, UP};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::background::LIBRARIES;

/// One for all parts, so that each can be asked.
const TOKEN: &str = "auth.operator_token=an operator token for all that is killed";
const SEED: u64 = 7;
/// A process lives this long under load before it is killed: somewhere between these, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 1..400;
/// After so many kills everything is looked at, and the next ones begin in empty folders.
const KILLS_PER_LOOK: usize = 20;
/// How much longer each kill lets a test be.
const KILL_MAX: Duration = Duration::from_secs(30);
/// The parts whose end the load's clients notice.
const ASKED: [&str; 2] = [UP, "user-service"];

#[tokio::test(flavor = "multi_thread")]
async fn answers_hold_while_the_process_is_killed_under_load() {
    killed_under_load(Layout::Together).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_hold_while_each_part_is_killed_under_load() {
    killed_under_load(Layout::Apart).await;
}

async fn killed_under_load(layout: Layout) {
    let kills = soak::load_kills(match layout {
        Layout::Together => 1,
        // The parts and the broker, one after the other.
        Layout::Apart | Layout::Copies => PARTS.len() + 1,
    });
    let longer = KILL_MAX * u32::try_from(kills).unwrap();
    stage::within_time(longer, async |stage| {
        let mut random = StdRng::seed_from_u64(SEED);
        let (mut killed, mut answered, mut turns) = (0, 0, Turns::default());
        while killed < kills {
            let until_look = KILLS_PER_LOOK.min(kills - killed);
            answered += kill_and_look(stage, layout, until_look, &mut random, &mut turns).await;
            killed += until_look;
            soak::progress(&format!("{layout:?}, under load: {killed} of {kills} kills, {answered} answers kept"));
        }
        soak::report(&format!("{layout:?}, under load"), killed, answered);
    })
    .await;
}

/// Kills and starts again, so many times, and looks whether every answer holds; tells how many there were.
async fn kill_and_look(stage: &Stage, layout: Layout, kills: usize, random: &mut StdRng, turns: &mut Turns) -> usize {
    stage.enter("the start");
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::of_run(Path::new(LIBRARIES)).await.unwrap();
    let mut system = System::start_on(&ground, layout, folder.path(), &[TOKEN.to_owned()]).await.unwrap();
    let mut answers = Answers::default();
    let mut load = Load::begin(&system, "k").unwrap();
    for kill in 0..kills {
        let life = Duration::from_millis(random.random_range(LIFE_MS));
        // The wait is the experiment: at any moment, under load.
        let _ = tokio::time::timeout(life, std::future::pending::<()>()).await;
        let victim = turns.next(&system.processes());
        stage.enter(format!("kill {} of {kills}: {victim}", kill + 1));
        system.kill(victim).await.unwrap();
        turns.killed(victim);
        let is_cut_off = ASKED.contains(&victim);
        system.start_process(victim).await.unwrap();
        if is_cut_off {
            answers.extend(load.lost().await);
            load = Load::begin(&system, &format!("k{kill}")).unwrap();
        }
    }
    answers.extend(load.end().await);
    turns.assert_fair(&system.processes());
    stage.enter("the look at every answer");
    promises::check_all(&system, &answers.acknowledged).await.unwrap();
    promises::check_projections(&system).await.unwrap();
    stage.enter("the stop");
    system.stop().await.unwrap();
    answers.acknowledged.len()
}
