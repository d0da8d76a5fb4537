//! Stories told to a broker, with what clients are told meanwhile: what disks that fail and disks that forget are tried on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use broker::{Broker, Config, Disk, SecurityConfig, TopicSpec};

use super::batch::{Stamp, batch, keyed};
use super::disk::Lazy;
use super::history::{History, Keeps, Sent};
use super::member::Member;
use super::txn::Txn;
use super::{Running, eventually};

/// Records of a story about keys.
const KEYED: i64 = 60;
const KEYS: i64 = 5;

fn config(data_dir: &Path, disk: Arc<dyn Disk>) -> Config {
    // Rules are kept, and who asks for nothing but an answer may do everything.
    let security =
        SecurityConfig { authorize: true, super_users: "User:ANONYMOUS".to_owned(), ..SecurityConfig::default() };
    Config {
        security,
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: data_dir.to_owned(),
        checkpoint_interval_ms: 5,
        compaction_check_interval_ms: 10,
        retention_check_interval_ms: 10,
        disk,
        ..Config::default()
    }
}

/// A broker in this directory on this disk, which looks after its segments all the time.
pub(crate) async fn start(data_dir: &Path, disk: Arc<dyn Disk>) -> Result<Running, broker::Error> {
    let config = config(data_dir, disk);
    Broker::start(config.clone()).await.map(|broker| Running::of(broker, config))
}

/// The topic of [`tell`].
pub(crate) fn topic() -> TopicSpec {
    let configs = [("segment.bytes".to_owned(), "1024".to_owned())].into();
    TopicSpec { name: "t".to_owned(), partitions: 1, configs }
}

/// Records, positions, and unless `plain` transactions, with what clients are told; `now` is the time of the disk.
pub(crate) async fn tell(broker: &Running, plain: bool, now: impl Fn() -> usize) -> History {
    let mut history = History::default();
    let mut wire = broker.wire().await;
    let mut outside = Member::new(broker, "g", None).await;
    let mut txn = if plain { None } else { Some(Txn::begin(broker, "tx").await) };
    for round in 0..18 {
        let value = format!("plain {round} {}", "x".repeat(120));
        let produced = wire.produce("t", 0, batch(&[&value])).await;
        let sent = if produced.error_code == 0 { Sent::At(produced.base_offset) } else { Sent::Unknown };
        history.sent(now(), &value, sent);
        if round % 3 == 0 {
            history.tried_position(round);
            if outside.commit("t", round, "").await == 0 {
                history.committed_position(now(), round);
            }
        }
        if let Some(txn) = txn.as_mut().filter(|_| round % 2 == 0) {
            let value = format!("transactional {round}");
            assert!(transact(txn, &mut history, &now, &value, round % 4 == 0).await, "round {round}");
        }
        let (_, high_watermark) = wire.watermarks("t", 0).await;
        history.saw_high_watermark(now(), high_watermark);
    }
    history
}

/// Errors of transactions after which a story has no more of them: each may take seconds.
const ERRORS_MAX: usize = 2;

/// Transactions on a disk that fails meanwhile: after an error their producer begins anew, as clients do.
pub(crate) async fn tell_transactions(broker: &Running) -> History {
    let mut history = History::default();
    let mut txn = Txn::new(broker, "tx").await;
    let (mut errors, mut begun) = (0, false);
    for round in 0..10 {
        if errors == ERRORS_MAX {
            break;
        }
        let value = format!("transactional {round}");
        begun = begun || txn.init(60_000).await == 0;
        begun = begun && transact(&mut txn, &mut history, || 0, &value, round % 2 == 0).await;
        errors += usize::from(!begun);
        let produced = txn.wire.produce("t", 0, batch(&[&format!("plain {round}")])).await;
        let sent = if produced.error_code == 0 { Sent::At(produced.base_offset) } else { Sent::Unknown };
        history.sent_by(1, 0, &format!("plain {round}"), sent);
    }
    history
}

/// One transaction of one record; `false` if anything of it was answered with an error.
async fn transact(txn: &mut Txn, history: &mut History, now: impl Fn() -> usize, value: &str, commits: bool) -> bool {
    history.opened(value);
    if txn.add("t").await != 0 {
        return false;
    }
    history.sent(now(), value, Sent::Unknown);
    if txn.produce("t", value).await != 0 {
        return false;
    }
    history.asked(now(), value, commits);
    if txn.end(commits).await != 0 {
        return false;
    }
    history.answered(now(), value);
    true
}

/// The topic of [`tell_keyed`].
pub(crate) fn topic_that(keeps: Keeps) -> TopicSpec {
    let lets_go = match keeps {
        Keeps::LastOfKey => [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")],
        _ => [("retention.bytes", "3000"), ("file.delete.delay.ms", "0")],
    };
    let configs = lets_go.into_iter().chain([("segment.bytes", "1024")]);
    let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    TopicSpec { name: "t".to_owned(), partitions: 1, configs }
}

/// Records with few keys, to a topic in small segments that keeps the last of each or the end of the log.
pub(crate) async fn tell_keyed(broker: &Running, keeps: Keeps, now: impl Fn() -> usize) -> History {
    let mut history = History::of(keeps);
    let mut wire = broker.wire().await;
    for at in 0..KEYED {
        let value = format!("k{}/{at} {}", at % KEYS, "x".repeat(120));
        let record = (value.split('/').next(), Some(value.as_str()));
        let produced = wire.produce("t", 0, keyed(Stamp::default(), &[record])).await;
        let sent = if produced.error_code == 0 { Sent::At(produced.base_offset) } else { Sent::Unknown };
        history.sent(now(), &value, sent);
        let (_, high_watermark) = wire.watermarks("t", 0).await;
        history.saw_high_watermark(now(), high_watermark);
    }
    history
}

/// Waits until the broker has let go of some of what [`tell_keyed`] told.
pub(crate) async fn let_go(broker: &Running) {
    eventually("old records are let go of", || async {
        let shown = super::look::look(&mut broker.wire().await, "t", "g").await;
        (shown.everything.len() < usize::try_from(KEYED / 2).unwrap()).then_some(())
    })
    .await;
}

/// A broker on a good disk, once the one before has let go of the directory.
pub(crate) async fn start_when_free(data_dir: &Path) -> Running {
    start_when_free_on(data_dir, Arc::new(Lazy)).await
}

/// The same on this disk.
pub(crate) async fn start_when_free_on(data_dir: &Path, disk: Arc<dyn Disk>) -> Running {
    eventually("the directory is free", || async {
        match start(data_dir, Arc::clone(&disk)).await {
            Ok(broker) => Some(broker),
            Err(broker::Error::Locked { .. }) => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await
}

/// The log file of the topic that was made first, which is that of groups.
pub(crate) fn offsets_log(data_dir: &Path) -> PathBuf {
    let topics = std::fs::read_dir(data_dir.join("topics")).unwrap();
    let first = topics.map(|topic| topic.unwrap().path()).min().unwrap();
    first.join("0").join(format!("{:020}.log", 0))
}

/// The log file of the topic that was made last: ids of topics rise.
pub(crate) fn log_file(data_dir: &Path) -> PathBuf {
    let topics = std::fs::read_dir(data_dir.join("topics")).unwrap();
    let last = topics.map(|topic| topic.unwrap().path()).max().unwrap();
    last.join("0").join(format!("{:020}.log", 0))
}
