//! The audit trail: append-only, each record chained to the one before by a hash, so that a change, a removal or a
//! change of order is found.

use contracts::audit::AuditData;
use db::{Db, Row, params};
use eventkit::{Handle, HandlerError, HandlerResult, Received, UnitOfWork};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// What the first record is chained to.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How many records are read at a time while the chain is verified.
const VERIFY_PAGE: i64 = 1_000;
/// How many faults a report lists; a broken chain may have one at every record.
const FAULTS_MAX: usize = 100;

/// Appends audit events to the chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditTrail;

impl Handle<AuditData> for AuditTrail {
    async fn handle(&self, received: &Received<AuditData>, work: &mut UnitOfWork) -> HandlerResult {
        let envelope = received.envelope.write()?;
        let occurred_at = received.envelope.timestamp.unwrap_or_default();
        // Locks the chain's end until the unit ends.
        let head = work
            .query_one("update audit_head set sequence = sequence + 1 where id = 1 returning sequence, hash", &[])
            .await?;
        let mut record = Record {
            sequence: head.get("sequence")?,
            event_id: received.identity.clone(),
            event_type: received.envelope.event_type.clone(),
            entity: received.event.entity.clone(),
            occurred_at,
            envelope: RawValue::from_string(envelope).map_err(HandlerError::permanent)?,
            previous_hash: head.get("hash")?,
            hash: String::new(),
        };
        record.hash = record.computed_hash();
        append(work, &record).await?;
        Ok(())
    }
}

/// One record of the trail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its place in the chain, from 1, without holes.
    pub sequence: i64,
    /// The identity of the event that it records.
    pub event_id: String,
    /// The event's type, for example `audit.data`.
    pub event_type: String,
    /// What it is about, for example `user-42`.
    pub entity: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The whole event as it came.
    pub envelope: Box<RawValue>,
    /// The hash of the record before it.
    pub previous_hash: String,
    /// SHA-256 over all of the above.
    pub hash: String,
}

impl Record {
    /// SHA-256 over every field but the hash itself, each with its length before it, in hexadecimal digits.
    fn computed_hash(&self) -> String {
        let sequence = self.sequence.to_string();
        let occurred_at_ms = self.occurred_at.as_millisecond().to_string();
        let fields = [
            self.previous_hash.as_str(),
            &sequence,
            &self.event_id,
            &self.event_type,
            &self.entity,
            &occurred_at_ms,
            self.envelope.get(),
        ];
        let mut hasher = Sha256::new();
        for field in fields {
            hasher.update(field.len().to_be_bytes());
            hasher.update(field.as_bytes());
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn from_row(row: &Row) -> Result<Self, Error> {
        let sequence = row.get("sequence")?;
        let occurred_at: i64 = row.get("occurred_at")?;
        let unreadable = |reason: &'static str| Error::AuditRecordUnreadable { sequence, reason };
        let envelope: String = row.get("envelope")?;
        Ok(Self {
            sequence,
            event_id: row.get("event_id")?,
            event_type: row.get("event_type")?,
            entity: row.get("entity")?,
            occurred_at: Timestamp::from_millisecond(occurred_at)
                .map_err(|_| unreadable("its time is out of range"))?,
            envelope: RawValue::from_string(envelope).map_err(|_| unreadable("its envelope is not json"))?,
            previous_hash: row.get("previous_hash")?,
            hash: row.get("hash")?,
        })
    }
}

/// What verifying the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many records were checked.
    pub records: i64,
    /// The hash at the chain's end: keep it elsewhere, and a later chain can be held against it.
    pub head: String,
    /// What is wrong, up to a hundred; empty when the chain is whole.
    pub faults: Vec<Fault>,
}

/// A place where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The record's place.
    pub sequence: i64,
    /// What is wrong there.
    pub kind: FaultKind,
}

/// How a chain can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// A record differs from what was chained.
    Changed,
    /// A record, or several, are gone from before this one.
    Missing,
    /// A record is not chained to the one before it.
    Unchained,
    /// A record cannot be read at all.
    Unreadable,
    /// The chain does not end where it was left: records at the end are gone or were added past it.
    WrongEnd,
}

