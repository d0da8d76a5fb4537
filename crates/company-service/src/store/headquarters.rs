//! The table of headquarters.

use chassis::EntityError;
use chassis::store::{Columns, Reader, Table};
use db::params;
use eventkit::UnitOfWork;

use super::{count, fold};
use crate::domain::{Headquarters, HeadquartersFields};
use crate::error::Error;

impl Table for Headquarters {
    const TABLE: &'static str = "headquarters";
    const ID: &'static str = "headquarter_id";
    const SELECT: &'static str = "select * from (select * from headquarters where deleted_at is null) as headquarters";
    const UNIQUE: &'static [(&'static str, &'static str)] = &[("name_folded", "name")];

    fn columns(fields: &HeadquartersFields) -> Columns {
        vec![
            ("company_id", fields.company_id.into()),
            ("name", (&fields.name).into()),
            ("name_folded", fold(&fields.name).into()),
            ("address", (&fields.address).into()),
            ("phone", (&fields.phone).into()),
            ("email", (&fields.email).into()),
            ("city", (&fields.city).into()),
            ("city_folded", fold(&fields.city).into()),
            ("postal_code", fields.postal_code.clone().into()),
            ("description", fields.description.clone().into()),
            ("is_main", fields.is_main.into()),
            ("notes", fields.notes.clone().into()),
        ]
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        Ok(Self {
            headquarter_id: reader.id,
            fields: HeadquartersFields {
                company_id: reader.get("company_id")?,
                name: reader.get("name")?,
                address: reader.get("address")?,
                phone: reader.get("phone")?,
                email: reader.get("email")?,
                city: reader.get("city")?,
                postal_code: reader.get("postal_code")?,
                description: reader.get("description")?,
                is_main: reader.get("is_main")?,
                notes: reader.get("notes")?,
            },
            record: reader.record()?,
        })
    }
}

/// How many headquarters a company has.
pub(crate) async fn headquarters_of(work: &mut UnitOfWork, company_id: i64) -> Result<i64, Error> {
    count(work, Headquarters::TABLE, "company_id = $1 and deleted_at is null", company_id).await
}

/// The number of a company's main headquarters, if it has any.
pub(crate) async fn main_of(work: &mut UnitOfWork, company_id: i64) -> Result<Option<i64>, Error> {
    let sql = "select headquarter_id from headquarters where company_id = $1 and is_main and deleted_at is null";
    let row = work.query_opt(sql, &params![company_id]).await?;
    Ok(row.map(|row| row.get("headquarter_id")).transpose()?)
}
