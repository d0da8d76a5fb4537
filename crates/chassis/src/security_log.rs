//! Records refused access as `audit.security` events, without letting a flood of refusals become a flood of events.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::audit::{Actor, AuditSecurity, Incident};
use eventkit::{EventPublisher, Origin};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Records that may wait to be stored; further ones are only counted.
const WAITING_MAX: usize = 64;
/// The pause after each record: at most fifty a second are stored.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes note of refused access; a cheap handle to clone.
#[derive(Clone, Debug)]
pub struct SecurityLog {
    entity: Arc<str>,
    waiting: mpsc::Sender<AuditSecurity>,
    suppressed: Arc<AtomicU64>,
}

impl SecurityLog {
    /// Stores what is recorded in the outbox of `part`; ends, with everything stored, once every handle is gone.
    #[must_use]
    pub fn start(part: &str, publisher: EventPublisher) -> (Self, JoinHandle<()>) {
        let (waiting, recorded) = mpsc::channel(WAITING_MAX);
        let suppressed = Arc::new(AtomicU64::new(0));
        let log = Self { entity: format!("part-{part}").into(), waiting, suppressed: suppressed.clone() };
        (log, tokio::spawn(store(recorded, suppressed, publisher)))
    }

    /// Takes note of one refusal; never waits.
    pub fn record(&self, incident: Incident, actor: Option<Actor>, request: String, address: Option<IpAddr>) {
        let record = AuditSecurity {
            incident,
            entity: self.entity.to_string(),
            actor,
            request: Some(request),
            ip_address: address.map(|address| address.to_string()),
            suppressed: 0,
        };
        if self.waiting.try_send(record).is_err() {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn store(mut recorded: mpsc::Receiver<AuditSecurity>, suppressed: Arc<AtomicU64>, publisher: EventPublisher) {
    while let Some(mut record) = recorded.recv().await {
        record.suppressed = suppressed.swap(0, Ordering::Relaxed);
        let mut work = publisher.begin(Origin::default());
        let stored = async {
            work.publish(&record).await?;
            work.commit().await
        };
        if let Err(error) = stored.await {
            suppressed.fetch_add(1 + record.suppressed, Ordering::Relaxed);
            tracing::warn!(error = eventkit::chain(&error), "a refused access could not be recorded");
        }
        sleep(PAUSE).await;
    }
}
