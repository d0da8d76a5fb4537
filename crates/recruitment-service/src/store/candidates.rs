//! Candidates in the database.

use std::collections::HashSet;

use chassis::store::{Columns, Reader, Source, Table, text, texts};
use chassis::{EntityError, Filter};
use contracts::access::{Place, Scope};
use contracts::recruitment::ApplicationStatus;
use db::{Db, Row, Value, params};
use eventkit::UnitOfWork;

use super::{SEPARATOR, folded_entries};
use crate::domain::application;
use crate::domain::candidate::{Candidate, CandidateFields, CandidateStatus, fold_email, full_name};
use crate::domain::words::word;

impl Table for Candidate {
    const TABLE: &'static str = "candidates";
    const ID: &'static str = "candidate_id";
    const SELECT: &'static str = "select * from (select * from candidates where deleted_at is null) as details";
    const UNIQUE: &'static [(&'static str, &'static str)] = &[("email_folded", "email")];

    fn columns(fields: &CandidateFields) -> Columns {
        vec![
            ("first_name", (&fields.first_name).into()),
            ("last_name", (&fields.last_name).into()),
            ("name_folded", full_name(&fields.first_name, &fields.last_name).to_lowercase().into()),
            ("email", (&fields.email).into()),
            ("email_folded", fold_email(&fields.email).into()),
            ("phone_number", (&fields.phone_number).into()),
            ("birth_date", text(fields.birth_date)),
            ("address", fields.address.clone().into()),
            ("resume_url", fields.resume_url.clone().into()),
            ("linkedin_url", fields.linkedin_url.clone().into()),
            ("github_url", fields.github_url.clone().into()),
            ("portfolio_url", fields.portfolio_url.clone().into()),
            ("summary", fields.summary.clone().into()),
            ("skills", texts(&fields.skills)),
            ("skills_folded", folded_entries(&fields.skills).into()),
            ("years_of_experience", fields.years_of_experience.into()),
            ("source", fields.source.clone().into()),
            ("notes", fields.notes.clone().into()),
        ]
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        Ok(Candidate {
            candidate_id: reader.id,
            fields: CandidateFields {
                first_name: reader.get("first_name")?,
                last_name: reader.get("last_name")?,
                email: reader.get("email")?,
                phone_number: reader.get("phone_number")?,
                birth_date: reader.date_opt("birth_date")?,
                address: reader.get("address")?,
                resume_url: reader.get("resume_url")?,
                linkedin_url: reader.get("linkedin_url")?,
                github_url: reader.get("github_url")?,
                portfolio_url: reader.get("portfolio_url")?,
                summary: reader.get("summary")?,
                skills: reader.texts("skills")?,
                years_of_experience: reader.get("years_of_experience")?,
                source: reader.get("source")?,
                notes: reader.get("notes")?,
            },
            status: reader.word("status")?,
            record: reader.record()?,
        })
    }
}

/// Somebody new.
pub(crate) fn new(fields: &CandidateFields) -> Columns {
    let mut columns = Candidate::columns(fields);
    columns.extend(status(CandidateStatus::New));
    columns
}

/// Where the candidate stands.
pub(crate) fn status(status: CandidateStatus) -> Columns {
    vec![("status", word(&status).into())]
}

/// Applications with where their postings are.
const PLACED: &str = "applications a
    join job_postings p on p.job_posting_id = a.job_posting_id
    left join departments d on d.department_id = p.department_id";

/// Where the postings are that the candidate has applied for.
pub(crate) async fn places(source: impl Into<Source<'_>>, candidate_id: i64) -> Result<Vec<Place>, EntityError> {
    let sql = format!("select distinct p.department_id, d.headquarter_id from {PLACED} where a.candidate_id = $1");
    let rows = source.into().query(&sql, &params![candidate_id]).await?;
    let place = |row: &Row| {
        Ok(Place { headquarter_id: row.get("headquarter_id")?, department_id: Some(row.get("department_id")?) })
    };
    rows.iter().map(place).collect()
}

/// The candidate has applied for a posting within one of the scopes.
pub(crate) fn covered_by(filter: Filter, scopes: &[Scope]) -> Filter {
    if scopes.contains(&Scope::All) {
        return filter;
    }
    let (columns, ids): (Vec<&str>, Vec<i64>) = scopes.iter().filter_map(column_of).unzip();
    let conditions: Vec<String> = columns.iter().map(|column| format!(" or {column} = {{}}")).collect();
    let sql = format!("candidate_id in (select a.candidate_id from {PLACED} where 1 = 0{})", conditions.concat());
    filter.condition_of(&sql, ids.into_iter().map(Value::from))
}

/// Those of these candidates who have applied for a posting within one of the scopes.
pub(crate) async fn covered_of(db: &Db, candidates: &[i64], scopes: &[Scope]) -> Result<HashSet<i64>, EntityError> {
    if scopes.contains(&Scope::All) {
        return Ok(candidates.iter().copied().collect());
    }
    let (columns, places): (Vec<&str>, Vec<i64>) = scopes.iter().filter_map(column_of).unzip();
    if candidates.is_empty() || places.is_empty() {
        return Ok(HashSet::new());
    }
    // No more than a page.
    let asked: Vec<String> = (1..=candidates.len()).map(|at| format!("${at}")).collect();
    let columns = columns.iter().zip(candidates.len() + 1..);
    let conditions: Vec<String> = columns.map(|(column, at)| format!("{column} = ${at}")).collect();
    let sql = format!(
        "select distinct a.candidate_id from {PLACED} where a.candidate_id in ({}) and ({})",
        asked.join(", "),
        conditions.join(" or ")
    );
    let values: Vec<Value> = candidates.iter().chain(&places).copied().map(Value::from).collect();
    let rows = db.query(&sql, &values).await?;
    rows.iter().map(|row| Ok(row.get("candidate_id")?)).collect()
}

/// What a posting within a scope has in which column of [`PLACED`].
fn column_of(scope: &Scope) -> Option<(&'static str, i64)> {
    match *scope {
        Scope::All => None,
        Scope::Headquarters { headquarter_id } => Some(("d.headquarter_id", headquarter_id)),
        Scope::Department { department_id } => Some(("p.department_id", department_id)),
    }
}

/// The candidate has the skill, whatever its case.
pub(crate) fn with_skill(filter: Filter, skill: Option<&str>) -> Result<Filter, EntityError> {
    let entry = skill.map(|skill| format!("{SEPARATOR}{}{SEPARATOR}", skill.trim()));
    filter.contains("skill", &["skills_folded"], entry.as_deref())
}

/// The statuses of a candidate's applications, the latest decision first.
pub(crate) async fn application_statuses(
    work: &mut UnitOfWork,
    candidate_id: i64,
) -> Result<Vec<ApplicationStatus>, EntityError> {
    let rows = work
        .query(
            "select application_id, status from applications where candidate_id = $1
             order by coalesce(reviewed_date, applied_date) desc, application_id desc",
            &params![candidate_id],
        )
        .await?;
    rows.iter().map(|row| Reader::new(row, "application", "application_id")?.word("status")).collect()
}

/// Whether an application of the candidate is not decided.
pub(crate) async fn has_open_application(work: &mut UnitOfWork, candidate_id: i64) -> Result<bool, EntityError> {
    let statuses = application_statuses(work, candidate_id).await?;
    Ok(statuses.into_iter().any(|status| !application::is_final(status)))
}
