//! Sessions, their refresh tokens, the devices that employees came from, and what a living session amounts to.

use chassis::EntityError;
use chassis::store::Reader;
use db::{Db, Row, Value, params};
use eventkit::UnitOfWork;
use jiff::Timestamp;

use crate::domain::Status;

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) session_id: String,
    pub(crate) employee_id: i64,
    pub(crate) user_agent: Option<String>,
    pub(crate) ip_address: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

const SELECT: &str = "select session_id, employee_id, user_agent, ip_address, created_at, last_used_at, expires_at
    from sessions";

/// Begins a session.
pub(crate) async fn insert(work: &mut UnitOfWork, session: &Session) -> Result<(), EntityError> {
    work.execute(
        "insert into sessions (session_id, employee_id, user_agent, ip_address, created_at, last_used_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        &params![
            session.session_id.as_str(),
            session.employee_id,
            session.user_agent.clone(),
            session.ip_address.clone(),
            session.created_at.as_millisecond(),
            session.last_used_at.as_millisecond(),
            session.expires_at.as_millisecond(),
        ],
    )
    .await?;
    Ok(())
}

/// The living sessions of an employee, the latest used first.
pub(crate) async fn list(db: &Db, employee_id: i64, now_ms: i64) -> Result<Vec<Session>, EntityError> {
    let sql = format!(
        "{SELECT} where employee_id = $1 and ended_at is null and expires_at > $2 order by last_used_at desc, session_id"
    );
    db.query(&sql, &params![employee_id, now_ms]).await?.iter().map(from_row).collect()
}

/// How many living sessions an employee has.
pub(crate) async fn count(db: &Db, employee_id: i64, now_ms: i64) -> Result<usize, EntityError> {
    let sql = "select count(*) as living from sessions where employee_id = $1 and ended_at is null and expires_at > $2";
    let living: i64 = db.query_one(sql, &params![employee_id, now_ms]).await?.get("living")?;
    Ok(usize::try_from(living).unwrap_or_default())
}

/// The living session of this name.
pub(crate) async fn find(db: &Db, session_id: &str, now_ms: i64) -> Result<Option<Session>, EntityError> {
    let sql = format!("{SELECT} where session_id = $1 and ended_at is null and expires_at > $2");
    db.query_opt(&sql, &params![session_id, now_ms]).await?.map(|row| from_row(&row)).transpose()
}

/// The names of an employee's living sessions, the one longest unused first.
pub(crate) async fn living(work: &mut UnitOfWork, employee_id: i64) -> Result<Vec<String>, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let rows = work
        .query(
            "select session_id from sessions where employee_id = $1 and ended_at is null and expires_at > $2
             order by last_used_at, session_id",
            &params![employee_id, now_ms],
        )
        .await?;
    rows.iter().map(|row| Ok(row.get("session_id")?)).collect()
}

/// Ends a session; false where it has ended before.
pub(crate) async fn end(work: &mut UnitOfWork, session_id: &str) -> Result<bool, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let ended = work
        .execute(
            "update sessions set ended_at = $1 where session_id = $2 and ended_at is null",
            &params![now_ms, session_id],
        )
        .await?;
    Ok(ended == 1)
}

/// Keeps a session alive until `expires_at_ms`; nothing where it has ended.
pub(crate) async fn prolong(
    work: &mut UnitOfWork,
    session_id: &str,
    expires_at_ms: i64,
) -> Result<Option<Session>, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let row = work
        .query_opt(
            "update sessions set last_used_at = $1, expires_at = $2
             where session_id = $3 and ended_at is null and expires_at > $4
             returning session_id, employee_id, user_agent, ip_address, created_at, last_used_at, expires_at",
            &params![now_ms, expires_at_ms, session_id, now_ms],
        )
        .await?;
    row.map(|row| from_row(&row)).transpose()
}

/// Keeps the hash of a refresh token.
pub(crate) async fn add_token(
    work: &mut UnitOfWork,
    session_id: &str,
    token_hash: &str,
    expires_at_ms: i64,
) -> Result<(), EntityError> {
    work.execute(
        "insert into refresh_tokens (token_hash, session_id, expires_at) values ($1, $2, $3)",
        &params![token_hash, session_id, expires_at_ms],
    )
    .await?;
    Ok(())
}

/// The session that a refresh token was made for, used or not, and its employee.
pub(crate) async fn of_token(db: &Db, token_hash: &str, now_ms: i64) -> Result<Option<(String, i64)>, EntityError> {
    let row = db
        .query_opt(
            "select sessions.session_id, sessions.employee_id from refresh_tokens
             join sessions on sessions.session_id = refresh_tokens.session_id
             where refresh_tokens.token_hash = $1 and refresh_tokens.expires_at > $2",
            &params![token_hash, now_ms],
        )
        .await?;
    Ok(row.map(|row| Ok::<_, db::Error>((row.get("session_id")?, row.get("employee_id")?))).transpose()?)
}

