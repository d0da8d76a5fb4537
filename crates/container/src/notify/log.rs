//! What became of each notification, without addresses and texts. The only place that knows its table.

use chassis::entity::EntityError;
use chassis::listing::{Filter, Listing, Page};
use db::{Db, Row, params};
use eventkit::{Clock, RecipientType};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Channel;

/// The longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What became of a notification when it was tried last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It was handed over.
    Sent,
    /// It was not to be sent: the recipient does not want it, or has left.
    Skipped,
    /// It cannot be sent, and is a dead letter.
    Failed,
    /// It could not be sent yet. It is tried again, or has become a dead letter after the last try.
    Delayed,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Delayed => "delayed",
        }
    }
}

/// One try, as it is written down.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) channel: Channel,
    pub(crate) template: &'a str,
    pub(crate) recipient: Option<(RecipientType, i64)>,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<&'a str>,
}

/// A notification and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Logged {
    /// The id of the event that asked for it.
    event_id: String,
    /// `email`, `sms` or `push`.
    channel: String,
    /// The template's name.
    template: String,
    /// `employee` or `candidate`; absent where the event names an address only.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_type: Option<String>,
    /// The recipient's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_id: Option<i64>,
    /// What became of it.
    #[schema(value_type = Outcome)]
    outcome: String,
    /// Why it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How often it was tried.
    attempts: i64,
    /// When it was tried last.
    #[schema(value_type = String, format = DateTime)]
    tried_at: Timestamp,
}

/// Writes and reads the log.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    db: Db,
    clock: Clock,
    keep_ms: i64,
}

impl Log {
    /// A log that forgets what is older than `keep_ms`.
    pub(crate) fn new(db: Db, clock: Clock, keep_ms: i64) -> Self {
        Self { db, clock, keep_ms }
    }

    /// Writes a try down, over an earlier one of the same event.
    pub(crate) async fn write(&self, entry: &Entry<'_>) -> Result<(), db::Error> {
        let now_ms = self.clock.now_ms();
        let reason: Option<String> = entry.reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
        let values = params![
            entry.event_id,
            entry.channel.as_str(),
            entry.template,
            entry.recipient.map(|(kind, _)| recipient_name(kind)),
            entry.recipient.map(|(_, id)| id),
            entry.outcome.as_str(),
            reason,
            now_ms
        ];
        self.db
            .unit(async |tx| {
                tx.execute(
                    "insert into notifications
                         (event_id, channel, template, recipient_type, recipient_id, outcome, reason, attempts, tried_at)
                     values ($1, $2, $3, $4, $5, $6, $7, 1, $8)
                     on conflict (event_id) do update set
                         outcome = excluded.outcome, reason = excluded.reason,
                         attempts = notifications.attempts + 1, tried_at = excluded.tried_at",
                    &values,
                )
                .await?;
                tx.execute("delete from notifications where tried_at < $1", &params![now_ms - self.keep_ms]).await?;
                Ok(())
            })
            .await
    }

    /// One page of the log.
    pub(crate) async fn page(&self, listing: &Listing, filter: Filter) -> Result<Page<Logged>, EntityError> {
        let select = "select notification_id, event_id, channel, template, recipient_type, recipient_id, outcome,
                          reason, attempts, tried_at
                      from notifications";
        listing.page(&self.db, select, "notification_id", filter, read).await
    }
}

/// What a recipient's kind is called in tables and paths.
pub(crate) const fn recipient_name(kind: RecipientType) -> &'static str {
    match kind {
        RecipientType::Employee => "employee",
        RecipientType::Candidate => "candidate",
    }
}

fn read(row: &Row) -> Result<Logged, EntityError> {
    let unreadable = |reason| EntityError::Corrupt { entity: "notification", id: 0, reason };
    Ok(Logged {
        event_id: row.get("event_id")?,
        channel: row.get("channel")?,
        template: row.get("template")?,
        recipient_type: row.get("recipient_type")?,
        recipient_id: row.get("recipient_id")?,
        outcome: row.get("outcome")?,
        reason: row.get("reason")?,
        attempts: row.get("attempts")?,
        tried_at: Timestamp::from_millisecond(row.get("tried_at")?)
            .map_err(|_| unreadable("its time is out of range"))?,
    })
}
