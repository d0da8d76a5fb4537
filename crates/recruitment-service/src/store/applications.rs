//! Applications in the database.

use chassis::EntityError;
use chassis::store::{Columns, Reader, Table, milliseconds, text};
use contracts::recruitment::{Applicant, ApplicationStatus};
use db::params;
use eventkit::UnitOfWork;
use jiff::Timestamp;

use crate::domain::application::{Application, ApplicationFields, ApplicationState, NewApplication};
use crate::domain::candidate::full_name;
use crate::domain::words::word;

impl Table for Application {
    const TABLE: &'static str = "applications";
    const ID: &'static str = "application_id";
    const SELECT: &'static str = "select * from (
    select a.*, p.title as job_title, p.status as job_status, p.department_id, p.position_id, p.hiring_manager_id,
        d.headquarter_id, c.first_name, c.last_name, c.email, c.phone_number
    from applications a
    join job_postings p on p.job_posting_id = a.job_posting_id
    join candidates c on c.candidate_id = a.candidate_id
    left join departments d on d.department_id = p.department_id) as details";

    fn columns(fields: &ApplicationFields) -> Columns {
        vec![
            ("review_notes", fields.review_notes.clone().into()),
            ("score", fields.score.into()),
            ("feedback", fields.feedback.clone().into()),
            ("offered_salary", text(fields.offered_salary)),
            ("offer_expiry_date", text(fields.offer_expiry_date)),
            ("offer_status", fields.offer_status.as_ref().map(word).into()),
            ("expected_start_date", text(fields.expected_start_date)),
            ("notes", fields.notes.clone().into()),
        ]
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        let applicant = applicant(reader)?;
        Ok(Application {
            state: state(reader)?,
            job_title: reader.get("job_title")?,
            department_id: reader.get("department_id")?,
            candidate_name: full_name(&applicant.first_name, &applicant.last_name),
            job_status: reader.word("job_status")?,
            position_id: reader.get("position_id")?,
            hiring_manager_id: reader.get("hiring_manager_id")?,
            headquarter_id: reader.get("headquarter_id")?,
            applicant,
        })
    }
}

/// A new application.
pub(crate) fn new(new: &NewApplication, now: Timestamp) -> Columns {
    vec![
        ("job_posting_id", new.job_posting_id.into()),
        ("candidate_id", new.candidate_id.into()),
        ("cover_letter", new.cover_letter.clone().into()),
        ("resume_url", new.resume_url.clone().into()),
        ("notes", new.notes.clone().into()),
        ("status", word(&ApplicationStatus::Submitted).into()),
        ("applied_date", milliseconds(now).into()),
    ]
}

/// Whether an application was not added because the candidate has applied for the posting before.
pub(crate) fn is_second(error: &EntityError) -> bool {
    let EntityError::Backbone(eventkit::Error::Database(error)) = error else { return false };
    error.violates(Application::TABLE, "candidate_id")
}

/// All that a review changes.
pub(crate) fn reviewed(state: &ApplicationState) -> Columns {
    let mut columns = Application::columns(&state.fields);
    columns.extend([
        ("status", word(&state.status).into()),
        ("reviewed_date", state.reviewed_date.map(milliseconds).into()),
        ("reviewed_by", state.reviewed_by.into()),
        ("rejection_reason", state.rejection_reason.clone().into()),
        ("withdrawal_reason", state.withdrawal_reason.clone().into()),
        ("offer_date", state.offer_date.map(milliseconds).into()),
    ]);
    columns
}

/// Whether the candidate has applied for the posting.
pub(crate) async fn exists(work: &mut UnitOfWork, job_posting_id: i64, candidate_id: i64) -> Result<bool, EntityError> {
    let sql = "select application_id from applications where job_posting_id = $1 and candidate_id = $2";
    Ok(work.query_opt(sql, &params![job_posting_id, candidate_id]).await?.is_some())
}

/// Who applied, from the columns that every list of details has.
pub(super) fn applicant(reader: Reader<'_>) -> Result<Applicant, EntityError> {
    Ok(Applicant {
        candidate_id: reader.get("candidate_id")?,
        first_name: reader.get("first_name")?,
        last_name: reader.get("last_name")?,
        email: reader.get("email")?,
        phone_number: reader.get("phone_number")?,
    })
}

fn state(reader: Reader<'_>) -> Result<ApplicationState, EntityError> {
    Ok(ApplicationState {
        application_id: reader.id,
        job_posting_id: reader.get("job_posting_id")?,
        candidate_id: reader.get("candidate_id")?,
        cover_letter: reader.get("cover_letter")?,
        resume_url: reader.get("resume_url")?,
        fields: ApplicationFields {
            review_notes: reader.get("review_notes")?,
            score: reader.get("score")?,
            feedback: reader.get("feedback")?,
            offered_salary: reader.money_opt("offered_salary")?,
            offer_expiry_date: reader.date_opt("offer_expiry_date")?,
            offer_status: reader.word_opt("offer_status")?,
            expected_start_date: reader.date_opt("expected_start_date")?,
            notes: reader.get("notes")?,
        },
        status: reader.word("status")?,
        applied_date: reader.time("applied_date")?,
        reviewed_date: reader.time_opt("reviewed_date")?,
        reviewed_by: reader.get("reviewed_by")?,
        rejection_reason: reader.get("rejection_reason")?,
        withdrawal_reason: reader.get("withdrawal_reason")?,
        offer_date: reader.time_opt("offer_date")?,
        record: reader.record()?,
    })
}
