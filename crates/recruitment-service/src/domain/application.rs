//! Applications: what is kept of them, and the checked way from submitted to hired, rejected or withdrawn.

use chassis::rules::{many_lines, web_address};
use chassis::{Entity, EntityError};
use contracts::Money;
use contracts::access::Place;
use contracts::audit::digest;
use contracts::recruitment::{Applicant, ApplicationReviewed, ApplicationStatus, ApplicationSubmitted, JobStatus};
use garde::Validate;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::rules::{NOTES_LENGTH_MAX, SCORE_MAX, TEXT_LENGTH_MAX, URL_LENGTH_MAX};
use super::{Record, words};

/// Where an application can stand, in the order of the way.
pub(crate) const STATUSES: [ApplicationStatus; 7] = [
    ApplicationStatus::Submitted,
    ApplicationStatus::Screening,
    ApplicationStatus::Interviewing,
    ApplicationStatus::Offer,
    ApplicationStatus::Hired,
    ApplicationStatus::Rejected,
    ApplicationStatus::Withdrawn,
];

pub(crate) fn status_schema() -> RefOr<Schema> {
    words::schema(&STATUSES)
}

/// Whether nothing leaves the status.
pub(crate) fn is_final(status: ApplicationStatus) -> bool {
    matches!(status, ApplicationStatus::Hired | ApplicationStatus::Rejected | ApplicationStatus::Withdrawn)
}

/// Whether an application may go from one status to another.
pub(crate) fn may_become(from: ApplicationStatus, to: ApplicationStatus) -> bool {
    use ApplicationStatus::{Hired, Interviewing, Offer, Rejected, Screening, Submitted, Withdrawn};
    match (from, to) {
        (Submitted, Screening) | (Screening, Interviewing) | (Interviewing, Offer) | (Offer, Hired) => true,
        (from, Rejected | Withdrawn) => !is_final(from),
        _ => false,
    }
}

/// What came of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OfferStatus {
    /// The candidate thinks about it.
    Pending,
    /// The candidate took it.
    Accepted,
    /// The candidate declined it, or it was taken back.
    Rejected,
    /// The candidate let its time pass; never written, it follows from `offerExpiryDate`.
    Expired,
}

/// A new application.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(crate) struct NewApplication {
    /// The posting that it answers.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) job_posting_id: i64,
    /// Who applies.
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub(crate) candidate_id: i64,
    /// What the candidate writes.
    #[serde(default)]
    #[garde(inner(length(chars, max = TEXT_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 20000)]
    pub(crate) cover_letter: Option<String>,
    /// Where the curriculum vitae for this application is.
    #[serde(default)]
    #[garde(inner(length(chars, max = URL_LENGTH_MAX), custom(web_address)))]
    #[schema(format = "uri", max_length = 2000)]
    pub(crate) resume_url: Option<String>,
    /// Anything else.
    #[serde(default)]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// What a client may write of an application that is not decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(crate) struct ApplicationFields {
    /// What the reviewers noted; internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) review_notes: Option<String>,
    /// How well the candidate fits, from 1 to 10; internal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = SCORE_MAX)))]
    #[schema(minimum = 1, maximum = 10)]
    pub(crate) score: Option<i64>,
    /// What the candidate may be told; internal until somebody tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) feedback: Option<String>,
    /// What is offered; only once there is an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) offered_salary: Option<Money>,
    /// The last day on which the offer can be taken (UTC); only once there is an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) offer_expiry_date: Option<Date>,
    /// What came of the offer; only once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offer_status: Option<OfferStatus>,
    /// The first day at work; only once there is an offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) expected_start_date: Option<Date>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) notes: Option<String>,
}

