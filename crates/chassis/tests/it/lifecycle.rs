//! Parts: started in order, stopped in reverse, nothing half started.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::lifecycle::LifecycleConfig;
use chassis::{Error, Parts, Running, Shutdown};

use crate::support::soon;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Fault(&'static str);

/// How a part ends by itself.
type Ending = fn() -> Result<(), Fault>;

type Journal = Arc<Mutex<Vec<String>>>;

fn parts(shutdown: &Shutdown) -> Parts {
    let limits = LifecycleConfig { part_start_timeout_ms: 20_000, part_stop_timeout_ms: 20_000 };
    Parts::new(shutdown.clone(), &limits)
}

fn note(journal: &Journal, text: impl Into<String>) {
    journal.lock().unwrap().push(text.into());
}

/// A part that writes down its start and its stop.
async fn started(journal: &Journal, name: &'static str) -> Result<((), Running), Fault> {
    note(journal, format!("+{name}"));
    let journal = Arc::clone(journal);
    let running = Running::until_stopped(move || async move {
        note(&journal, format!("-{name}"));
        Ok::<(), Fault>(())
    });
    Ok(((), running))
}

async fn start_three(parts: &mut Parts, journal: &Journal) {
    for name in ["database", "relay", "http"] {
        parts.start(name, started(journal, name)).await.unwrap();
    }
}

fn taken(journal: &Journal) -> Vec<String> {
    journal.lock().unwrap().clone()
}

const ALL_STOPPED: [&str; 6] = ["+database", "+relay", "+http", "-http", "-relay", "-database"];

#[tokio::test]
async fn parts_stop_in_the_reverse_order_of_their_start() {
    let (shutdown, journal) = (Shutdown::new(), Journal::default());
    let mut parts = parts(&shutdown);
    start_three(&mut parts, &journal).await;
    shutdown.trigger();
    soon(parts.run()).await.unwrap();
    assert_eq!(taken(&journal), ALL_STOPPED);
}

#[tokio::test]
async fn part_that_fails_to_start_stops_those_before_it() {
    let (shutdown, journal) = (Shutdown::new(), Journal::default());
    let mut parts = parts(&shutdown);
    start_three(&mut parts, &journal).await;
    let failing = async { Err::<((), Running), _>(Fault("no port")) };
    let error = parts.start("console", failing).await.unwrap_err();
    assert!(matches!(&error, Error::PartStart { part, .. } if part == "console"), "{error:?}");
    assert_eq!(taken(&journal), ALL_STOPPED);
}

#[tokio::test(start_paused = true)]
async fn part_that_never_starts_is_given_up() {
    let (shutdown, journal) = (Shutdown::new(), Journal::default());
    let mut parts = parts(&shutdown);
    start_three(&mut parts, &journal).await;
    let stuck = std::future::pending::<Result<((), Running), Fault>>();
    let error = parts.start("console", stuck).await.unwrap_err();
    assert!(matches!(error, Error::PartStartTimedOut { limit_ms: 20_000, .. }), "{error:?}");
    assert_eq!(taken(&journal), ALL_STOPPED);
}

#[tokio::test]
async fn stop_asked_for_during_the_start_is_heard() {
    let (shutdown, journal) = (Shutdown::new(), Journal::default());
    let mut parts = parts(&shutdown);
    start_three(&mut parts, &journal).await;
    let stuck = async {
        shutdown.trigger();
        std::future::pending::<Result<((), Running), Fault>>().await
    };
    let error = soon(parts.start("console", stuck)).await.unwrap_err();
    assert!(matches!(error, Error::StartInterrupted { .. }), "{error:?}");
    assert_eq!(taken(&journal), ALL_STOPPED);
}

#[tokio::test]
async fn part_that_ends_by_itself_stops_the_process() {
    let cases: [(Ending, &str); 3] = [
        (|| Err(Fault("log is gone")), "broker failed"),
        (|| Ok(()), "broker ended without being asked to"),
        (|| panic!("a fault of the part"), "broker panicked"),
    ];
    for (end, message) in cases {
        let (shutdown, journal) = (Shutdown::new(), Journal::default());
        let mut parts = parts(&shutdown);
        start_three(&mut parts, &journal).await;
        let part = Running::spawn(move |_| async move { end() });
        parts.start("broker", async { Ok::<_, Fault>(((), part)) }).await.unwrap();
        let error = soon(parts.run()).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(shutdown.is_requested());
        assert_eq!(taken(&journal), ALL_STOPPED);
    }
}

#[tokio::test(start_paused = true)]
async fn part_that_never_stops_is_cut_off_and_the_others_still_stop() {
    let (shutdown, journal) = (Shutdown::new(), Journal::default());
    let mut parts = parts(&shutdown);
    start_three(&mut parts, &journal).await;
    let (dropped, gone) = tokio::sync::oneshot::channel::<()>();
    let stuck = Running::spawn(|_| async move {
        let _dropped = dropped;
        std::future::pending::<Result<(), Fault>>().await
    });
    parts.start("console", async { Ok::<_, Fault>(((), stuck)) }).await.unwrap();
    shutdown.trigger();
    let error = parts.run().await.unwrap_err();
    assert!(matches!(error, Error::PartStopTimedOut { .. }), "{error:?}");
    assert_eq!(taken(&journal), ALL_STOPPED);
    soon(gone).await.unwrap_err();
}

#[tokio::test]
async fn parts_that_are_dropped_are_asked_to_stop() {
    let (shutdown, journal) = (Shutdown::new(), Journal::default());
    let mut parts = parts(&shutdown);
    let (told, heard) = tokio::sync::oneshot::channel();
    let part = Running::spawn(|stop| async move {
        stop.cancelled().await;
        let _ = told.send(());
        Ok::<(), Fault>(())
    });
    parts.start("relay", async { Ok::<_, Fault>(((), part)) }).await.unwrap();
    drop(parts);
    soon(heard).await.unwrap();
    assert!(taken(&journal).is_empty());
}

#[tokio::test]
async fn value_of_a_started_part_reaches_the_next() {
    let mut parts = parts(&Shutdown::new());
    let idle = Running::until_stopped(|| async { Ok::<(), Fault>(()) });
    let port = parts.start("broker", async { Ok::<_, Fault>((9092, idle)) }).await.unwrap();
    assert_eq!(port, 9092);
    tokio::time::timeout(Duration::from_secs(20), parts.stop()).await.unwrap().unwrap();
}
