//! Interviews: when and where a candidate is talked to, and what came of it.

use std::collections::BTreeSet;

use chassis::rules::{many_lines, one_line, web_address};
use chassis::{Entity, EntityError};
use contracts::access::Place;
use contracts::audit::digest;
use contracts::recruitment::{Applicant, ApplicationStatus};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules::{
    NOTES_LENGTH_MAX, SCORE_MAX, TEXT_LENGTH_MAX, TITLE_LENGTH_MAX, URL_LENGTH_MAX, whole_milliseconds,
};
use super::{Record, words};

/// How many interviews of one application are not over at the most: each is told to everybody who takes part, in the
/// unit of work that sets it up or that ends the application.
pub(crate) const OPEN_MAX: usize = 10;
/// How many employees talk to one candidate at the most.
const INTERVIEWERS_MAX: usize = 20;
/// The shortest interview, in minutes.
const DURATION_MINUTES_MIN: i64 = 5;
/// The longest interview, in minutes: a day of eight hours.
const DURATION_MINUTES_MAX: i64 = 480;
/// How long an interview takes where nobody says otherwise, in minutes.
const DURATION_MINUTES_DEFAULT: i64 = 60;

/// What kind of interview it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InterviewType {
    /// By telephone.
    Phone,
    /// By video.
    Video,
    /// At our place.
    Onsite,
    /// About the craft.
    Technical,
    /// With human resources.
    Hr,
    /// The last one.
    Final,
}

/// Where an interview stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InterviewStatus {
    /// A time was set.
    #[default]
    Scheduled,
    /// Everybody will be there.
    Confirmed,
    /// They are talking.
    InProgress,
    /// It took place. Final.
    Completed,
    /// It will not take place. Final.
    Cancelled,
    /// The candidate did not come. Final.
    NoShow,
}

/// What the interviewers think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum InterviewResult {
    /// By all means.
    StrongPass,
    /// Yes.
    Pass,
    /// Rather yes.
    WeakPass,
    /// No.
    Fail,
    /// Not decided.
    Pending,
}

impl InterviewStatus {
    /// Those that something leaves.
    pub(crate) const OPEN: [Self; 3] = [Self::Scheduled, Self::Confirmed, Self::InProgress];

    /// Whether nothing leaves the status.
    pub(crate) fn is_final(self) -> bool {
        !Self::OPEN.contains(&self)
    }

    /// Whether an interview may go from this status to another.
    fn may_become(self, to: Self) -> bool {
        match (self, to) {
            (Self::Scheduled, Self::Confirmed)
            | (Self::Confirmed, Self::InProgress)
            | (Self::InProgress, Self::Completed) => true,
            (from, Self::Cancelled | Self::NoShow) => !from.is_final(),
            _ => false,
        }
    }

    /// Whether the interview lies ahead, so that its time can still be moved.
    pub(crate) fn is_ahead(self) -> bool {
        matches!(self, Self::Scheduled | Self::Confirmed)
    }

    /// Whether somebody was talked to, so that something can be thought of it.
    fn has_begun(self) -> bool {
        matches!(self, Self::InProgress | Self::Completed)
    }
}

/// What a client may write of an interview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(crate) struct InterviewFields {
    /// The application that it is about; an open one, and the same for good.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) application_id: i64,
    /// What kind it is.
    #[serde(rename = "type")]
    pub(crate) interview_type: InterviewType,
    /// When it begins; in the future when it is set.
    #[serde(deserialize_with = "whole_milliseconds")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) scheduled_date: Timestamp,
    /// How long it takes.
    #[serde(default = "default_duration")]
    #[garde(range(min = DURATION_MINUTES_MIN, max = DURATION_MINUTES_MAX))]
    #[schema(minimum = 5, maximum = 480)]
    pub(crate) duration_minutes: i64,
    /// Where it takes place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = TITLE_LENGTH_MAX), custom(one_line)))]
    #[schema(max_length = 200)]
    pub(crate) location: Option<String>,
    /// Where to meet on the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = URL_LENGTH_MAX), custom(web_address)))]
    #[schema(format = "uri", max_length = 2000)]
    pub(crate) meeting_link: Option<String>,
    /// The employees who talk to the candidate.
    #[garde(length(min = 1, max = INTERVIEWERS_MAX), inner(range(min = 1)), custom(distinct))]
    #[schema(min_items = 1, max_items = 20)]
    pub(crate) interviewers: Vec<i64>,
    /// What is to be talked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = TEXT_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 20000)]
    pub(crate) agenda: Option<String>,
    /// Where it stands; `scheduled` at first.
    #[serde(default)]
    pub(crate) status: InterviewStatus,
    /// How well the candidate did, from 1 to 10; once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = SCORE_MAX)))]
    #[schema(minimum = 1, maximum = 10)]
    pub(crate) score: Option<i64>,
    /// What the interviewers think; other than `pending` once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<InterviewResult>,
    /// What speaks for the candidate; once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) strengths: Option<String>,
    /// What the candidate could do better; once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) improvements: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