/// A step on the way of an application.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub(crate) struct Review {
    /// Where it shall stand.
    #[schema(schema_with = status_schema)]
    pub(crate) to: ApplicationStatus,
    /// Why it was rejected or withdrawn.
    #[serde(default)]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) reason: Option<String>,
    /// What the reviewers noted.
    #[serde(default)]
    #[garde(inner(length(chars, max = NOTES_LENGTH_MAX), custom(many_lines)))]
    #[schema(max_length = 4000)]
    pub(crate) review_notes: Option<String>,
    /// What is offered; with an offer.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) offered_salary: Option<Money>,
    /// The last day on which the offer can be taken (UTC); with an offer.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) offer_expiry_date: Option<Date>,
    /// The first day at work; with an offer, or when it is taken.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) expected_start_date: Option<Date>,
}

/// An application's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationState {
    /// The number that everything else refers to.
    pub(crate) application_id: i64,
    /// The posting that it answers.
    pub(crate) job_posting_id: i64,
    /// Who applied.
    pub(crate) candidate_id: i64,
    /// What the candidate wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cover_letter: Option<String>,
    /// Where the curriculum vitae for this application is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resume_url: Option<String>,
    #[serde(flatten)]
    pub(crate) fields: ApplicationFields,
    /// Where it stands.
    #[schema(schema_with = status_schema)]
    pub(crate) status: ApplicationStatus,
    /// When it came in.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) applied_date: Timestamp,
    /// When its status changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) reviewed_date: Option<Timestamp>,
    /// The employee who changed it; absent where it was not an employee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reviewed_by: Option<i64>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rejection_reason: Option<String>,
    /// Why it was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) withdrawal_reason: Option<String>,
    /// When the offer was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) offer_date: Option<Timestamp>,
    #[serde(flatten)]
    pub(crate) record: Record,
}

/// An application, with what its posting and its candidate tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    #[serde(flatten)]
    pub(crate) state: ApplicationState,
    /// The posting's title.
    pub(crate) job_title: String,
    /// The department that looks for somebody.
    pub(crate) department_id: i64,
    /// The candidate's name.
    pub(crate) candidate_name: String,
    #[serde(skip)]
    pub(crate) job_status: JobStatus,
    #[serde(skip)]
    pub(crate) position_id: i64,
    #[serde(skip)]
    pub(crate) hiring_manager_id: i64,
    #[serde(skip)]
    pub(crate) headquarter_id: Option<i64>,
    #[serde(skip)]
    pub(crate) applicant: Applicant,
}

impl Application {
    /// Where it is, for permissions.
    pub(crate) fn place(&self) -> Place {
        Place { headquarter_id: self.headquarter_id, department_id: Some(self.department_id) }
    }

    /// As a client sees it at `now`: an offer that nobody took in time has expired.
    pub(crate) fn seen_at(mut self, now: Timestamp) -> Self {
        if self.state.has_lapsed(now) {
            self.state.fields.offer_status = Some(OfferStatus::Expired);
        }
        self
    }
}

impl ApplicationState {
    /// Whether there is an offer that waits for an answer and may be taken no more.
    fn has_lapsed(&self, now: Timestamp) -> bool {
        let today = Offset::UTC.to_datetime(now).date();
        self.fields.offer_status == Some(OfferStatus::Pending)
            && self.fields.offer_expiry_date.is_some_and(|last_day| last_day < today)
    }

