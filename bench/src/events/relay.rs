//! How fast a relay works off a backlog, into topics in memory; and whether a backlog that grew makes an event dearer.

use std::sync::Arc;
use std::time::Duration;

use eventkit::relay::{self, RelayConfig};
use eventkit::transport::memory::MemoryTransport;

use super::{LOOK_EVERY, Lines, SERVICE, Stopwatch, Store};

const STOP_MAX: Duration = Duration::from_secs(5);
/// The small backlog is the large one's tenth, hundredth …, down to this.
const BACKLOG_MIN: u32 = 10_000;

/// On each database, backlogs of up to `events`, each ten times as large as the one before.
pub(crate) async fn measure(events: u32) -> anyhow::Result<Lines> {
    let mut backlogs = vec![events];
    while backlogs[0] / 10 >= BACKLOG_MIN {
        backlogs.insert(0, backlogs[0] / 10);
    }
    let mut lines = Vec::new();
    for backlog in backlogs {
        for store in Store::both().await? {
            let watch = Stopwatch::begin()?;
            store.fill(backlog).await?;
            lines.push(watch.end(&store, "store, 500 a unit", backlog)?);

            let transport = Arc::new(MemoryTransport::new());
            let watch = Stopwatch::begin()?;
            let relay = relay::start(RelayConfig::new(SERVICE, SERVICE), store.publisher.clone(), transport.clone());
            while transport.total() < usize::try_from(backlog)? {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            lines.push(watch.end(&store, "relay", backlog)?);
            relay.stop(STOP_MAX).await;
            store.publisher.db().close().await;
        }
    }
    Ok(Lines(lines))
}
