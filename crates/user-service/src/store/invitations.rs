//! Invitations and bootstrap tokens: hashes of tokens that can be used once.

use chassis::EntityError;
use db::{Db, params};
use eventkit::UnitOfWork;

/// Puts one invitation in the place of all that the employee had.
pub(crate) async fn replace(
    work: &mut UnitOfWork,
    employee_id: i64,
    token_hash: &str,
    expires_at_ms: i64,
) -> Result<(), EntityError> {
    remove_of(work, employee_id).await?;
    work.execute_later(
        "insert into invitations (token_hash, employee_id, expires_at) values ($1, $2, $3)",
        params![token_hash, employee_id, expires_at_ms],
    )
    .await?;
    Ok(())
}

/// Ends every invitation of an employee.
pub(crate) async fn remove_of(work: &mut UnitOfWork, employee_id: i64) -> Result<(), EntityError> {
    work.execute_later("delete from invitations where employee_id = $1", params![employee_id]).await?;
    Ok(())
}

/// Whom a token that is still good invites.
pub(crate) async fn find(db: &Db, token_hash: &str, now_ms: i64) -> Result<Option<i64>, EntityError> {
    let row = db
        .query_opt(
            "select employee_id from invitations where token_hash = $1 and expires_at > $2",
            &params![token_hash, now_ms],
        )
        .await?;
    Ok(row.map(|row| row.get("employee_id")).transpose()?)
}

/// Uses a token up; false where another has done so.
pub(crate) async fn use_up(work: &mut UnitOfWork, token_hash: &str) -> Result<bool, EntityError> {
    Ok(work.execute("delete from invitations where token_hash = $1", &params![token_hash]).await? == 1)
}

/// Keeps the hash of a bootstrap token.
pub(crate) async fn add_bootstrap(work: &mut UnitOfWork, token_hash: &str) -> Result<(), EntityError> {
    let now_ms = work.publisher().clock().now_ms();
    work.execute("insert into bootstrap_tokens (token_hash, created_at) values ($1, $2)", &params![token_hash, now_ms])
        .await?;
    Ok(())
}

/// Whether a bootstrap token is known.
pub(crate) async fn knows_bootstrap(db: &Db, token_hash: &str) -> Result<bool, EntityError> {
    let row =
        db.query_opt("select 1 as found from bootstrap_tokens where token_hash = $1", &params![token_hash]).await?;
    Ok(row.is_some())
}

/// Ends every bootstrap token; tells whether this one was among them.
pub(crate) async fn end_bootstrap(work: &mut UnitOfWork, token_hash: &str) -> Result<bool, EntityError> {
    let was_known =
        work.execute("delete from bootstrap_tokens where token_hash = $1", &params![token_hash]).await? == 1;
    work.execute("delete from bootstrap_tokens", &params![]).await?;
    Ok(was_known)
}
