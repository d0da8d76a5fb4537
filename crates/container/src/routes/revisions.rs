//! What route files were deployed, one after the other: each has its number, and its text can be had again.
//!
//! The only place that knows this table.

use contracts::audit::{Action, Actor, AuditData};
use db::{Row, params};
use eventkit::{EventPublisher, Origin, UnitOfWork};
use sha2::{Digest as _, Sha256};

/// How many revisions of a file are kept.
const KEPT_MAX: i64 = 50;

/// A deployed text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revision {
    pub(crate) number: i64,
    pub(crate) digest: String,
    /// Nothing where the file was taken away.
    pub(crate) text: Option<String>,
    pub(crate) deployed_at_ms: i64,
}

/// The revisions of all files.
#[derive(Debug, Clone)]
pub(crate) struct Revisions(EventPublisher);

/// The digest of a text.
pub(crate) fn digest(text: &str) -> String {
    format!("sha256:{}", contracts::audit::hex(&Sha256::digest(text.as_bytes())))
}

impl Revisions {
    pub(crate) fn new(publisher: EventPublisher) -> Self {
        Self(publisher)
    }

    /// The newest revision of a file.
    pub(crate) async fn latest(&self, file: &str) -> eventkit::Result<Option<Revision>> {
        let sql = "select revision, digest, content, deployed_at from route_revisions
                   where file = $1 order by revision desc limit 1";
        Ok(self.0.db().query_opt(sql, &params![file]).await?.map(|row| read(&row)).transpose()?)
    }

    /// The revisions of a file, the newest first.
    pub(crate) async fn list(&self, file: &str) -> eventkit::Result<Vec<Revision>> {
        let sql = "select revision, digest, content, deployed_at from route_revisions
                   where file = $1 order by revision desc limit $2";
        let rows = self.0.db().query(sql, &params![file, KEPT_MAX]).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Records what a file says from now on, with its audit record; the newest revision if that says the same.
    pub(crate) async fn record(&self, file: &str, text: Option<&str>) -> eventkit::Result<Revision> {
        let now_ms = self.0.clock().now_ms();
        let wanted = text.map(digest).unwrap_or_default();
        let mut work = self.0.begin(Origin::default());
        let sql = "select revision, digest, content, deployed_at from route_revisions
                   where file = $1 order by revision desc limit 1";
        let before = work.query_opt(sql, &params![file]).await?.map(|row| read(&row)).transpose()?;
        if let Some(before) = before.as_ref().filter(|before| before.digest == wanted) {
            return Ok(before.clone());
        }
        let number = before.as_ref().map_or(0, |before| before.number) + 1;
        work.execute(
            "insert into route_revisions (file, revision, digest, content, deployed_at) values ($1, $2, $3, $4, $5)",
            &params![file, number, wanted.as_str(), text, now_ms],
        )
        .await?;
        let sql = "delete from route_revisions where file = $1 and revision <= $2";
        work.execute(sql, &params![file, number - KEPT_MAX]).await?;
        let revision = Revision { number, digest: wanted, text: text.map(str::to_owned), deployed_at_ms: now_ms };
        tell(&mut work, file, before.as_ref(), &revision).await?;
        work.commit().await?;
        Ok(revision)
    }
}

async fn tell(work: &mut UnitOfWork, file: &str, before: Option<&Revision>, now: &Revision) -> eventkit::Result<()> {
    let told = |revision: &Revision| revision.text.is_some().then(|| revision.digest.clone());
    let (before, after) = (before.and_then(told), told(now));
    let action = match (&before, &after) {
        (None, _) => Action::Create,
        (Some(_), Some(_)) => Action::Update,
        (Some(_), None) => Action::Delete,
    };
    let actor = Actor::Service { name: crate::NAME.to_owned() };
    let entity = format!("route-file-{file}");
    work.publish(&AuditData { actor, action, entity, before, after }).await.map(drop)
}

fn read(row: &Row) -> Result<Revision, db::Error> {
    Ok(Revision {
        number: row.get("revision")?,
        digest: row.get("digest")?,
        text: row.get("content")?,
        deployed_at_ms: row.get("deployed_at")?,
    })
}
