//! What `aggregate` collects: the only place that knows these tables.

use std::sync::{Mutex, MutexGuard, PoisonError};

use db::{Row, Tx, params};
use routes::exchange::{Exception, Result, Text};
use routes::run::BoxFuture;
use routes::state::{Change, Changed, Changing, Complete, Decide, Found, Groups, Kept, Wanted};
use uuid::Uuid;

use super::{RouteState, exception, limit, release};

/// How long others leave the steps of a complete group to whoever runs them without saying so again.
const LEASE_MS: i64 = 30_000;
/// How long a count of groups counts.
const COUNT_KEEP_MS: i64 = 1_000;
/// How many members are read at a time.
const MEMBERS_PER_QUERY: i64 = 500;

#[derive(Debug)]
pub(super) struct StoredGroups {
    state: RouteState,
    place: String,
    counted: Mutex<Counted>,
}

/// About how many groups there are.
#[derive(Debug, Default)]
struct Counted {
    groups: i64,
    until_ms: i64,
}

impl StoredGroups {
    pub(super) fn new(state: RouteState, place: String) -> Self {
        Self { state, place, counted: Mutex::default() }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn change_in(&self, tx: &mut Tx, wanted: &Wanted<'_>, decide: Decide<'_>) -> Result<Changed, Failure> {
        if let Some(member) = wanted.member {
            let joined = tx
                .execute(
                    "insert into route_joined (place, member, joined_at) values ($1, $2, $3)
                     on conflict (place, member) do nothing",
                    &params![self.place.as_str(), member.as_str(), wanted.now_ms],
                )
                .await?;
            if joined == 0 {
                return Ok(Changed::Before);
            }
        }
        let found = self.find(tx, wanted).await?;
        let size = found.group.as_ref().map_or(0, |group| group.size);
        match decide(found).map_err(Failure::Decided)? {
            Change::Stay => Ok(Changed::Stayed),
            Change::Join { member, due_ms } => self.join(tx, wanted, member, size, due_ms).await,
            Change::Complete(content) => {
                self.delete(tx, wanted).await?;
                self.close(tx, wanted).await?;
                self.complete(tx, wanted.now_ms, content).await
            }
            Change::Drop { closes } => {
                self.delete(tx, wanted).await?;
                if closes {
                    self.close(tx, wanted).await?;
                }
                Ok(Changed::Dropped)
            }
        }
    }

    /// Locks the group and tells what there is of it.
    async fn find(&self, tx: &mut Tx, wanted: &Wanted<'_>) -> Result<Found, Failure> {
        let key = wanted.key.as_str();
        let row = tx
            .query_one(
                "insert into route_groups (place, group_key, size, mark, changed_at) values ($1, $2, 0, 0, $3)
                 on conflict (place, group_key) do update set changed_at = excluded.changed_at
                 returning size, mark, due_at",
                &params![self.place.as_str(), key, wanted.now_ms],
            )
            .await?;
        let is_closed = match wanted.closed_max {
            None => false,
            Some(_) => {
                let sql = "select 1 as found from route_closed_keys where place = $1 and group_key = $2";
                tx.query_opt(sql, &params![self.place.as_str(), key]).await?.is_some()
            }
        };
        let size: i64 = row.get("size")?;
        if size == 0 {
            return Ok(Found { group: None, groups: self.count(tx, wanted.now_ms).await?, is_closed });
        }
        let mark: i64 = row.get("mark")?;
        let members = match wanted.known == Some(mark) {
            true => None,
            false => Some(self.members(tx, key).await?),
        };
        let group = Kept { mark, size: usize::try_from(size).unwrap_or(0), due_ms: row.get("due_at")?, members };
        Ok(Found { group: Some(group), groups: 0, is_closed })
    }

    async fn count(&self, tx: &mut Tx, now_ms: i64) -> Result<usize, Failure> {
        let is_fresh = self.counted().until_ms > now_ms;
        if !is_fresh {
            let sql = "select (select count(*) from route_groups where place = $1 and size > 0)
                           + (select count(*) from route_complete_groups where place = $1) as counted";
            let groups = tx.query_one(sql, &params![self.place.as_str()]).await?.get("counted")?;
            *self.counted() = Counted { groups, until_ms: now_ms.saturating_add(COUNT_KEEP_MS) };
        }
        Ok(usize::try_from(self.counted().groups).unwrap_or(0))
    }

    async fn members(&self, tx: &mut Tx, key: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let mut members = Vec::new();
        loop {
            let sql = "select content from route_group_members where place = $1 and group_key = $2 and position >= $3
                       order by position limit $4";
            let params = params![self.place.as_str(), key, limit(members.len()), MEMBERS_PER_QUERY];
            let rows = tx.query(sql, &params).await?;
            let is_last = limit(rows.len()) < MEMBERS_PER_QUERY;
            for mut row in rows {
                members.push(row.take("content")?);
            }
            if is_last {
                return Ok(members);
            }
        }
    }

    async fn join(
        &self,
        tx: &mut Tx,
        wanted: &Wanted<'_>,
        member: Vec<u8>,
        size: usize,
        due_ms: Option<i64>,
    ) -> Result<Changed, Failure> {
        let (place, key) = (self.place.as_str(), wanted.key.as_str());
        let mark = Uuid::now_v7().as_u64_pair().1.cast_signed();
        tx.execute_later(
            "insert into route_group_members (place, group_key, position, content) values ($1, $2, $3, $4)",
            params![place, key, limit(size), member],
        )
        .await?;
        tx.execute(
            "update route_groups set size = $3, mark = $4, due_at = $5, changed_at = $6
             where place = $1 and group_key = $2",
            &params![place, key, limit(size + 1), mark, due_ms, wanted.now_ms],
        )
        .await?;
        if size == 0 {
            self.counted().groups += 1;
        }
        Ok(Changed::Joined { mark })
    }

    async fn delete(&self, tx: &mut Tx, wanted: &Wanted<'_>) -> Result<(), Failure> {
        for table in ["route_group_members", "route_groups"] {
            let sql = format!("delete from {table} where place = $1 and group_key = $2");
            tx.execute_later(&sql, params![self.place.as_str(), wanted.key.as_str()]).await?;
        }
        Ok(())
    }

    async fn close(&self, tx: &mut Tx, wanted: &Wanted<'_>) -> Result<(), Failure> {
        let Some(closed_max) = wanted.closed_max else { return Ok(()) };
        tx.execute_later(
            "insert into route_closed_keys (place, group_key, closed_at) values ($1, $2, $3)
             on conflict (place, group_key) do nothing",
            params![self.place.as_str(), wanted.key.as_str(), wanted.now_ms],
        )
        .await?;
        let sql = "delete from route_closed_keys where place = $1 and number <= (
                       select number from route_closed_keys where place = $1 order by number desc limit 1 offset $2)";
        tx.execute_later(sql, params![self.place.as_str(), limit(closed_max)]).await?;
        Ok(())
    }

