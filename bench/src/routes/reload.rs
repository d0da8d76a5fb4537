//! How soon a changed route file counts: from its being written to the first message that the new text has handled.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::system::System;
use eventkit::transport::Record;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, KafkaWriter, Start};

use super::contender::{Contender, container};
use super::job::{EVENTS, NOTIFICATIONS};
use super::table::{self, Figures};
use crate::process;

/// How often the file is changed.
const CHANGES: u32 = 20;
/// How often a record comes meanwhile.
const RECORD_EVERY: Duration = Duration::from_millis(2);
/// How long a change may take.
const CHANGE_MAX: Duration = Duration::from_secs(30);

const FILE: &str = "changing.yaml";

/// Changes a route that takes from a topic, again and again, while records come.
pub(super) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut system = super::broker(folder.path()).await?;
    container(&mut system, &[(FILE.to_owned(), text(0))]).await?;
    let config = KafkaConfig { brokers: system.broker(), ..KafkaConfig::default() };
    let writer = KafkaWriter::new(&config, &[("linger.ms".to_owned(), "0".to_owned())])?;
    let sending = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(RECORD_EVERY);
        for number in 0_u64.. {
            ticks.tick().await;
            let record = Record {
                topic: EVENTS.to_owned(),
                key: Some(format!("user-{}", number % 100).into()),
                value: Some("x".into()),
                headers: Vec::new(),
                timestamp_ms: None,
            };
            writer.send(&record, None).await?.acknowledged().await?;
        }
        anyhow::Ok(())
    });
    let took = tokio::task::spawn_blocking({
        let path = system.data_dir("container").join("routes").join(FILE);
        move || change(&config, &path)
    });
    let took = took.await??;
    ensure!(!sending.is_finished(), "records were refused");
    sending.abort();
    for ms in took {
        figures.add(Contender::Techleet, table::CHANGED, ms);
    }
    stop(system).await
}

async fn stop(mut system: System) -> anyhow::Result<()> {
    let rss = process::rss_peak_mib(system.process_id("container")?)?;
    ensure!(rss > 0.0, "a process has memory");
    system.interrupt("container").await?;
    system.stop().await
}

/// Writes the file, waits for what it makes, and says how long that took, in milliseconds.
fn change(config: &KafkaConfig, path: &Path) -> anyhow::Result<Vec<f64>> {
    let reader = KafkaReader::open(config, NOTIFICATIONS, None, Start::Beginning)?;
    until(&reader, 0)?;
    let mut took = Vec::new();
    for number in 1..=CHANGES {
        std::fs::write(path, text(number))?;
        let written = Instant::now();
        until(&reader, number)?;
        took.push(written.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}

/// Reads until a record comes that this text has made.
fn until(reader: &KafkaReader, number: u32) -> anyhow::Result<()> {
    let (wanted, began) = (format!("text {number}"), Instant::now());
    loop {
        let record = reader.next(CHANGE_MAX)?.with_context(|| format!("nothing came after change {number}"))?;
        if record.record.value.as_deref() == Some(wanted.as_bytes()) {
            return Ok(());
        }
        ensure!(began.elapsed() < CHANGE_MAX, "change {number} did not count within {CHANGE_MAX:?}");
    }
}

fn text(number: u32) -> String {
    format!(
        "- route:\n    id: changing\n    from:\n      uri: kafka:{EVENTS}\n      parameters: {{ groupId: changing, \
         autoOffsetReset: earliest }}\n      steps:\n        - setBody: {{ constant: \"text {number}\" }}\n        - to: \
         kafka:{NOTIFICATIONS}\n"
    )
}
