//! Job postings in the database.

use chassis::{EntityError, Filter, Listing, Page};
use contracts::recruitment::JobStatus;
use db::{Db, Row, params};
use eventkit::UnitOfWork;
use jiff::Timestamp;

use super::{Columns, Reader, Source, insert, milliseconds, text, texts, update};
use crate::domain::posting::{JobPosting, JobPostingFields, JobPostingState};
use crate::domain::words::word;

pub(crate) const ENTITY: &str = "job posting";
const TABLE: &str = "job_postings";
const ID: &str = "job_posting_id";

/// Every posting that was not removed, with what the projections tell.
pub(crate) const DETAILS: &str = "select * from (
    select p.*, p.vacancies - p.filled as open_vacancies, d.name as department_name, d.headquarter_id,
        e.name as hiring_manager_name, e.works_here as hiring_manager_works_here
    from job_postings p
    left join departments d on d.department_id = p.department_id
    left join employees e on e.employee_id = p.hiring_manager_id
    where p.deleted_at is null) as details";

/// Adds a draft; answers its number.
pub(crate) async fn add(work: &mut UnitOfWork, fields: &JobPostingFields) -> Result<i64, EntityError> {
    let mut columns = field_columns(fields);
    columns.extend([("filled", 0_i64.into()), ("status", word(&JobStatus::Draft).into())]);
    Ok(insert(work, TABLE, ID, columns).await?)
}

/// Writes what a client may write.
pub(crate) async fn write(work: &mut UnitOfWork, id: i64, fields: &JobPostingFields) -> Result<(), EntityError> {
    Ok(update(work, TABLE, ID, id, field_columns(fields)).await?)
}

/// Writes where it stands.
pub(crate) async fn set_status(work: &mut UnitOfWork, id: i64, status: JobStatus) -> Result<(), EntityError> {
    Ok(update(work, TABLE, ID, id, vec![("status", word(&status).into())]).await?)
}

/// Writes that it is published.
pub(crate) async fn publish(work: &mut UnitOfWork, id: i64, now: Timestamp) -> Result<(), EntityError> {
    let columns = vec![("status", word(&JobStatus::Published).into()), ("published_date", milliseconds(now).into())];
    Ok(update(work, TABLE, ID, id, columns).await?)
}

/// Writes how many were hired, and where it stands then.
pub(crate) async fn fill(work: &mut UnitOfWork, id: i64, filled: i64, status: JobStatus) -> Result<(), EntityError> {
    let columns = vec![("filled", filled.into()), ("status", word(&status).into())];
    Ok(update(work, TABLE, ID, id, columns).await?)
}

/// Removes it: the row stays and is shown no more.
pub(crate) async fn remove(work: &mut UnitOfWork, id: i64, now: Timestamp) -> Result<(), EntityError> {
    let columns = vec![("is_active", false.into()), ("deleted_at", milliseconds(now).into())];
    Ok(update(work, TABLE, ID, id, columns).await?)
}

/// The posting of this number.
pub(crate) async fn find(source: impl Into<Source<'_>>, id: i64) -> Result<JobPosting, EntityError> {
    let row = source.into().query_opt(&format!("{DETAILS} where {ID} = $1"), &params![id]).await?;
    row.map_or(Err(EntityError::NotFound { entity: ENTITY, id }), |row| from_row(&row))
}

/// One page of postings.
pub(crate) async fn list(db: &Db, listing: &Listing, filter: Filter) -> Result<Page<JobPosting>, EntityError> {
    listing.page(db, DETAILS, ID, filter, from_row).await
}

fn field_columns(fields: &JobPostingFields) -> Columns {
    vec![
        ("title", (&fields.title).into()),
        ("title_folded", fields.title.to_lowercase().into()),
        ("description", (&fields.description).into()),
        ("requirements", (&fields.requirements).into()),
        ("benefits", fields.benefits.clone().into()),
        ("salary_min", text(fields.salary_min)),
        ("salary_max", text(fields.salary_max)),
        ("vacancies", fields.vacancies.into()),
        ("application_deadline", milliseconds(fields.application_deadline).into()),
        ("location", fields.location.clone().into()),
        ("employment_type", word(&fields.employment_type).into()),
        ("experience_level", word(&fields.experience_level).into()),
        ("skills", texts(&fields.skills)),
        ("department_id", fields.department_id.into()),
        ("position_id", fields.position_id.into()),
        ("hiring_manager_id", fields.hiring_manager_id.into()),
        ("notes", fields.notes.clone().into()),
    ]
}

fn from_row(row: &Row) -> Result<JobPosting, EntityError> {
    let reader = Reader::new(row, ENTITY, ID)?;
    let fields = JobPostingFields {
        title: reader.get("title")?,
        description: reader.get("description")?,
        requirements: reader.get("requirements")?,
        benefits: reader.get("benefits")?,
        salary_min: reader.money_opt("salary_min")?,
        salary_max: reader.money_opt("salary_max")?,
        vacancies: reader.get("vacancies")?,
        application_deadline: reader.time("application_deadline")?,
        location: reader.get("location")?,
        employment_type: reader.word("employment_type")?,
        experience_level: reader.word("experience_level")?,
        skills: reader.texts("skills")?,
        department_id: reader.get("department_id")?,
        position_id: reader.get("position_id")?,
        hiring_manager_id: reader.get("hiring_manager_id")?,
        notes: reader.get("notes")?,
    };
    let works_here: Option<bool> = reader.get("hiring_manager_works_here")?;
    Ok(JobPosting {
        state: JobPostingState {
            job_posting_id: reader.id,
            fields,
            status: reader.word("status")?,
            open_vacancies: reader.get("open_vacancies")?,
            published_date: reader.time_opt("published_date")?,
            record: reader.record()?,
        },
        department_name: reader.get("department_name")?,
        hiring_manager_name: reader.get("hiring_manager_name")?,
        hiring_manager_has_left: works_here == Some(false),
        headquarter_id: reader.get("headquarter_id")?,
    })
}
