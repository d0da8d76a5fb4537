//! The tables of types, which have the same columns.

use db::{Row, Value, params};

use super::{Table, fold, fold_option, read_record};
use crate::domain::{DepartmentType, PositionType, TypeFields};
use crate::error::Error;

const COLUMNS: &[&str] =
    &["name", "name_folded", "code", "code_folded", "category", "category_folded", "sort_order", "notes"];
const UNIQUE: &[(&str, &str)] = &[("name_folded", "name")];

impl Table for DepartmentType {
    const TABLE: &'static str = "department_types";
    const ID: &'static str = "department_type_id";
    const COLUMNS: &'static [&'static str] = COLUMNS;
    const UNIQUE: &'static [(&'static str, &'static str)] = UNIQUE;

    fn values(fields: &TypeFields) -> Vec<Value> {
        values(fields)
    }

    fn read(row: &Row) -> Result<Self, Error> {
        let (fields, record) = (read_fields(row)?, read_record::<Self>(row)?);
        Ok(Self { department_type_id: row.get(Self::ID)?, fields, record })
    }
}

impl Table for PositionType {
    const TABLE: &'static str = "position_types";
    const ID: &'static str = "position_type_id";
    const COLUMNS: &'static [&'static str] = COLUMNS;
    const UNIQUE: &'static [(&'static str, &'static str)] = UNIQUE;

    fn values(fields: &TypeFields) -> Vec<Value> {
        values(fields)
    }

    fn read(row: &Row) -> Result<Self, Error> {
        let (fields, record) = (read_fields(row)?, read_record::<Self>(row)?);
        Ok(Self { position_type_id: row.get(Self::ID)?, fields, record })
    }
}

fn values(fields: &TypeFields) -> Vec<Value> {
    let TypeFields { name, code, category, sort_order, notes } = fields;
    params![
        name,
        fold(name),
        code.clone(),
        fold_option(code),
        category.clone(),
        fold_option(category),
        *sort_order,
        notes.clone(),
    ]
    .to_vec()
}

fn read_fields(row: &Row) -> Result<TypeFields, Error> {
    Ok(TypeFields {
        name: row.get("name")?,
        code: row.get("code")?,
        category: row.get("category")?,
        sort_order: row.get("sort_order")?,
        notes: row.get("notes")?,
    })
}