    async fn complete(&self, tx: &mut Tx, now_ms: i64, content: Vec<u8>) -> Result<Changed, Failure> {
        let row = tx
            .query_one(
                "insert into route_complete_groups (place, content, failures, instance, run, due_at, completed_at)
                 values ($1, $2, 0, $3, $4, $5, $6) returning number",
                &params![
                    self.place.as_str(),
                    content,
                    &*self.state.instance,
                    &*self.state.run,
                    now_ms.saturating_add(LEASE_MS),
                    now_ms
                ],
            )
            .await?;
        Ok(Changed::Complete { number: row.get("number")? })
    }

    async fn names(&self, sql: &str, params: &[db::Value]) -> Result<Vec<Text>> {
        let rows = self.state.db.query(sql, params).await.map_err(exception)?;
        let name = |row: &Row| row.get::<String>("group_key").map(Text::from);
        rows.iter().map(name).collect::<Result<_, _>>().map_err(exception)
    }

    async fn execute(&self, sql: &str, params: &[db::Value]) -> Result<()> {
        self.state.db.unit(async |tx| tx.execute(sql, params).await).await.map(drop).map_err(exception)
    }

    async fn take_left_over(&self, now_ms: i64, most: usize) -> Result<Vec<Complete>, db::Error> {
        // The condition stands twice: whoever waited for the row looks at it again.
        let rows = self
            .state
            .db
            .unit(async |tx| {
                tx.query(
                    "update route_complete_groups set instance = $3, run = $4, due_at = $5
                     where place = $1 and (due_at <= $2 or (instance = $3 and run <> $4 and instance <> ''))
                         and number in (
                             select number from route_complete_groups
                             where place = $1 and (due_at <= $2 or (instance = $3 and run <> $4 and instance <> ''))
                             order by number limit $6)
                     returning number, failures, content",
                    &params![
                        self.place.as_str(),
                        now_ms,
                        &*self.state.instance,
                        &*self.state.run,
                        now_ms.saturating_add(LEASE_MS),
                        limit(most)
                    ],
                )
                .await
            })
            .await?;
        let complete = |mut row: Row| {
            let failures = u32::try_from(row.get::<i64>("failures")?).unwrap_or(u32::MAX);
            Ok(Complete { number: row.get("number")?, failures, content: row.take("content")? })
        };
        let mut left_over = rows.into_iter().map(complete).collect::<Result<Vec<_>, db::Error>>()?;
        left_over.sort_by_key(|complete| complete.number);
        Ok(left_over)
    }
}

