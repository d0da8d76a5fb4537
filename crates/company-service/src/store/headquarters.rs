//! The table of headquarters.

use db::{Row, Value, params};
use eventkit::UnitOfWork;

use super::{Table, count, fold, read_record};
use crate::domain::{Headquarters, HeadquartersFields};
use crate::error::Error;

impl Table for Headquarters {
    const TABLE: &'static str = "headquarters";
    const ID: &'static str = "headquarter_id";
    const COLUMNS: &'static [&'static str] = &[
        "company_id",
        "name",
        "name_folded",
        "address",
        "phone",
        "email",
        "city",
        "city_folded",
        "postal_code",
        "description",
        "is_main",
        "notes",
    ];
    const UNIQUE: &'static [(&'static str, &'static str)] = &[("name_folded", "name")];

    fn values(fields: &HeadquartersFields) -> Vec<Value> {
        params![
            fields.company_id,
            &fields.name,
            fold(&fields.name),
            &fields.address,
            &fields.phone,
            &fields.email,
            &fields.city,
            fold(&fields.city),
            fields.postal_code.clone(),
            fields.description.clone(),
            fields.is_main,
            fields.notes.clone(),
        ]
        .to_vec()
    }

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            headquarter_id: row.get(Self::ID)?,
            fields: HeadquartersFields {
                company_id: row.get("company_id")?,
                name: row.get("name")?,
                address: row.get("address")?,
                phone: row.get("phone")?,
                email: row.get("email")?,
                city: row.get("city")?,
                postal_code: row.get("postal_code")?,
                description: row.get("description")?,
                is_main: row.get("is_main")?,
                notes: row.get("notes")?,
            },
            record: read_record::<Self>(row)?,
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
