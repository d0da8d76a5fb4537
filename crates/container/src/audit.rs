//! The audit trail: append-only, each record chained to the one before by a hash, so that a change, a removal or a
//! change of order is found.

use contracts::audit::{Actor, AuditData, AuditSecurity, AuditSystem, hex};
use db::{Db, Row, Value, params};
use eventkit::{Event, Handle, HandlerError, HandlerResult, Received, UnitOfWork};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::error::Error;

/// What the first record is chained to.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How many records are read at a time while the chain is verified.
const VERIFY_PAGE: i64 = 1_000;
/// How many records one request verifies at the most: so many that it ends long before a request must.
pub(crate) const VERIFIED_MAX: i64 = 10_000;
/// How many faults a report lists; a broken chain may have one at every record.
const FAULTS_MAX: usize = 100;

const SELECT: &str = "select sequence, event_id, event_type, entity, occurred_at, envelope, previous_hash, hash, actor
                      from audit_records";

/// Appends audit events to the chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditTrail;

/// What an audit event is about, and who did it.
pub(crate) trait Audited: Event {
    fn entity(&self) -> &str;
    fn actor(&self) -> Option<&Actor>;
}

impl Audited for AuditData {
    fn entity(&self) -> &str {
        &self.entity
    }

    fn actor(&self) -> Option<&Actor> {
        Some(&self.actor)
    }
}

impl Audited for AuditSecurity {
    fn entity(&self) -> &str {
        &self.entity
    }

    fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }
}

impl Audited for AuditSystem {
    fn entity(&self) -> &str {
        &self.entity
    }

    fn actor(&self) -> Option<&Actor> {
        None
    }
}

impl<E: Audited> Handle<E> for AuditTrail {
    async fn handle(&self, received: &Received<E>, work: &mut UnitOfWork) -> HandlerResult {
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
            entity: received.event.entity().to_owned(),
            occurred_at,
            envelope: RawValue::from_string(envelope).map_err(HandlerError::permanent)?,
            previous_hash: head.get("hash")?,
            hash: String::new(),
        };
        record.hash = record.computed_hash();
        append(work, &record, &actor_name(received.event.actor())).await?;
        Ok(())
    }
}

/// As it is searched for: `operator`, `employee-42`, `service-` and a part's name, or nothing.
fn actor_name(actor: Option<&Actor>) -> String {
    match actor {
        None => String::new(),
        Some(Actor::Operator) => "operator".to_owned(),
        Some(Actor::Employee { employee_id }) => format!("employee-{employee_id}"),
        Some(Actor::Service { name }) => format!("service-{name}"),
    }
}

/// One record of the trail.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditRecord)]
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
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// The whole event as it came.
    #[schema(value_type = Object)]
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
        hex(&hasher.finalize())
    }

    /// Who did it, as the envelope says.
    fn actor(&self) -> String {
        #[derive(Deserialize)]
        struct Told {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            actor: Option<Actor>,
        }
        let told = serde_json::from_str::<Told>(self.envelope.get()).ok();
        actor_name(told.and_then(|told| told.data.actor).as_ref())
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

/// What verifying a stretch of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How many records were checked.
    pub records: i64,
    /// The place of the chain's last record.
    pub end: i64,
    /// The hash at the chain's end: keep it elsewhere, and a later chain can be held against it.
    pub head: String,
    /// What is wrong, up to a hundred; empty when all that was checked is whole.
    pub faults: Vec<Fault>,
    /// Where to go on; absent when the chain's end was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Stretch>,
}

/// Where a stretch of the chain begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stretch {
    /// The place of the record before it; 0 at the chain's beginning.
    pub after: i64,
    /// That record's hash.
    pub previous_hash: String,
}

impl Default for Stretch {
    /// The chain's beginning.
    fn default() -> Self {
        Self { after: 0, previous_hash: GENESIS.to_owned() }
    }
}

/// A place where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The record's place.
    pub sequence: i64,
    /// What is wrong there.
    pub kind: FaultKind,
}

/// How a chain can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// Which records are asked for.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) after: i64,
    pub(crate) limit: i64,
    pub(crate) event_id: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
}

/// Records in the order of the chain.
pub(crate) async fn list(db: &Db, query: Query) -> Result<Vec<Record>, Error> {
    let conditions: [(&str, Option<Value>); 6] = [
        ("event_id =", query.event_id.map(Value::from)),
        ("entity =", query.entity.map(Value::from)),
        ("actor =", query.actor.map(Value::from)),
        ("event_type =", query.event_type.map(Value::from)),
        ("occurred_at >=", query.from_ms.map(Value::from)),
        ("occurred_at <", query.to_ms.map(Value::from)),
    ];
    let mut sql = format!("{SELECT} where sequence > $1");
    let mut values = vec![Value::from(query.after)];
    for (condition, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" and {condition} ${}", values.len()));
        }
    }
    values.push(Value::from(query.limit));
    sql.push_str(&format!(" order by sequence limit ${}", values.len()));
    db.query(&sql, &values).await?.iter().map(Record::from_row).collect()
}