    /// The state after the step.
    pub(crate) fn reviewed(
        &self,
        review: Review,
        reviewed_by: Option<i64>,
        now: Timestamp,
    ) -> Result<Self, EntityError> {
        let to = review.to;
        if !may_become(self.status, to) {
            let (from, to) = (words::word(&self.status), words::word(&to));
            return Err(EntityError::Conflict(format!("an application that is {from} cannot become {to}")));
        }
        review.check_fields()?;
        let mut after = Self { status: to, reviewed_date: Some(now), reviewed_by, ..self.clone() };
        after.fields.review_notes = review.review_notes.or(after.fields.review_notes);
        after.fields.expected_start_date = review.expected_start_date.or(after.fields.expected_start_date);
        match to {
            ApplicationStatus::Offer => {
                after.offer_date = Some(now);
                after.fields.offered_salary = review.offered_salary;
                after.fields.offer_expiry_date = review.offer_expiry_date;
                after.fields.offer_status = Some(OfferStatus::Pending);
                if after.has_lapsed(now) {
                    return Err(EntityError::field("offerExpiryDate", "must not be in the past"));
                }
            }
            ApplicationStatus::Hired => {
                self.check_offer(now)?;
                after.fields.offer_status = Some(OfferStatus::Accepted);
            }
            ApplicationStatus::Rejected | ApplicationStatus::Withdrawn => {
                let reason = match to {
                    ApplicationStatus::Rejected => &mut after.rejection_reason,
                    _ => &mut after.withdrawal_reason,
                };
                *reason = review.reason;
                if self.status == ApplicationStatus::Offer {
                    after.fields.offer_status = Some(OfferStatus::Rejected);
                }
            }
            _ => {}
        }
        Ok(after)
    }

    /// Only an offer that still stands can be taken.
    fn check_offer(&self, now: Timestamp) -> Result<(), EntityError> {
        if self.fields.offer_status == Some(OfferStatus::Rejected) {
            return Err(EntityError::Conflict("the offer was declined: make another one first".to_owned()));
        }
        if self.has_lapsed(now) {
            return Err(EntityError::Conflict("the offer has expired: extend it first".to_owned()));
        }
        Ok(())
    }

    /// Checks fields that a client has patched.
    pub(crate) fn check_patch(&self, after: &ApplicationFields) -> Result<(), EntityError> {
        if is_final(self.status) {
            let status = words::word(&self.status);
            return Err(EntityError::Conflict(format!("an application that is {status} does not change any more")));
        }
        let before = &self.fields;
        let has_offer = self.status == ApplicationStatus::Offer;
        let refused = [
            ("offeredSalary", before.offered_salary != after.offered_salary),
            ("offerExpiryDate", before.offer_expiry_date != after.offer_expiry_date),
            ("offerStatus", before.offer_status != after.offer_status),
            ("expectedStartDate", before.expected_start_date != after.expected_start_date),
        ];
        if let Some((field, _)) = refused.into_iter().find(|(_, is_changed)| *is_changed && !has_offer) {
            return Err(EntityError::field(field, "can be set once there is an offer"));
        }
        if has_offer && matches!(after.offer_status, None | Some(OfferStatus::Expired)) {
            return Err(EntityError::field("offerStatus", "must be pending, accepted or rejected"));
        }
        Ok(())
    }
}

impl Review {
    /// Refuses fields that mean nothing on this step.
    fn check_fields(&self) -> Result<(), EntityError> {
        use ApplicationStatus::{Hired, Offer, Rejected, Withdrawn};
        let is_offer = self.to == Offer;
        let misplaced = [
            ("reason", self.reason.is_some() && !matches!(self.to, Rejected | Withdrawn), "rejected or withdrawn"),
            ("offeredSalary", self.offered_salary.is_some() && !is_offer, "offer"),
            ("offerExpiryDate", self.offer_expiry_date.is_some() && !is_offer, "offer"),
            (
                "expectedStartDate",
                self.expected_start_date.is_some() && !matches!(self.to, Offer | Hired),
                "offer or hired",
            ),
        ];
        match misplaced.into_iter().find(|(_, is_misplaced, _)| *is_misplaced) {
            Some((field, _, to)) => Err(EntityError::field(field, format!("goes with the step to {to} only"))),
            None => Ok(()),
        }
    }
}

impl Entity for Application {
    type Fields = ApplicationFields;
    const NAME: &'static str = "application";
    const KEY: &'static str = "application";

    fn id(&self) -> i64 {
        self.state.application_id
    }

    fn version(&self) -> i64 {
        self.state.record.version
    }

    fn fields(&self) -> &ApplicationFields {
        &self.state.fields
    }