fn default_duration() -> i64 {
    DURATION_MINUTES_DEFAULT
}

fn distinct(numbers: &[i64], (): &()) -> garde::Result {
    match numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len() {
        true => Ok(()),
        false => Err(garde::Error::new("each may be named once")),
    }
}

/// An interview's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InterviewState {
    /// The number.
    pub(crate) interview_id: i64,
    #[serde(flatten)]
    pub(crate) fields: InterviewFields,
    #[serde(flatten)]
    pub(crate) record: Record,
}

/// An interview, with what its application tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Interview {
    #[serde(flatten)]
    pub(crate) state: InterviewState,
    /// The posting that the application answers.
    pub(crate) job_posting_id: i64,
    /// The posting's title.
    pub(crate) job_title: String,
    /// The department that looks for somebody.
    pub(crate) department_id: i64,
    /// Who applied.
    pub(crate) candidate_id: i64,
    /// The candidate's name.
    pub(crate) candidate_name: String,
    #[serde(skip)]
    pub(crate) application_status: ApplicationStatus,
    #[serde(skip)]
    pub(crate) headquarter_id: Option<i64>,
    #[serde(skip)]
    pub(crate) applicant: Applicant,
}

impl Interview {
    /// Where it is, for permissions.
    pub(crate) fn place(&self) -> Place {
        Place { headquarter_id: self.headquarter_id, department_id: Some(self.department_id) }
    }
}

impl Entity for Interview {
    type Fields = InterviewFields;
    const NAME: &'static str = "interview";
    const KEY: &'static str = "interview";

    fn id(&self) -> i64 {
        self.state.interview_id
    }

    fn version(&self) -> i64 {
        self.state.record.version
    }

    fn fields(&self) -> &InterviewFields {
        &self.state.fields
    }

    /// What the interviewers write is left out, as it is of events.
    fn digest(&self) -> String {
        let (score, result, strengths, improvements, notes) = (None, None, None, None, None);
        let fields = self.state.fields.clone();
        let fields = InterviewFields { score, result, strengths, improvements, notes, ..fields };
        digest(&InterviewState { fields, ..self.state.clone() })
    }
}

impl InterviewFields {
    /// Checks what a new interview says.
    pub(crate) fn check_new(&self, now: Timestamp) -> Result<(), EntityError> {
        if self.status != InterviewStatus::Scheduled {
            return Err(EntityError::field("status", "must be scheduled at first"));
        }
        self.check_time(now)?;
        self.check_judgement()
    }

    /// Checks what a patch has made of the fields.
    pub(crate) fn check_patch(&self, before: &Self, now: Timestamp) -> Result<(), EntityError> {
        if self.application_id != before.application_id {
            return Err(EntityError::field("applicationId", "cannot be changed"));
        }
        let (from, to) = (before.status, self.status);
        if from != to && !from.may_become(to) {
            let (from, to) = (words::word(&from), words::word(&to));
            return Err(EntityError::Conflict(format!("an interview that is {from} cannot become {to}")));
        }
        if self.differs_in_appointment(before) {
            if !from.is_ahead() {
                let from = words::word(&from);
                return Err(EntityError::Conflict(format!("an interview that is {from} cannot be moved")));
            }
            if self.scheduled_date != before.scheduled_date {
                self.check_time(now)?;
            }
        }
        self.check_judgement()
    }

    fn check_time(&self, now: Timestamp) -> Result<(), EntityError> {
        match self.scheduled_date > now {
            true => Ok(()),
            false => Err(EntityError::field("scheduledDate", "must be in the future")),
        }
    }

    /// Nobody is judged before anybody was talked to.
    fn check_judgement(&self) -> Result<(), EntityError> {
        if self.status.has_begun() {
            return Ok(());
        }
        let told = [
            ("score", self.score.is_some()),
            ("result", !matches!(self.result, None | Some(InterviewResult::Pending))),
            ("strengths", self.strengths.is_some()),
            ("improvements", self.improvements.is_some()),
        ];
        match told.into_iter().find(|(_, is_told)| *is_told) {
            Some((field, _)) => Err(EntityError::field(field, "can be told once the interview has begun")),
            None => Ok(()),
        }
    }