/// Walks the chain from `from` on, over `records_max` records at the most and up to where it ended when this began.
pub(crate) async fn verify(db: &Db, from: Stretch, records_max: i64) -> Result<Report, Error> {
    // One statement sees one moment: whatever lies beyond the end then was not appended by us.
    let head = db
        .query_one(
            "select sequence, hash, (select max(sequence) from audit_records) as last from audit_head where id = 1",
            &[],
        )
        .await?;
    let (end, last): (i64, Option<i64>) = (head.get("sequence")?, head.get("last")?);
    let (last, head): (i64, String) = (last.unwrap_or(0), head.get("hash")?);
    let mut walk = Walk { records: 0, sequence: from.after, hash: from.previous_hash, faults: Vec::new() };
    let is_end = walk.go(db, end, records_max).await?;
    if is_end && (walk.sequence != end || walk.hash != head || last > end) {
        walk.fault(end.max(last), FaultKind::WrongEnd);
    }
    let Walk { records, sequence, hash, faults } = walk;
    let next = (!is_end).then_some(Stretch { after: sequence, previous_hash: hash });
    Ok(Report { records, end, head, faults, next })
}

struct Walk {
    records: i64,
    sequence: i64,
    hash: String,
    faults: Vec<Fault>,
}

impl Walk {
    /// Whether there is nothing left up to `end` after `records_max` more records.
    async fn go(&mut self, db: &Db, end: i64, records_max: i64) -> Result<bool, Error> {
        while self.records < records_max {
            let records = page(db, self.sequence, VERIFY_PAGE.min(records_max - self.records)).await?;
            if records.is_empty() {
                return Ok(true);
            }
            for (sequence, record) in records {
                if sequence > end {
                    return Ok(true);
                }
                self.check(sequence, record.ok());
            }
        }
        Ok(self.sequence == end)
    }

