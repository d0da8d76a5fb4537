//! Links of invitations, which only `notification.email` events tell.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::NOTIFICATION_EVENTS;
use eventkit::Envelope;
use eventkit::transport::kafka::{KafkaConfig, KafkaReader, Start};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::error::Error;

/// The template whose notifications carry a link.
const TEMPLATE: &str = "user-invitation";
/// What stands before the token in a link.
const TOKEN_PARAMETER: &str = "token=";
/// How long a link is waited for.
const WAIT_MAX: Duration = Duration::from_secs(90);
/// Bounds how late the end of the story is noticed.
const POLL_MAX: Duration = Duration::from_millis(100);
/// How long a topic that cannot be read now is left alone.
const PAUSE: Duration = Duration::from_millis(200);

/// Collects the tokens of invitations from when it is opened on.
#[derive(Debug)]
pub struct Invitations {
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    tokens: Mutex<HashMap<i64, String>>,
    came: Notify,
    is_over: AtomicBool,
}

impl Shared {
    fn token(&self, employee_id: i64) -> Option<String> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).get(&employee_id).cloned()
    }
}

impl Invitations {
    /// Reads the notifications of everything that happens after `since_ms`.
    pub fn open(kafka: &KafkaConfig, since_ms: i64) -> Self {
        let shared = Arc::new(Shared::default());
        let (kafka, sharing) = (kafka.clone(), shared.clone());
        let reader = tokio::task::spawn_blocking(move || collect(&kafka, since_ms, &sharing));
        Self { shared, reader }
    }

    /// Those that have come already.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(tokens: [(i64, &str); N]) -> Self {
        let tokens = tokens.into_iter().map(|(id, token)| (id, token.to_owned())).collect();
        let shared = Shared { tokens: Mutex::new(tokens), ..Shared::default() };
        Self { shared: Arc::new(shared), reader: tokio::spawn(std::future::ready(())) }
    }

    /// The token with which an employee accepts the newest invitation.
    ///
    /// # Errors
    /// [`Error::NoInvitation`] when none comes.
    pub async fn token(&self, employee_id: i64) -> Result<String, Error> {
        let waited = tokio::time::timeout(WAIT_MAX, async {
            loop {
                let came = self.shared.came.notified();
                if let Some(token) = self.shared.token(employee_id) {
                    return token;
                }
                came.await;
            }
        });
        waited.await.map_err(|_| Error::NoInvitation { employee_id, seconds: WAIT_MAX.as_secs() })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::Task`] when it died before.
    pub async fn close(self) -> Result<(), Error> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        Ok(self.reader.await?)
    }
}

/// Reads until the story is over; opens the topic anew whenever the broker was away.
fn collect(kafka: &KafkaConfig, since_ms: i64, shared: &Shared) {
    while !shared.is_over.load(Ordering::Relaxed) {
        let Ok(reader) = KafkaReader::open(kafka, NOTIFICATION_EVENTS, None, Start::Time(since_ms)) else {
            std::thread::park_timeout(PAUSE);
            continue;
        };
        while !shared.is_over.load(Ordering::Relaxed) {
            match reader.next(POLL_MAX) {
                Ok(Some(record)) => take(record.record.value.as_deref().unwrap_or_default(), shared),
                Ok(None) => {}
                Err(_) => break,
            }
        }
    }
}

fn take(value: &[u8], shared: &Shared) {
    let Ok(envelope) = Envelope::read(value) else { return };
    let Ok(data) = serde_json::from_str::<serde_json::Value>(envelope.data.get()) else { return };
    let token = data["variables"]["link"].as_str().and_then(|link| link.split_once(TOKEN_PARAMETER));
    if let (Some(employee_id), Some((_, token)), Some(TEMPLATE)) =
        (envelope.recipient_id, token, data["template"].as_str())
    {
        let mut tokens = shared.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(employee_id, token.to_owned());
        drop(tokens);
        shared.came.notify_waiters();
    }
}
