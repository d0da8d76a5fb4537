//! Mails about interviews: no public event tells of them, so they come from this service.
//!
//! Candidates are told at their address; of employees only the number is known here, and the container knows the rest.

use std::collections::HashMap;

use contracts::NOTIFICATION_EVENTS;
use contracts::notification::{NotificationEmail, recipient_key};
use eventkit::{Envelope, RecipientType, UnitOfWork};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::domain::candidate::full_name;
use crate::domain::interview::{Interview, InterviewStatus};
use crate::domain::words::word;
use crate::error::Error;
use crate::store::projections::{self, Employee};

/// A time as mails say it.
const TIME_FORMAT: &str = "%Y-%m-%d %H:%M UTC";

/// Mails that one unit of work sends.
#[derive(Debug, Default)]
pub(super) struct Notices(Vec<Notice>);

#[derive(Debug)]
struct Notice {
    /// Candidates come before employees, and lower numbers first: the order in which people are locked.
    recipient: (bool, i64),
    about: Interview,
    subject: &'static str,
    template: &'static str,
    is_rescheduled: bool,
}

impl Notices {
    /// Everybody learns when and where the interview is.
    pub(super) fn scheduled(&mut self, interview: &Interview, is_rescheduled: bool) {
        self.scheduled_for_candidate(interview, is_rescheduled);
        for employee_id in &interview.state.fields.interviewers {
            self.scheduled_for_employee(interview, *employee_id, is_rescheduled);
        }
    }

    /// Everybody learns that the interview will not take place.
    pub(super) fn cancelled(&mut self, interview: &Interview) {
        self.add_cancelled(interview, (false, interview.candidate_id));
        for employee_id in &interview.state.fields.interviewers {
            self.add_cancelled(interview, (true, *employee_id));
        }
    }

    /// Those learn of a change whom it concerns; nobody learns of a change that concerns nobody.
    pub(super) fn changed(&mut self, before: &Interview, after: &Interview) {
        let (old, new) = (&before.state.fields, &after.state.fields);
        if new.status == InterviewStatus::Cancelled {
            // Whoever was told of it, which the same change may have taken off.
            if old.status != InterviewStatus::Cancelled {
                self.cancelled(before);
            }
            return;
        }
        let is_moved = new.differs_in_time_or_place(old);
        if is_moved {
            self.scheduled_for_candidate(after, true);
        }
        for employee_id in &new.interviewers {
            let is_newcomer = !old.interviewers.contains(employee_id);
            if is_newcomer || is_moved {
                self.scheduled_for_employee(after, *employee_id, !is_newcomer);
            }
        }
        for employee_id in old.interviewers.iter().filter(|id| !new.interviewers.contains(id)) {
            self.add_cancelled(before, (true, *employee_id));
        }
    }

    /// Publishes the mails.
    pub(super) async fn send(mut self, work: &mut UnitOfWork) -> Result<(), Error> {
        self.0.sort_by_key(|notice| notice.recipient);
        let named: Vec<i64> = self.0.iter().flat_map(Notice::employees).collect();
        let known = projections::employees(work, &named).await?;
        for notice in self.0 {
            notice.send(work, &known).await?;
        }
        Ok(())
    }

    fn scheduled_for_candidate(&mut self, interview: &Interview, is_rescheduled: bool) {
        self.add_scheduled(interview, (false, interview.candidate_id), is_rescheduled);
    }

    fn scheduled_for_employee(&mut self, interview: &Interview, employee_id: i64, is_rescheduled: bool) {
        self.add_scheduled(interview, (true, employee_id), is_rescheduled);
    }

    fn add_scheduled(&mut self, interview: &Interview, recipient: (bool, i64), is_rescheduled: bool) {
        let subject = if is_rescheduled { "Interview moved" } else { "Interview" };
        let about = interview.clone();
        self.0.push(Notice { recipient, about, subject, template: "interview-scheduled", is_rescheduled });
    }

    fn add_cancelled(&mut self, interview: &Interview, recipient: (bool, i64)) {
        let (about, subject) = (interview.clone(), "Interview cancelled");
        self.0.push(Notice { recipient, about, subject, template: "interview-cancelled", is_rescheduled: false });
    }
}

impl Notice {
    /// Whose names it tells.
    fn employees(&self) -> impl Iterator<Item = i64> {
        let (is_employee, recipient_id) = self.recipient;
        self.about.state.fields.interviewers.iter().copied().chain(is_employee.then_some(recipient_id))
    }

    async fn send(self, work: &mut UnitOfWork, known: &HashMap<i64, Employee>) -> Result<(), Error> {
        let (is_employee, recipient_id) = self.recipient;
        let applicant = &self.about.applicant;
        let (recipient_type, to, name) = match is_employee {
            true => {
                let name = known.get(&recipient_id).and_then(|employee| employee.name.clone());
                (RecipientType::Employee, None, name.unwrap_or_default())
            }
            false => {
                let name = full_name(&applicant.first_name, &applicant.last_name);
                (RecipientType::Candidate, Some(applicant.email.clone()), name)
            }
        };
        let email = NotificationEmail {
            to,
            subject: format!("{}: {}", self.subject, self.about.job_title),
            template: self.template.to_owned(),
            variables: self.variables(known, name),
        };
        let envelope = Envelope::of(&email)?.to_recipient(recipient_type, recipient_id);
        work.publish_event(NOTIFICATION_EVENTS, &recipient_key(recipient_type, recipient_id), envelope).await?;
        Ok(())
    }

    fn variables(&self, known: &HashMap<i64, Employee>, recipient_name: String) -> Map<String, Value> {
        let interview = &self.about;
        let fields = &interview.state.fields;
        let interviewers = fields.interviewers.iter().filter_map(|id| known.get(id)?.name.as_deref());
        let interviewers: Vec<&str> = interviewers.collect();
        let variables = [
            ("recipientName", json!(recipient_name)),
            ("candidateName", json!(interview.candidate_name)),
            ("interviewerNames", json!(interviewers.join(", "))),
            ("jobTitle", json!(interview.job_title)),
            ("interviewId", json!(interview.state.interview_id)),
            ("interviewType", json!(word(&fields.interview_type))),
            ("scheduledDate", json!(readable(fields.scheduled_date))),
            ("durationMinutes", json!(fields.duration_minutes)),
            ("location", json!(fields.location.as_deref().unwrap_or_default())),
            ("meetingLink", json!(fields.meeting_link.as_deref().unwrap_or_default())),
            ("isRescheduled", json!(self.is_rescheduled)),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn readable(time: Timestamp) -> String {
    time.strftime(TIME_FORMAT).to_string()
}
