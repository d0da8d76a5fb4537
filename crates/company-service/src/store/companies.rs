//! The table of companies.

use chassis::EntityError;
use chassis::store::{Columns, Reader, Table};

use super::{fold, fold_option};
use crate::domain::{Company, CompanyFields};

impl Table for Company {
    const TABLE: &'static str = "companies";
    const ID: &'static str = "company_id";
    const SELECT: &'static str = "select * from (select * from companies where deleted_at is null) as companies";

    fn columns(fields: &CompanyFields) -> Columns {
        let CompanyFields { name, tax_code, industry, website, notes } = fields;
        vec![
            ("name", name.into()),
            ("name_folded", fold(name).into()),
            ("tax_code", tax_code.clone().into()),
            ("tax_code_folded", fold_option(tax_code).into()),
            ("industry", industry.clone().into()),
            ("industry_folded", fold_option(industry).into()),
            ("website", website.clone().into()),
            ("notes", notes.clone().into()),
        ]
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        Ok(Self {
            company_id: reader.id,
            fields: CompanyFields {
                name: reader.get("name")?,
                tax_code: reader.get("tax_code")?,
                industry: reader.get("industry")?,
                website: reader.get("website")?,
                notes: reader.get("notes")?,
            },
            record: reader.record()?,
        })
    }
}
