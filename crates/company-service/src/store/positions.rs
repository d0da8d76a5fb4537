//! The table of positions.

use db::{Row, Value, params};
use eventkit::UnitOfWork;

use super::{Table, count, fold, fold_option, money, read_money, read_record};
use crate::domain::{Position, PositionFields};
use crate::error::Error;

impl Table for Position {
    const TABLE: &'static str = "positions";
    const ID: &'static str = "position_id";
    const COLUMNS: &'static [&'static str] = &[
        "position_type_id",
        "name",
        "name_folded",
        "code",
        "code_folded",
        "level",
        "min_salary",
        "max_salary",
        "requirements",
        "notes",
    ];

    fn values(fields: &PositionFields) -> Vec<Value> {
        params![
            fields.position_type_id,
            &fields.name,
            fold(&fields.name),
            fields.code.clone(),
            fold_option(&fields.code),
            fields.level,
            money(fields.min_salary),
            money(fields.max_salary),
            fields.requirements.clone(),
            fields.notes.clone(),
        ]
        .to_vec()
    }

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            position_id: row.get(Self::ID)?,
            fields: PositionFields {
                position_type_id: row.get("position_type_id")?,
                name: row.get("name")?,
                code: row.get("code")?,
                level: row.get("level")?,
                min_salary: read_money::<Self>(row, "min_salary")?,
                max_salary: read_money::<Self>(row, "max_salary")?,
                requirements: row.get("requirements")?,
                notes: row.get("notes")?,
            },
            record: read_record::<Self>(row)?,
        })
    }
}

/// How many positions are of a type.
pub(crate) async fn positions_of_type(work: &mut UnitOfWork, position_type_id: i64) -> Result<i64, Error> {
    count(work, Position::TABLE, "position_type_id = $1 and deleted_at is null", position_type_id).await
}