/// Up to `limit` records after `after`, in order.
pub(crate) async fn list(db: &Db, after: i64, limit: i64) -> Result<Vec<Record>, Error> {
    page(db, after, limit).await?.into_iter().map(|(_, record)| record).collect()
}

/// Walks the whole chain, up to where it ended when this began.
pub(crate) async fn verify(db: &Db) -> Result<Report, Error> {
    let head = db.query_one("select sequence, hash from audit_head where id = 1", &[]).await?;
    let (end, head): (i64, String) = (head.get("sequence")?, head.get("hash")?);
    let mut walk = Walk { records: 0, sequence: 0, hash: GENESIS.to_owned(), faults: Vec::new() };
    'pages: loop {
        let records = page(db, walk.sequence, VERIFY_PAGE).await?;
        if records.is_empty() {
            break;
        }
        for (sequence, record) in records {
            if sequence > end {
                break 'pages;
            }
            walk.check(sequence, record.ok());
        }
    }
    if walk.sequence != end || walk.hash != head {
        walk.fault(end, FaultKind::WrongEnd);
    }
    Ok(Report { records: walk.records, head, faults: walk.faults })
}

struct Walk {
    records: i64,
    sequence: i64,
    hash: String,
    faults: Vec<Fault>,
}

impl Walk {
    fn check(&mut self, sequence: i64, record: Option<Record>) {
        if sequence != self.sequence + 1 {
            self.fault(sequence, FaultKind::Missing);
        }
        match record {
            None => self.fault(sequence, FaultKind::Unreadable),
            Some(record) => {
                if record.previous_hash != self.hash {
                    self.fault(sequence, FaultKind::Unchained);
                }
                if record.computed_hash() != record.hash {
                    self.fault(sequence, FaultKind::Changed);
                }
                self.hash = record.hash;
            }
        }
        self.sequence = sequence;
        self.records += 1;
    }

    fn fault(&mut self, sequence: i64, kind: FaultKind) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { sequence, kind });
        }
    }
}

async fn page(db: &Db, after: i64, limit: i64) -> Result<Vec<(i64, Result<Record, Error>)>, Error> {
    let rows = db
        .query(
            "select sequence, event_id, event_type, entity, occurred_at, envelope, previous_hash, hash
             from audit_records where sequence > $1 order by sequence limit $2",
            &params![after, limit],
        )
        .await?;
    rows.iter().map(|row| Ok((row.get("sequence")?, Record::from_row(row)))).collect()
}

