//! Job postings in the database.

use chassis::EntityError;
use chassis::store::{Columns, Reader, Table, milliseconds, text, texts};
use contracts::recruitment::JobStatus;
use jiff::Timestamp;

use crate::domain::posting::{JobPosting, JobPostingFields, JobPostingState};
use crate::domain::words::word;

impl Table for JobPosting {
    const TABLE: &'static str = "job_postings";
    const ID: &'static str = "job_posting_id";
    const SELECT: &'static str = "select * from (
    select p.*, p.vacancies - p.filled as open_vacancies, d.name as department_name, d.headquarter_id,
        e.name as hiring_manager_name, e.works_here as hiring_manager_works_here
    from job_postings p
    left join departments d on d.department_id = p.department_id
    left join employees e on e.employee_id = p.hiring_manager_id
    where p.deleted_at is null) as details";

    fn columns(fields: &JobPostingFields) -> Columns {
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

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
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
}

/// A new draft.
pub(crate) fn draft(fields: &JobPostingFields) -> Columns {
    let mut columns = JobPosting::columns(fields);
    columns.extend([("filled", 0_i64.into()), ("status", word(&JobStatus::Draft).into())]);
    columns
}

/// Where it stands.
pub(crate) fn status(status: JobStatus) -> Columns {
    vec![("status", word(&status).into())]
}

/// That it is published.
pub(crate) fn published(now: Timestamp) -> Columns {
    vec![("status", word(&JobStatus::Published).into()), ("published_date", milliseconds(now).into())]
}

/// How many were hired, and where it stands then.
pub(crate) fn filled(filled: i64, status: JobStatus) -> Columns {
    vec![("filled", filled.into()), ("status", word(&status).into())]
}
