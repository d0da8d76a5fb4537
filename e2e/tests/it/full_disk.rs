//! Disks that are really full, that of the part which is asked and that of the broker: requests are refused with a clear
//! answer or go on, and when there is room again nothing is missing that was answered.

use e2e::infrastructure::is_required;
use e2e::load::{Answers, Load};
use e2e::promises::{self, arrived};
use e2e::small_disk::SmallDisk;
use e2e::system::{BROKER, Layout, System};

const TOKEN: &str = "auth.operator_token=an operator token for all that is full";
const USERS: &str = "user-service";
/// Room for what a start writes and some thousand requests.
const DISK_BYTES: usize = 64 * 1024 * 1024;
const REQUESTS: usize = 20;
const REFUSALS: usize = 5;
/// An event that waits for so long waits for room.
const WAITS_SECONDS: f64 = 2.0;

#[tokio::test(flavor = "multi_thread")]
async fn full_disks_refuse_requests_and_lose_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut system = System::prepare(Layout::Apart, folder.path(), &[TOKEN.to_owned()]).await.unwrap();
    let Some((users, broker)) = disks(&system).await else { return };
    system.put_on(USERS, &users).unwrap();
    system.put_on(BROKER, &broker).unwrap();
    system.start_all().await.unwrap();
    let mut answers = Answers::default();

    let load = Load::begin_unhurried(&system, "users").unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();
    users.fill().unwrap();
    load.more_refused(REFUSALS).await.unwrap();
    users.make_room().unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();
    answers.extend(load.end().await);
    promises::check_all(&system, &answers.acknowledged).await.unwrap();

    let load = Load::begin_unhurried(&system, "broker").unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();
    broker.fill().unwrap();
    arrived("events wait for the broker", async || {
        load.more_acknowledged(1).await?;
        Ok((waits_seconds(&system).await? > WAITS_SECONDS).then_some(()))
    })
    .await
    .unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();
    broker.make_room().unwrap();
    load.more_acknowledged(REQUESTS).await.unwrap();
    let of_broker = load.end().await;
    assert_eq!(of_broker.refused, 0, "requests do not need the broker");
    answers.extend(of_broker);
    promises::check_all(&system, &answers.acknowledged).await.unwrap();

    // What was stored between the two is there after a death too.
    for process in [BROKER, USERS] {
        system.kill(process).await.unwrap();
        system.start_process(process).await.unwrap();
    }
    promises::check_all(&system, &answers.acknowledged).await.unwrap();
    promises::check_projections(&system).await.unwrap();
    system.stop().await.unwrap();
}

/// One for the user-service and one for the broker, where that is allowed.
#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
async fn disks(system: &System) -> Option<(SmallDisk, SmallDisk)> {
    let mut disks = Vec::new();
    for process in [USERS, BROKER] {
        match SmallDisk::mount(&system.data_dir(process), DISK_BYTES).await {
            Ok(disk) => disks.push(disk),
            Err(why) => {
                assert!(!is_required(), "{why:#}");
                eprintln!("{why:#}: this test is left out");
                return None;
            }
        }
    }
    let broker = disks.pop()?;
    disks.pop().map(|users| (users, broker))
}

/// For how long the oldest event has waited that is not on its topic.
async fn waits_seconds(system: &System) -> anyhow::Result<f64> {
    let text = reqwest::get(format!("{}/metrics", system.url(USERS))).await?.text().await?;
    let ages = text.lines().filter(|line| line.starts_with("eventkit_oldest_unpublished_seconds"));
    let ages = ages.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    Ok(ages.fold(0.0, f64::max))
}
