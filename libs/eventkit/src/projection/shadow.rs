//! The tables of a rebuild: made beside the running ones, compared with them, put in their place.

use db::{Tx, params};
use serde::{Deserialize, Serialize};

use super::{Projection, Table};
use crate::error::Result;

/// What is put behind a table's name while it is being rebuilt.
pub(super) const REBUILD: &str = "_rebuild";

/// What a rebuild found of a table, or changed in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableChange {
    /// The table.
    pub table: String,
    /// How many rows it has by its events.
    pub rows: i64,
    /// How many of them were not there.
    pub missing: i64,
    /// How many were there and said something else.
    pub different: i64,
    /// How many were there and follow from no event.
    pub surplus: i64,
}

/// Makes empty tables of the same columns, with their keys.
pub(super) async fn create(tx: &mut Tx, projection: &Projection) -> Result<()> {
    for Table { name, key } in projection.tables() {
        let key = key.join(", ");
        tx.execute(&format!("create table {name}{REBUILD} as select * from {name} where false"), &[]).await?;
        tx.execute(&format!("create unique index {name}{REBUILD}_key on {name}{REBUILD} ({key})"), &[]).await?;
    }
    Ok(())
}

/// Takes away what a rebuild made or left.
pub(super) async fn clear(tx: &mut Tx, projection: &Projection) -> Result<()> {
    for table in projection.tables() {
        tx.execute(&format!("drop table if exists {}{REBUILD}", table.name), &[]).await?;
    }
    let name = projection.name();
    tx.execute("delete from projection_journal where projection = $1", &params![name]).await?;
    tx.execute("delete from projection_ahead where projection = $1 and is_rebuild", &params![name]).await?;
    tx.execute("delete from projection_sources where projection = $1 and is_rebuild", &params![name]).await?;
    Ok(())
}

/// What replacing a table's rows would change.
pub(super) async fn compare(tx: &mut Tx, table: Table) -> Result<TableChange> {
    let Table { name, key } = table;
    let surplus = count(tx, &without_partner(name, &format!("{name}{REBUILD}"), key)).await?;
    let missing = count(tx, &without_partner(&format!("{name}{REBUILD}"), name, key)).await?;
    let written = count(tx, &format!("(select * from {name}{REBUILD} except select * from {name}) as written")).await?;
    let rows = count(tx, &format!("{name}{REBUILD}")).await?;
    Ok(TableChange { table: name.to_owned(), rows, missing, different: written - missing, surplus })
}

/// Makes a table's rows those of the rebuild; rows that are right are left alone.
pub(super) async fn replace(tx: &mut Tx, table: Table) -> Result<TableChange> {
    let Table { name, key } = table;
    let columns = key.join(", ");
    let surplus = count(tx, &without_partner(name, &format!("{name}{REBUILD}"), key)).await?;
    let wrong = format!(
        "delete from {name} where ({columns}) in
             (select {columns} from (select * from {name} except select * from {name}{REBUILD}) as wrong)"
    );
    let deleted = tx.execute(&wrong, &[]).await?;
    let right = format!("insert into {name} select * from {name}{REBUILD} except select * from {name}");
    let written = tx.execute(&right, &[]).await?;
    let different = i64::try_from(deleted).unwrap_or(i64::MAX) - surplus;
    let missing = i64::try_from(written).unwrap_or(i64::MAX) - different;
    let rows = count(tx, name).await?;
    Ok(TableChange { table: name.to_owned(), rows, missing, different, surplus })
}

/// The rows of one table whose key another one does not have.
fn without_partner(table: &str, other: &str, key: &[&str]) -> String {
    let same: Vec<String> = key.iter().map(|column| format!("other.{column} = own.{column}")).collect();
    format!("{table} as own where not exists (select 1 from {other} as other where {})", same.join(" and "))
}

async fn count(tx: &mut Tx, from: &str) -> Result<i64> {
    Ok(tx.query_one(&format!("select count(*) as n from {from}"), &[]).await?.get("n")?)
}