    /// Whether anything differs that the people who take part were told.
    pub(crate) fn differs_in_appointment(&self, before: &Self) -> bool {
        self.differs_in_time_or_place(before) || self.interviewers != before.interviewers
    }

    /// Whether everybody must be told anew.
    pub(crate) fn differs_in_time_or_place(&self, before: &Self) -> bool {
        self.interview_type != before.interview_type
            || self.scheduled_date != before.scheduled_date
            || self.duration_minutes != before.duration_minutes
            || self.location != before.location
            || self.meeting_link != before.meeting_link
    }
}

#[cfg(test)]
mod tests {
    use InterviewStatus::{Cancelled, Completed, Confirmed, InProgress, NoShow, Scheduled};

    use super::*;

    const STATUSES: [InterviewStatus; 6] = [Scheduled, Confirmed, InProgress, Completed, Cancelled, NoShow];

    fn fields(status: InterviewStatus) -> InterviewFields {
        InterviewFields {
            application_id: 1,
            interview_type: InterviewType::Video,
            scheduled_date: "2026-12-01T09:00:00Z".parse().unwrap(),
            duration_minutes: 60,
            location: None,
            meeting_link: None,
            interviewers: vec![1],
            agenda: None,
            status,
            score: None,
            result: None,
            strengths: None,
            improvements: None,
            notes: None,
        }
    }

    #[test]
    fn every_pair_of_states_is_allowed_or_refused_as_the_way_says() {
        let ways = [
            (Scheduled, [Confirmed, Cancelled, NoShow]),
            (Confirmed, [InProgress, Cancelled, NoShow]),
            (InProgress, [Completed, Cancelled, NoShow]),
        ];
        for from in STATUSES {
            let onward = ways.iter().find(|(state, _)| *state == from).map_or(&[][..], |(_, onward)| onward);
            for to in STATUSES {
                let checked = fields(to).check_patch(&fields(from), Timestamp::UNIX_EPOCH);
                assert_eq!(checked.is_ok(), from == to || onward.contains(&to), "{from:?} -> {to:?}");
            }
            assert_eq!(from.is_final(), onward.is_empty(), "{from:?}");
        }
    }

    #[test]
    fn an_interview_is_moved_only_while_it_lies_ahead_and_only_into_the_future() {
        let moved = |status, now: &str| {
            let later = InterviewFields { scheduled_date: "2026-12-02T09:00:00Z".parse().unwrap(), ..fields(status) };
            later.check_patch(&fields(status), now.parse().unwrap())
        };
        for status in STATUSES {
            assert_eq!(moved(status, "2026-11-24T00:00:00Z").is_ok(), status.is_ahead(), "{status:?}");
        }
        assert!(matches!(moved(Scheduled, "2026-12-02T09:00:00Z"), Err(EntityError::Invalid(_))));
    }

    #[test]
    fn a_digest_tells_nothing_of_a_judgement_but_that_something_changed() {
        let now = Timestamp::UNIX_EPOCH;
        let interview = |score, version| Interview {
            state: InterviewState {
                interview_id: 1,
                fields: InterviewFields { score, result: Some(InterviewResult::Fail), ..fields(Completed) },
                record: Record { is_active: true, version, created_at: now, updated_at: now },
            },
            job_posting_id: 1,
            job_title: String::new(),
            department_id: 1,
            candidate_id: 1,
            candidate_name: String::new(),
            application_status: ApplicationStatus::Interviewing,
            headquarter_id: None,
            applicant: Applicant {
                candidate_id: 1,
                first_name: String::new(),
                last_name: String::new(),
                email: String::new(),
                phone_number: None,
            },
        };
        assert_eq!(interview(Some(1), 1).digest(), interview(Some(10), 1).digest());
        assert_ne!(interview(Some(1), 1).digest(), interview(Some(1), 2).digest());
    }

    #[test]
    fn nobody_is_judged_before_the_interview() {
        for status in STATUSES {
            let judged = InterviewFields { result: Some(InterviewResult::Pass), ..fields(status) };
            assert_eq!(judged.check_judgement().is_ok(), matches!(status, InProgress | Completed), "{status:?}");
            let pending = InterviewFields { result: Some(InterviewResult::Pending), ..fields(status) };
            pending.check_judgement().unwrap();
        }
    }
}
