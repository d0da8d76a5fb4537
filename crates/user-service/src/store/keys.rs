//! The keys that access tokens are signed with, so that all copies of the service share them.

use chassis::EntityError;
use db::{Db, params};
use eventkit::UnitOfWork;

/// Keeps a key, unless another copy of the service was quicker.
pub(crate) async fn offer(work: &mut UnitOfWork, name: &str, secret: &str) -> Result<(), EntityError> {
    work.execute(
        "insert into signing_keys (name, secret) values ($1, $2) on conflict (name) do nothing",
        &params![name, secret],
    )
    .await?;
    Ok(())
}

/// The key of this name.
pub(crate) async fn find(db: &Db, name: &str) -> Result<Option<String>, EntityError> {
    let row = db.query_opt("select secret from signing_keys where name = $1", &params![name]).await?;
    Ok(row.map(|row| row.get("secret")).transpose()?)
}