/// Uses a refresh token up; false where it was used before.
pub(crate) async fn use_token(work: &mut UnitOfWork, token_hash: &str) -> Result<bool, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let used = work
        .execute(
            "update refresh_tokens set used_at = $1 where token_hash = $2 and used_at is null",
            &params![now_ms, token_hash],
        )
        .await?;
    Ok(used == 1)
}

/// Remembers a device of an employee; true where it was not known.
pub(crate) async fn see_device(
    work: &mut UnitOfWork,
    employee_id: i64,
    device_hash: &str,
) -> Result<bool, EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    let seen = work
        .execute(
            "update known_devices set last_seen_at = $1 where employee_id = $2 and device_hash = $3",
            &params![now_ms, employee_id, device_hash],
        )
        .await?;
    if seen == 1 {
        return Ok(false);
    }
    work.execute(
        "insert into known_devices (employee_id, device_hash, last_seen_at) values ($1, $2, $3)",
        &params![employee_id, device_hash, now_ms],
    )
    .await?;
    Ok(true)
}

/// A role that somebody who is logged in has.
#[derive(Debug)]
pub(crate) struct HeldRole {
    pub(crate) role_id: i64,
    pub(crate) version: i64,
    pub(crate) scope: String,
    pub(crate) scope_id: i64,
}

/// A living session of an active employee.
#[derive(Debug)]
pub(crate) struct Living {
    pub(crate) employee_id: i64,
    pub(crate) expires_at_ms: i64,
    /// The roles held now.
    pub(crate) held: Vec<HeldRole>,
}

/// A session that lives, with the roles of its employee; in one cheap query.
pub(crate) async fn living_one(db: &Db, session_id: &str, now_ms: i64) -> Result<Option<Living>, EntityError> {
    let rows = db
        .query(
            "select employees.employee_id, sessions.expires_at, roles.role_id, roles.version, employee_roles.scope, employee_roles.scope_id
             from sessions join employees on employees.employee_id = sessions.employee_id
             left join employee_roles on employee_roles.employee_id = employees.employee_id
             left join roles on roles.role_id = employee_roles.role_id and roles.deleted_at is null
             where sessions.session_id = $1 and sessions.ended_at is null and sessions.expires_at > $2
                 and employees.status = $3 and employees.deleted_at is null",
            &params![session_id, now_ms, Status::Active.as_str()],
        )
        .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (employee_id, expires_at_ms) = (first.get("employee_id")?, first.get("expires_at")?);
    let mut held = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(role_id) = row.get("role_id")? {
            let (version, scope, scope_id) = (row.get("version")?, row.get("scope")?, row.get("scope_id")?);
            held.push(HeldRole { role_id, version, scope, scope_id });
        }
    }
    Ok(Some(Living { employee_id, expires_at_ms, held }))
}

/// What is removed once it is old: the table, the column with its age, and its key.
const AGING: [(&str, &str, &str); 5] = [
    ("refresh_tokens", "expires_at", "token_hash"),
    ("sessions", "expires_at", "session_id"),
    ("sessions", "ended_at", "session_id"),
    ("invitations", "expires_at", "token_hash"),
    ("known_devices", "last_seen_at", "employee_id, device_hash"),
];

/// Removes up to `step` rows of each table that ended before `ended_before_ms`, and devices that were not seen since
/// `seen_before_ms`; tells whether there may be more.
pub(crate) async fn remove_old(
    db: &Db,
    ended_before_ms: i64,
    seen_before_ms: i64,
    step: u32,
) -> Result<bool, EntityError> {
    let mut is_more = false;
    for (table, column, key) in AGING {
        let before_ms = if table == "known_devices" { seen_before_ms } else { ended_before_ms };
        let sql =
            format!("delete from {table} where ({key}) in (select {key} from {table} where {column} < $1 limit $2)");
        let params = [Value::from(before_ms), Value::from(step)];
        let removed = db.unit(async |tx| tx.execute(&sql, &params).await).await?;
        is_more |= removed == u64::from(step);
    }
    Ok(is_more)
}

fn from_row(row: &Row) -> Result<Session, EntityError> {
    let reader = Reader::new(row, "session of employee", "employee_id")?;
    Ok(Session {
        session_id: reader.get("session_id")?,
        employee_id: reader.id,
        user_agent: reader.get("user_agent")?,
        ip_address: reader.get("ip_address")?,
        created_at: reader.time("created_at")?,
        last_used_at: reader.time("last_used_at")?,
        expires_at: reader.time("expires_at")?,
    })
}