    /// What is offered and what reviewers write is left out, as it is of events.
    fn digest(&self) -> String {
        let ApplicationFields { offer_expiry_date, offer_status, expected_start_date, .. } = self.state.fields;
        let fields = ApplicationFields { offer_expiry_date, offer_status, expected_start_date, ..Default::default() };
        let (rejection_reason, withdrawal_reason) = (None, None);
        digest(&ApplicationState { fields, rejection_reason, withdrawal_reason, ..self.state.clone() })
    }
}

impl From<&Application> for ApplicationSubmitted {
    fn from(application: &Application) -> Self {
        Self {
            application_id: application.id(),
            job_posting_id: application.state.job_posting_id,
            job_title: application.job_title.clone(),
            department_id: application.department_id,
            hiring_manager_id: application.hiring_manager_id,
            candidate: application.applicant.clone(),
            applied_date: application.state.applied_date,
        }
    }
}

/// An application whose status has changed.
#[derive(Debug)]
pub(crate) struct Reviewed {
    pub(crate) from: ApplicationStatus,
    pub(crate) application: Application,
}

impl From<&Reviewed> for ApplicationReviewed {
    fn from(reviewed: &Reviewed) -> Self {
        let application = &reviewed.application;
        Self {
            application_id: application.id(),
            job_posting_id: application.state.job_posting_id,
            job_title: application.job_title.clone(),
            department_id: application.department_id,
            position_id: application.position_id,
            hiring_manager_id: application.hiring_manager_id,
            candidate: application.applicant.clone(),
            from: reviewed.from,
            to: application.state.status,
            reviewed_by: application.state.reviewed_by,
            expected_start_date: application.state.fields.expected_start_date,
        }
    }
}

#[cfg(test)]
mod tests {
    use ApplicationStatus::{Hired, Interviewing, Offer, Rejected, Screening, Submitted, Withdrawn};

    use super::*;

    #[test]
    fn every_pair_of_states_is_allowed_or_refused_as_the_way_says() {
        let ways = [
            (Submitted, [Screening, Rejected, Withdrawn]),
            (Screening, [Interviewing, Rejected, Withdrawn]),
            (Interviewing, [Offer, Rejected, Withdrawn]),
            (Offer, [Hired, Rejected, Withdrawn]),
        ];
        for from in STATUSES {
            let onward = ways.iter().find(|(state, _)| *state == from).map_or(&[][..], |(_, onward)| onward);
            for to in STATUSES {
                assert_eq!(may_become(from, to), onward.contains(&to), "{from:?} -> {to:?}");
            }
            assert_eq!(is_final(from), onward.is_empty(), "{from:?}");
        }
    }

    fn state(status: ApplicationStatus) -> ApplicationState {
        let now = Timestamp::UNIX_EPOCH;
        ApplicationState {
            application_id: 1,
            job_posting_id: 2,
            candidate_id: 3,
            cover_letter: None,
            resume_url: None,
            fields: ApplicationFields::default(),
            status,
            applied_date: now,
            reviewed_date: None,
            reviewed_by: None,
            rejection_reason: None,
            withdrawal_reason: None,
            offer_date: None,
            record: Record { is_active: true, version: 1, created_at: now, updated_at: now },
        }
    }

    #[test]
    fn a_digest_tells_nothing_of_an_offer_or_a_judgement_but_that_something_changed() {
        let application = |change: fn(&mut ApplicationState)| {
            let mut state = state(Offer);
            change(&mut state);
            Application {
                state,
                job_title: String::new(),
                department_id: 1,
                candidate_name: String::new(),
                job_status: JobStatus::Published,
                position_id: 1,
                hiring_manager_id: 1,
                headquarter_id: None,
                applicant: Applicant {
                    candidate_id: 3,
                    first_name: String::new(),
                    last_name: String::new(),
                    email: String::new(),
                    phone_number: None,
                },
            }
        };
        let before = application(|_| {}).digest();
        let judged = application(|state| {
            state.fields.offered_salary = Some(Money::whole(1).unwrap());
            state.fields.score = Some(3);
            state.rejection_reason = Some("too dear".to_owned());
        });
        assert_eq!(judged.digest(), before);
        assert_ne!(application(|state| state.record.version = 2).digest(), before);
        assert_ne!(application(|state| state.status = Hired).digest(), before);
    }

