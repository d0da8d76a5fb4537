//! Interviews in the database.

use chassis::store::{Columns, Reader, Table, milliseconds};
use chassis::{EntityError, Filter};
use db::params;
use eventkit::UnitOfWork;

use super::applications::applicant;
use crate::domain::candidate::full_name;
use crate::domain::interview::{Interview, InterviewFields, InterviewState, InterviewStatus};
use crate::domain::words::word;

impl Table for Interview {
    const TABLE: &'static str = "interviews";
    const ID: &'static str = "interview_id";
    const SELECT: &'static str = "select * from (
    select i.*, a.job_posting_id, a.candidate_id, a.status as application_status, p.title as job_title,
        p.department_id, d.headquarter_id, c.first_name, c.last_name, c.email, c.phone_number
    from interviews i
    join applications a on a.application_id = i.application_id
    join job_postings p on p.job_posting_id = a.job_posting_id
    join candidates c on c.candidate_id = a.candidate_id
    left join departments d on d.department_id = p.department_id) as details";

    fn columns(fields: &InterviewFields) -> Columns {
        vec![
            ("interview_type", word(&fields.interview_type).into()),
            ("scheduled_date", milliseconds(fields.scheduled_date).into()),
            ("duration_minutes", fields.duration_minutes.into()),
            ("location", fields.location.clone().into()),
            ("meeting_link", fields.meeting_link.clone().into()),
            ("interviewers", numbers(&fields.interviewers).into()),
            ("agenda", fields.agenda.clone().into()),
            ("status", word(&fields.status).into()),
            ("score", fields.score.into()),
            ("result", fields.result.as_ref().map(word).into()),
            ("strengths", fields.strengths.clone().into()),
            ("improvements", fields.improvements.clone().into()),
            ("notes", fields.notes.clone().into()),
        ]
    }

    fn read(reader: Reader<'_>) -> Result<Self, EntityError> {
        let interviewers: String = reader.get("interviewers")?;
        let interviewers = interviewers.split(',').filter(|number| !number.is_empty());
        let interviewers =
            interviewers.map(|number| number.parse().map_err(|_| reader.corrupt("an interviewer is no number")));
        let applicant = applicant(reader)?;
        Ok(Interview {
            state: InterviewState {
                interview_id: reader.id,
                fields: InterviewFields {
                    application_id: reader.get("application_id")?,
                    interview_type: reader.word("interview_type")?,
                    scheduled_date: reader.time("scheduled_date")?,
                    duration_minutes: reader.get("duration_minutes")?,
                    location: reader.get("location")?,
                    meeting_link: reader.get("meeting_link")?,
                    interviewers: interviewers.collect::<Result<_, _>>()?,
                    agenda: reader.get("agenda")?,
                    status: reader.word("status")?,
                    score: reader.get("score")?,
                    result: reader.word_opt("result")?,
                    strengths: reader.get("strengths")?,
                    improvements: reader.get("improvements")?,
                    notes: reader.get("notes")?,
                },
                record: reader.record()?,
            },
            job_posting_id: reader.get("job_posting_id")?,
            job_title: reader.get("job_title")?,
            department_id: reader.get("department_id")?,
            candidate_id: applicant.candidate_id,
            candidate_name: full_name(&applicant.first_name, &applicant.last_name),
            application_status: reader.word("application_status")?,
            headquarter_id: reader.get("headquarter_id")?,
            applicant,
        })
    }
}

/// A new interview; which application it is about never changes.
pub(crate) fn new(fields: &InterviewFields) -> Columns {
    let mut columns = Interview::columns(fields);
    columns.push(("application_id", fields.application_id.into()));
    columns
}

/// The numbers of an application's interviews that are not over, growing.
pub(crate) async fn open_of(work: &mut UnitOfWork, application_id: i64) -> Result<Vec<i64>, EntityError> {
    let sql = "select interview_id from interviews where application_id = $1 and status in ($2, $3, $4)
        order by interview_id";
    let [scheduled, confirmed, in_progress] = InterviewStatus::OPEN.map(|status| word(&status));
    let rows = work.query(sql, &params![application_id, scheduled, confirmed, in_progress]).await?;
    rows.iter().map(|row| Ok(row.get(Interview::ID)?)).collect()
}

/// The employee is among the interviewers.
pub(crate) fn with_interviewer(filter: Filter, employee_id: Option<i64>) -> Result<Filter, EntityError> {
    let entry = employee_id.map(|id| format!(",{id},"));
    filter.contains("interviewerId", &["interviewers"], entry.as_deref())
}

/// Numbers with a comma around each, so that one is found as a whole.
fn numbers(list: &[i64]) -> String {
    list.iter().fold(",".to_owned(), |text, number| format!("{text}{number},"))
}
