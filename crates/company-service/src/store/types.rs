//! The tables of types, which have the same columns.

use chassis::EntityError;
use chassis::store::{Columns, Reader, Table};

use super::{fold, fold_option};
use crate::domain::{DepartmentType, PositionType, TypeFields};

const UNIQUE: &[(&str, &str)] = &[("name_folded", "name")];

impl Table for DepartmentType {
    const TABLE: &'static str = "department_types";
    const ID: &'static str = "department_type_id";
    const SELECT: &'static str = "select * from (select * from department_types where deleted_at is null) as types";
    const UNIQUE: &'static [(&'static str, &'static str)] = UNIQUE;

    fn columns(fields: &TypeFields) -> Columns {
        columns(fields)
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        Ok(Self { department_type_id: reader.id, fields: read_fields(reader)?, record: reader.record()? })
    }
}

impl Table for PositionType {
    const TABLE: &'static str = "position_types";
    const ID: &'static str = "position_type_id";
    const SELECT: &'static str = "select * from (select * from position_types where deleted_at is null) as types";
    const UNIQUE: &'static [(&'static str, &'static str)] = UNIQUE;

    fn columns(fields: &TypeFields) -> Columns {
        columns(fields)
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        Ok(Self { position_type_id: reader.id, fields: read_fields(reader)?, record: reader.record()? })
    }
}

fn columns(fields: &TypeFields) -> Columns {
    let TypeFields { name, code, category, sort_order, notes } = fields;
    vec![
        ("name", name.into()),
        ("name_folded", fold(name).into()),
        ("code", code.clone().into()),
        ("code_folded", fold_option(code).into()),
        ("category", category.clone().into()),
        ("category_folded", fold_option(category).into()),
        ("sort_order", (*sort_order).into()),
        ("notes", notes.clone().into()),
    ]
}

fn read_fields(reader: Reader<'_>) -> Result<TypeFields, EntityError> {
    Ok(TypeFields {
        name: reader.get("name")?,
        code: reader.get("code")?,
        category: reader.get("category")?,
        sort_order: reader.get("sort_order")?,
        notes: reader.get("notes")?,
    })
}
