//! The service over HTTP: `/api/v1/job-postings`, `candidates`, `applications`, `interviews`.

mod applications;
mod candidates;
mod interviews;
mod postings;

use chassis::Api;
use chassis::listing::{LIMIT_DEFAULT, LIMIT_MAX};
use contracts::access::{Action, Permission, Resource};
use utoipa_axum::routes;

use crate::domain::interview::OPEN_MAX;
use crate::service::Recruitment;

/// The routes with their description; they need the layers of [`chassis::part::with_layers`] around them.
pub(crate) fn api() -> Api<Recruitment> {
    let may = Permission::new;
    Api::new("recruitment-service", "Job postings, candidates, applications and interviews.")
        .permitted(may(Resource::JobPostings, Action::Create), routes!(postings::create_job_posting))
        .permitted(may(Resource::JobPostings, Action::Read), routes!(postings::list_job_postings))
        .permitted(may(Resource::JobPostings, Action::Read), routes!(postings::get_job_posting))
        .permitted(may(Resource::JobPostings, Action::Update), routes!(postings::update_job_posting))
        .permitted(may(Resource::JobPostings, Action::Delete), routes!(postings::delete_job_posting))
        .permitted(may(Resource::JobPostings, Action::Update), routes!(postings::publish_job_posting))
        .permitted(may(Resource::JobPostings, Action::Update), routes!(postings::close_job_posting))
        .permitted(may(Resource::JobPostings, Action::Update), routes!(postings::cancel_job_posting))
        .permitted(may(Resource::Candidates, Action::Create), routes!(candidates::create_candidate))
        .permitted(may(Resource::Candidates, Action::Read), routes!(candidates::list_candidates))
        .permitted(may(Resource::Candidates, Action::Read), routes!(candidates::get_candidate))
        .permitted(may(Resource::Candidates, Action::Update), routes!(candidates::update_candidate))
        .permitted(may(Resource::Candidates, Action::Delete), routes!(candidates::delete_candidate))
        .permitted(may(Resource::Applications, Action::Create), routes!(applications::submit_application))
        .permitted(may(Resource::Applications, Action::Read), routes!(applications::list_applications))
        .permitted(may(Resource::Applications, Action::Read), routes!(applications::get_application))
        .permitted(may(Resource::Applications, Action::Update), routes!(applications::update_application))
        .permitted(may(Resource::Applications, Action::Update), routes!(applications::review_application))
        .permitted(may(Resource::Interviews, Action::Create), routes!(interviews::schedule_interview))
        .permitted(may(Resource::Interviews, Action::Read), routes!(interviews::list_interviews))
        .permitted(may(Resource::Interviews, Action::Read), routes!(interviews::get_interview))
        .permitted(may(Resource::Interviews, Action::Update), routes!(interviews::update_interview))
}

const _: () = assert!(LIMIT_MAX == 200 && LIMIT_DEFAULT == 50, "the descriptions of lists say so");
const _: () = assert!(OPEN_MAX == 10, "the description of a new interview says so");