async fn append(work: &mut UnitOfWork, record: &Record) -> Result<(), eventkit::Error> {
    work.execute(
        "insert into audit_records
             (sequence, event_id, event_type, entity, occurred_at, envelope, previous_hash, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        &params![
            record.sequence,
            record.event_id.as_str(),
            record.event_type.as_str(),
            record.entity.as_str(),
            record.occurred_at.as_millisecond(),
            record.envelope.get(),
            record.previous_hash.as_str(),
            record.hash.as_str(),
        ],
    )
    .await?;
    work.execute("update audit_head set hash = $1 where id = 1", &params![record.hash.as_str()]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use contracts::audit::{Action, Actor};
    use eventkit::{Clock, Envelope, EventPublisher, Origin};
    use tempfile::TempDir;

    use super::*;

    struct Trail {
        publisher: EventPublisher,
        _folder: TempDir,
    }

    impl Trail {
        async fn of(records: i64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("audit.db").display());
            let db = Db::open(&db::Config { url, ..db::Config::default() }).await.unwrap();
            eventkit::outbox::migrate(&db).await.unwrap();
            db.migrate("container", crate::MIGRATIONS).await.unwrap();
            let trail = Self { publisher: EventPublisher::new(db, "container", Clock::system()), _folder: folder };
            for number in 1..=records {
                trail.append(number).await;
            }
            trail
        }

        async fn append(&self, number: i64) {
            let event = AuditData {
                actor: Actor::Operator,
                action: Action::Create,
                entity: format!("user-{number}"),
                before: None,
                after: None,
            };
            let received = Received {
                envelope: Envelope::of(&event).unwrap(),
                event,
                identity: format!("event-{number}"),
                key: None,
                topic: "audit-events".to_owned(),
                partition: 0,
                offset: number,
            };
            let mut work = self.publisher.begin(Origin::default());
            AuditTrail.handle(&received, &mut work).await.unwrap();
            work.commit().await.unwrap();
        }

        /// Does to the database what the trail must notice.
        async fn tamper(&self, sql: &str) {
            let mut tx = self.publisher.db().begin().await.unwrap();
            tx.execute(sql, &[]).await.unwrap();
            tx.commit().await.unwrap();
        }

        async fn faults(&self) -> Vec<(i64, FaultKind)> {
            let report = verify(self.publisher.db()).await.unwrap();
            report.faults.into_iter().map(|fault| (fault.sequence, fault.kind)).collect()
        }
    }

    #[tokio::test]
    async fn a_chain_that_nobody_touched_is_whole() {
        let empty = Trail::of(0).await;
        assert_eq!(empty.faults().await, []);
        let trail = Trail::of(5).await;
        assert_eq!(trail.faults().await, []);
        assert_eq!(verify(trail.publisher.db()).await.unwrap().records, 5);
        let listed = list(trail.publisher.db(), 3, 10).await.unwrap();
        assert_eq!(listed.iter().map(|record| record.entity.as_str()).collect::<Vec<_>>(), ["user-4", "user-5"]);
    }

    #[tokio::test]
    async fn every_changed_field_is_found() {
        let changes = [
            "event_id = 'x'",
            "event_type = 'audit.system'",
            "entity = 'user-9'",
            "occurred_at = 1",
            "envelope = '{}'",
        ];
        for change in changes {
            let trail = Trail::of(3).await;
            trail.tamper(&format!("update audit_records set {change} where sequence = 2")).await;
            assert_eq!(trail.faults().await, [(2, FaultKind::Changed)], "{change}");
        }
        let trail = Trail::of(3).await;
        trail.tamper("update audit_records set envelope = 'no json' where sequence = 2").await;
        assert_eq!(trail.faults().await[0], (2, FaultKind::Unreadable));
    }

    #[tokio::test]
    async fn a_change_whose_hash_was_made_to_fit_breaks_the_chain_after_it() {
        let trail = Trail::of(3).await;
        trail.tamper("update audit_records set entity = 'user-9' where sequence = 2").await;
        let mut record = list(trail.publisher.db(), 1, 1).await.unwrap().remove(0);
        record.hash = record.computed_hash();
        trail.tamper(&format!("update audit_records set hash = '{}' where sequence = 2", record.hash)).await;
        assert_eq!(trail.faults().await, [(3, FaultKind::Unchained)]);
    }

    #[tokio::test]
    async fn a_removed_record_is_found_wherever_it_was() {
        let trail = Trail::of(4).await;
        trail.tamper("delete from audit_records where sequence = 2").await;
        assert_eq!(trail.faults().await, [(3, FaultKind::Missing), (3, FaultKind::Unchained)]);
        let trail = Trail::of(4).await;
        trail.tamper("delete from audit_records where sequence = 1").await;
        assert_eq!(trail.faults().await[0], (2, FaultKind::Missing));
        let trail = Trail::of(4).await;
        trail.tamper("delete from audit_records where sequence = 4").await;
        assert_eq!(trail.faults().await, [(4, FaultKind::WrongEnd)]);
    }

    #[tokio::test]
    async fn records_that_changed_places_are_found() {
        let trail = Trail::of(4).await;
        for (from, to) in [(2, 90), (3, 2), (90, 3)] {
            trail.tamper(&format!("update audit_records set sequence = {to} where sequence = {from}")).await;
        }
        let faults = trail.faults().await;
        assert!(faults.contains(&(2, FaultKind::Unchained)) && faults.contains(&(3, FaultKind::Changed)), "{faults:?}");
    }
}
