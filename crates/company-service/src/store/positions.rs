//! The table of positions.

use chassis::EntityError;
use chassis::store::{Columns, Reader, Table, text};
use eventkit::UnitOfWork;

use super::{count, fold, fold_option};
use crate::domain::{Position, PositionFields};
use crate::error::Error;

impl Table for Position {
    const TABLE: &'static str = "positions";
    const ID: &'static str = "position_id";
    const SELECT: &'static str = "select * from (select * from positions where deleted_at is null) as positions";

    fn columns(fields: &PositionFields) -> Columns {
        vec![
            ("position_type_id", fields.position_type_id.into()),
            ("name", (&fields.name).into()),
            ("name_folded", fold(&fields.name).into()),
            ("code", fields.code.clone().into()),
            ("code_folded", fold_option(&fields.code).into()),
            ("level", fields.level.into()),
            ("min_salary", text(fields.min_salary)),
            ("max_salary", text(fields.max_salary)),
            ("requirements", fields.requirements.clone().into()),
            ("notes", fields.notes.clone().into()),
        ]
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        Ok(Self {
            position_id: reader.id,
            fields: PositionFields {
                position_type_id: reader.get("position_type_id")?,
                name: reader.get("name")?,
                code: reader.get("code")?,
                level: reader.get("level")?,
                min_salary: reader.money_opt("min_salary")?,
                max_salary: reader.money_opt("max_salary")?,
                requirements: reader.get("requirements")?,
                notes: reader.get("notes")?,
            },
            record: reader.record()?,
        })
    }
}

/// How many positions are of a type.
pub(crate) async fn positions_of_type(work: &mut UnitOfWork, position_type_id: i64) -> Result<i64, Error> {
    count(work, Position::TABLE, "position_type_id = $1 and deleted_at is null", position_type_id).await
}
