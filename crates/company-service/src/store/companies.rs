//! The table of companies.

use db::{Row, Value, params};

use super::{Table, fold, fold_option, read_record};
use crate::domain::{Company, CompanyFields};
use crate::error::Error;

impl Table for Company {
    const TABLE: &'static str = "companies";
    const ID: &'static str = "company_id";
    const COLUMNS: &'static [&'static str] =
        &["name", "name_folded", "tax_code", "tax_code_folded", "industry", "industry_folded", "website", "notes"];

    fn values(fields: &CompanyFields) -> Vec<Value> {
        let CompanyFields { name, tax_code, industry, website, notes } = fields;
        params![
            name,
            fold(name),
            tax_code.clone(),
            fold_option(tax_code),
            industry.clone(),
            fold_option(industry),
            website.clone(),
            notes.clone(),
        ]
        .to_vec()
    }

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            company_id: row.get(Self::ID)?,
            fields: CompanyFields {
                name: row.get("name")?,
                tax_code: row.get("tax_code")?,
                industry: row.get("industry")?,
                website: row.get("website")?,
                notes: row.get("notes")?,
            },
            record: read_record::<Self>(row)?,
        })
    }
}