    fn check(&mut self, sequence: i64, stored: Option<(Record, String)>) {
        if sequence != self.sequence + 1 {
            self.fault(sequence, FaultKind::Missing);
        }
        match stored {
            None => self.fault(sequence, FaultKind::Unreadable),
            Some((record, actor)) => {
                if record.previous_hash != self.hash {
                    self.fault(sequence, FaultKind::Unchained);
                }
                if record.computed_hash() != record.hash || record.actor() != actor {
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

/// A record with the actor that it is found by.
type Stored = Result<(Record, String), Error>;

async fn page(db: &Db, after: i64, limit: i64) -> Result<Vec<(i64, Stored)>, Error> {
    let sql = format!("{SELECT} where sequence > $1 order by sequence limit $2");
    let rows = db.query(&sql, &params![after, limit]).await?;
    rows.iter()
        .map(|row| {
            let stored = Record::from_row(row).and_then(|record| Ok((record, row.get("actor")?)));
            Ok((row.get("sequence")?, stored))
        })
        .collect()
}

async fn append(work: &mut UnitOfWork, record: &Record, actor: &str) -> Result<(), eventkit::Error> {
    work.execute_later(
        "insert into audit_records
             (sequence, event_id, event_type, entity, occurred_at, envelope, previous_hash, hash, actor)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            record.sequence,
            record.event_id.as_str(),
            record.event_type.as_str(),
            record.entity.as_str(),
            record.occurred_at.as_millisecond(),
            record.envelope.get(),
            record.previous_hash.as_str(),
            record.hash.as_str(),
            actor,
        ],
    )
    .await?;
    work.execute_later("update audit_head set hash = $1 where id = 1", params![record.hash.as_str()]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use contracts::audit::{Action, Incident, Occurrence};
    use eventkit::transport::{ConsumedRecord, Record};
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
            self.chain(number, data(&format!("user-{number}"), Actor::Operator)).await;
        }

        async fn chain<E: Audited>(&self, number: i64, event: E) {
            let mut envelope = Envelope::of(&event).unwrap();
            envelope.timestamp = Some(Timestamp::from_second(number).unwrap());
            envelope.event_id = Some(format!("event-{number}"));
            let record = Record {
                topic: "audit-events".to_owned(),
                key: None,
                value: Some(envelope.write().unwrap().into()),
                headers: Vec::new(),
                timestamp_ms: None,
            };
            let record = ConsumedRecord { record, partition: 0, offset: number };
            let received = eventkit::testing::received::<E>("container-audit", &record).unwrap();
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
            let whole = self.verified(VERIFIED_MAX).await;
            // However it is cut into stretches, the same is found.
            for records_max in 1..=3 {
                assert_eq!(self.verified(records_max).await, whole, "in stretches of {records_max}");
            }
            whole.1.into_iter().map(|fault| (fault.sequence, fault.kind)).collect()
        }

        /// How many records there are and what is wrong with them, checked stretch by stretch.
        async fn verified(&self, records_max: i64) -> (i64, Vec<Fault>) {
            let (mut records, mut faults, mut next) = (0, Vec::new(), Some(Stretch::default()));
            while let Some(from) = next {
                let report = verify(self.publisher.db(), from, records_max).await.unwrap();
                assert!(report.records <= records_max);
                records += report.records;
                faults.extend(report.faults);
                next = report.next;
            }
            (records, faults)
        }
    }

    fn data(entity: &str, actor: Actor) -> AuditData {
        AuditData { actor, action: Action::Create, entity: entity.to_owned(), before: None, after: None }
    }

    fn refused(entity: &str, actor: Option<Actor>) -> AuditSecurity {
        let incident = Incident::Forbidden;
        AuditSecurity { incident, entity: entity.to_owned(), actor, request: None, ip_address: None, suppressed: 0 }
    }

    fn started(entity: &str) -> AuditSystem {
        let (version, instance) = ("1".to_owned(), "copy".to_owned());
        let occurrence = Occurrence::Started;
        AuditSystem { occurrence, entity: entity.to_owned(), version, instance, configuration: None }
    }

    async fn listed(trail: &Trail, query: Query) -> Vec<i64> {
        let records = list(trail.publisher.db(), Query { limit: 10, ..query }).await.unwrap();
        records.into_iter().map(|record| record.sequence).collect()
    }

    #[tokio::test]
    async fn all_three_types_are_in_one_chain_and_found_by_what_they_are() {
        let trail = Trail::of(0).await;
        let employee = Actor::Employee { employee_id: 42 };
        trail.chain(1, data("user-1", Actor::Operator)).await;
        trail.chain(2, refused("part-user-service", Some(employee.clone()))).await;
        trail.chain(3, started("part-user-service")).await;
        trail.chain(4, data("user-1", employee)).await;
        assert_eq!(trail.faults().await, []);
        let text = |text: &str| Some(text.to_owned());
        let ms = |second: i64| Some(second * 1_000);
        let cases = [
            (Query::default(), vec![1, 2, 3, 4]),
            (Query { entity: text("user-1"), ..Query::default() }, vec![1, 4]),
            (Query { actor: text("employee-42"), ..Query::default() }, vec![2, 4]),
            (Query { actor: text("operator"), ..Query::default() }, vec![1]),
            (Query { event_type: text("audit.system"), ..Query::default() }, vec![3]),
            (Query { from_ms: ms(2), to_ms: ms(4), ..Query::default() }, vec![2, 3]),
            (Query { after: 1, entity: text("user-1"), actor: text("employee-42"), ..Query::default() }, vec![4]),
        ];
        for (query, expected) in cases {
            let asked = format!("{query:?}");
            assert_eq!(listed(&trail, query).await, expected, "{asked}");
        }
    }

    #[tokio::test]
    async fn a_record_that_was_put_in_is_found() {
        let trail = Trail::of(3).await;
        trail
            .tamper(
                "insert into audit_records
                     (sequence, event_id, event_type, entity, occurred_at, envelope, previous_hash, hash, actor)
                 select 4, 'forged', event_type, entity, occurred_at, envelope, previous_hash, hash, actor
                 from audit_records where sequence = 3",
            )
            .await;
        // It lies beyond the end, which is kept apart from the records.
        assert_eq!(trail.faults().await, [(4, FaultKind::WrongEnd)]);
    }

    #[tokio::test]
    async fn an_end_that_was_moved_is_found() {
        for change in ["sequence = 2", "sequence = 4", "hash = 'x'"] {
            let trail = Trail::of(3).await;
            trail.tamper(&format!("update audit_head set {change} where id = 1")).await;
            assert!(trail.faults().await.iter().any(|(_, kind)| *kind == FaultKind::WrongEnd), "{change}");
        }
    }

    #[tokio::test]
    async fn a_chain_that_nobody_touched_is_whole() {
        let empty = Trail::of(0).await;
        assert_eq!(empty.faults().await, []);
        let trail = Trail::of(5).await;
        assert_eq!(trail.faults().await, []);
        assert_eq!(trail.verified(2).await, (5, Vec::new()));
        assert_eq!(listed(&trail, Query { after: 3, ..Query::default() }).await, [4, 5]);
    }

    #[tokio::test]
    async fn a_stretch_that_does_not_follow_from_the_one_before_is_found() {
        let trail = Trail::of(4).await;
        let first = verify(trail.publisher.db(), Stretch::default(), 2).await.unwrap();
        assert_eq!((first.records, first.end, first.faults), (2, 4, Vec::new()));
        let next = first.next.unwrap();
        assert_eq!(next.after, 2);
        let wrong = Stretch { previous_hash: GENESIS.to_owned(), ..next };
        let second = verify(trail.publisher.db(), wrong, 2).await.unwrap();
        assert_eq!(second.faults, [Fault { sequence: 3, kind: FaultKind::Unchained }]);
        assert_eq!(second.next, None);
    }

    #[tokio::test]
    async fn every_changed_field_is_found() {
        let changes = [
            "event_id = 'x'",
            "event_type = 'audit.system'",
            "entity = 'user-9'",
            "occurred_at = 1",
            "envelope = '{}'",
            "actor = 'employee-9'",
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
        let mut record =
            list(trail.publisher.db(), Query { after: 1, limit: 1, ..Query::default() }).await.unwrap().remove(0);
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