    fn review(to: ApplicationStatus) -> Review {
        Review {
            to,
            reason: None,
            review_notes: None,
            offered_salary: None,
            offer_expiry_date: None,
            expected_start_date: None,
        }
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_offer_can_be_taken_through_its_last_day_and_not_after() {
        let made = Review { offer_expiry_date: Some("2026-12-01".parse().unwrap()), ..review(Offer) };
        let offered = state(Interviewing).reviewed(made, Some(1), time("2026-11-24T08:00:00Z")).unwrap();
        assert_eq!(offered.fields.offer_status, Some(OfferStatus::Pending));
        let hired = offered.reviewed(review(Hired), Some(1), time("2026-12-01T23:59:59Z")).unwrap();
        assert_eq!(hired.fields.offer_status, Some(OfferStatus::Accepted));
        let late = offered.reviewed(review(Hired), Some(1), time("2026-12-02T00:00:00Z")).unwrap_err();
        assert!(matches!(late, EntityError::Conflict(_)), "{late:?}");
    }

    #[test]
    fn an_offer_that_has_expired_already_is_not_made() {
        let made = Review { offer_expiry_date: Some("2026-11-23".parse().unwrap()), ..review(Offer) };
        let error = state(Interviewing).reviewed(made, None, time("2026-11-24T08:00:00Z")).unwrap_err();
        assert!(matches!(error, EntityError::Invalid(_)), "{error:?}");
    }

    #[test]
    fn a_field_that_means_nothing_on_a_step_is_refused() {
        let salary = Some(Money::whole(1).unwrap());
        let day = Some("2027-01-01".parse().unwrap());
        for (from, wrong, field) in [
            (Submitted, Review { reason: Some("x".into()), ..review(Screening) }, "reason"),
            (Submitted, Review { offered_salary: salary, ..review(Screening) }, "offeredSalary"),
            (Offer, Review { offer_expiry_date: day, ..review(Hired) }, "offerExpiryDate"),
            (Offer, Review { expected_start_date: day, ..review(Rejected) }, "expectedStartDate"),
        ] {
            let error = state(from).reviewed(wrong, None, Timestamp::UNIX_EPOCH).unwrap_err();
            let EntityError::Invalid(fields) = error else { panic!("{field}: {error:?}") };
            assert_eq!(fields[0].field, field);
        }
    }

    #[test]
    fn reasons_and_declined_offers_are_kept() {
        let said = Review { reason: Some("too far".into()), ..review(Withdrawn) };
        let withdrawn = state(Offer).reviewed(said, None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(withdrawn.withdrawal_reason.as_deref(), Some("too far"));
        assert_eq!(withdrawn.rejection_reason, None);
        assert_eq!(withdrawn.fields.offer_status, Some(OfferStatus::Rejected));
    }

    #[test]
    fn offer_fields_wait_for_an_offer_and_nothing_changes_after_the_end() {
        let salary =
            ApplicationFields { offered_salary: Some(Money::whole(1).unwrap()), ..ApplicationFields::default() };
        assert!(matches!(state(Screening).check_patch(&salary), Err(EntityError::Invalid(_))));
        assert!(matches!(state(Hired).check_patch(&ApplicationFields::default()), Err(EntityError::Conflict(_))));
        let pending = ApplicationFields { offer_status: Some(OfferStatus::Pending), ..salary.clone() };
        state(Offer).check_patch(&pending).unwrap();
        let expired = ApplicationFields { offer_status: Some(OfferStatus::Expired), ..salary };
        assert!(matches!(state(Offer).check_patch(&expired), Err(EntityError::Invalid(_))));
    }
}