/// Why a group was not changed.
enum Failure {
    Database(db::Error),
    Decided(Exception),
}

impl From<db::Error> for Failure {
    fn from(error: db::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for Exception {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Database(error) => exception(error),
            Failure::Decided(thrown) => thrown,
        }
    }
}

impl Groups for StoredGroups {
    fn is_durable(&self) -> bool {
        true
    }

    fn change<'a>(&'a self, wanted: Wanted<'a>, decide: Decide<'a>) -> BoxFuture<'a, Result<Changing>> {
        Box::pin(async move {
            let mut tx = self.state.db.begin().await.map_err(exception)?;
            let changed = match self.change_in(&mut tx, &wanted, decide).await {
                Ok(changed) => changed,
                Err(failure) => {
                    tx.rollback().await;
                    return Err(failure.into());
                }
            };
            let durable: BoxFuture<'static, Result<()>> = match changed {
                Changed::Stayed => {
                    // Not even that it was looked at.
                    tx.rollback().await;
                    Box::pin(std::future::ready(Ok(())))
                }
                // What was there before may be of a unit that is not durable yet.
                _ => release(tx),
            };
            Ok(Changing { changed, durable })
        })
    }

    fn due(&self, now_ms: i64, most: usize) -> BoxFuture<'_, Result<Vec<Text>>> {
        Box::pin(async move {
            let sql = "select group_key from route_groups where place = $1 and due_at <= $2 order by due_at limit $3";
            self.names(sql, &params![self.place.as_str(), now_ms, limit(most)]).await
        })
    }

    fn all(&self, most: usize) -> BoxFuture<'_, Result<Vec<Text>>> {
        Box::pin(async move {
            let sql = "select group_key from route_groups where place = $1 order by group_key limit $2";
            self.names(sql, &params![self.place.as_str(), limit(most)]).await
        })
    }

    fn next_due_ms(&self) -> BoxFuture<'_, Result<Option<i64>>> {
        Box::pin(async move {
            let sql = "select min(due_at) as next from (
                           select min(due_at) as due_at from route_groups where place = $1
                           union all
                           select min(due_at) as due_at from route_complete_groups where place = $1) as both_tables";
            let row = self.state.db.query_one(sql, &params![self.place.as_str()]).await.map_err(exception)?;
            row.get("next").map_err(exception)
        })
    }

    fn left_over(&self, now_ms: i64, most: usize) -> BoxFuture<'_, Result<Vec<Complete>>> {
        Box::pin(async move { self.take_left_over(now_ms, most).await.map_err(exception) })
    }

    fn renew(&self, number: i64, now_ms: i64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let sql = "update route_complete_groups set due_at = $2 where number = $1 and run = $3";
            self.execute(sql, &params![number, now_ms.saturating_add(LEASE_MS), &*self.state.run]).await
        })
    }

    fn done(&self, number: i64) -> BoxFuture<'_, Result<()>> {
        Box::pin(
            async move { self.execute("delete from route_complete_groups where number = $1", &params![number]).await },
        )
    }

    fn failed(&self, number: i64, again_ms: Option<i64>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let sql = "update route_complete_groups set failures = failures + 1, due_at = $2, instance = '', run = ''
                       where number = $1";
            self.execute(sql, &params![number, again_ms.unwrap_or(i64::MAX)]).await
        })
    }

    fn started(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let sql = "update route_complete_groups set failures = 0, due_at = $2 where place = $1 and due_at = $3";
            self.execute(sql, &params![self.place.as_str(), self.state.clock.now_ms(), i64::MAX]).await
        })
    }
}
