//! Applications: who may apply when, the way from submitted to the end, offers, and races.

use chassis::both;
use chassis::testing::Answer;
use contracts::access::Scope;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::fixture::{Service, envelope, token};
use crate::hiring::{ENGINEERING, MANAGER, SALES, candidate_fields};

both!(
    Service:
    an_application_is_kept_and_told_under_its_own_key,
    only_a_published_posting_can_be_applied_for_and_only_in_time,
    a_second_application_for_a_posting_is_refused,
    of_many_equal_applications_at_once_one_is_taken,
    every_step_from_every_status_is_taken_or_refused,
    each_step_is_told_with_from_to_and_whom_by,
    a_hire_takes_a_vacancy_and_the_last_one_closes_the_posting,
    hires_that_race_for_the_last_vacancies_never_take_more_than_there_are,
    nobody_is_hired_through_a_cancelled_posting,
    an_offer_is_made_extended_and_lapses,
    what_reviewers_write_is_kept_until_the_end_and_told_to_nobody,
    only_the_version_that_was_read_is_reviewed,
    a_repeated_review_is_done_once,
    a_scope_limits_what_is_seen_and_reviewed,
    whoever_may_not_see_a_candidate_cannot_have_them_apply,
    lists_filter_and_page,
);

const STATUSES: [&str; 7] = ["submitted", "screening", "interviewing", "offer", "hired", "rejected", "withdrawn"];

async fn an_application_is_kept_and_told_under_its_own_key(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let candidate = service.candidate(1).await;
    let made = service.apply(posting, candidate).await.expect(201);
    let id = made.id("applicationId");
    assert_eq!(made.headers["location"], format!("/api/v1/applications/{id}"));
    for (field, value) in [
        ("status", json!("submitted")),
        ("jobTitle", json!("Rust Engineer")),
        ("candidateName", json!("Binh Nguyen1")),
        ("departmentId", json!(ENGINEERING)),
        ("appliedDate", json!("2026-11-24T08:00:00Z")),
    ] {
        assert_eq!(made.body[field], value, "{field}");
    }
    assert_eq!(service.get(format!("/api/v1/applications/{id}")).send().await.expect(200).body, made.body);
    let told = service.events().await;
    let submitted = told.iter().find(|event| event.event_type == "application.submitted").unwrap();
    assert_eq!(
        (submitted.key.as_str(), submitted.topic.as_str()),
        (&*format!("application-{id}"), "recruitment-events")
    );
    let data = &envelope(submitted)["data"];
    assert_eq!(data["hiringManagerId"], MANAGER);
    assert_eq!(data["candidate"]["email"], "binh1@example.com");
}

async fn only_a_published_posting_can_be_applied_for_and_only_in_time(service: &Service) {
    service.with_company().await;
    let candidate = service.candidate(1).await;
    let draft = service.draft(&json!({})).await;
    service.apply(draft, candidate).await.expect(409);
    service.apply(9_999, candidate).await.expect_field(422, "jobPostingId");
    let posting = service.published(&json!({"applicationDeadline": "2026-11-24T09:00:00Z"})).await;
    service.apply(posting, 9_999).await.expect_field(422, "candidateId");
    service.clock.advance_ms(3_600_000 - 1);
    service.apply(posting, candidate).await.expect(201);
    service.clock.advance_ms(1);
    let late = service.candidate(2).await;
    let refused = service.apply(posting, late).await.expect(409);
    assert!(refused.body["detail"].as_str().unwrap().contains("deadline"), "{}", refused.body);
    service
        .patch(format!("/api/v1/job-postings/{posting}"), &json!({"applicationDeadline": "2026-12-01T00:00:00Z"}))
        .send()
        .await
        .expect(200);
    service.apply(posting, late).await.expect(201);
    service.post(format!("/api/v1/job-postings/{posting}/close")).send().await.expect(200);
    let after = service.candidate(3).await;
    service.apply(posting, after).await.expect(409);
}

async fn a_second_application_for_a_posting_is_refused(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let candidate = service.candidate(1).await;
    let first = service.apply(posting, candidate).await.expect(201).id("applicationId");
    let second = service.apply(posting, candidate).await.expect(409);
    assert_eq!(second.body["code"], "duplicate");
    service.bring(first, "withdrawn").await;
    service.apply(posting, candidate).await.expect(409);
    let other = service.published(&json!({})).await;
    service.apply(other, candidate).await.expect(201);
}

async fn of_many_equal_applications_at_once_one_is_taken(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let candidate = service.candidate(1).await;
    let tasks = (0..8).map(|_| {
        let service = service.clone();
        tokio::spawn(async move { service.apply(posting, candidate).await })
    });
    let mut statuses: Vec<u16> = join_all(tasks).await.into_iter().map(|answer| answer.unwrap().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(service.told("application.submitted").await.len(), 1);
}

async fn every_step_from_every_status_is_taken_or_refused(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({"vacancies": 1000})).await;
    let ways: [(&str, &[&str]); 4] = [
        ("submitted", &["screening", "rejected", "withdrawn"]),
        ("screening", &["interviewing", "rejected", "withdrawn"]),
        ("interviewing", &["offer", "rejected", "withdrawn"]),
        ("offer", &["hired", "rejected", "withdrawn"]),
    ];
    for (row, from) in STATUSES.into_iter().enumerate() {
        for (column, to) in STATUSES.into_iter().enumerate() {
            let application = service.application(posting, row * 10 + column).await;
            service.bring(application, from).await;
            let told = service.told("application.reviewed").await.len();
            let is_way = ways.iter().any(|(state, onward)| *state == from && onward.contains(&to));
            let answer = service.review(application, to).await;
            assert_eq!(answer.status, if is_way { 200 } else { 409 }, "{from} -> {to}: {}", answer.body);
            let kept = service.get(format!("/api/v1/applications/{application}")).send().await.expect(200);
            assert_eq!(kept.body["status"], if is_way { to } else { from });
            let told_now = service.told("application.reviewed").await.len();
            assert_eq!(told_now, told + usize::from(is_way), "{from} -> {to}");
        }
    }
}

async fn each_step_is_told_with_from_to_and_whom_by(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    let path = format!("/api/v1/applications/{application}/review");
    let reviewer = token(MANAGER, &["applications:update"], Scope::All);
    for body in [
        json!({"to": "screening", "reviewNotes": "SECRET-NOTE"}),
        json!({"to": "interviewing"}),
        json!({"to": "offer", "offeredSalary": "33000000", "expectedStartDate": "2027-01-04"}),
    ] {
        service.post(&path).by(&reviewer).json(&body).send().await.expect(200);
    }
    let hired = service.review(application, "hired").await.expect(200);
    assert_eq!(hired.body["offerStatus"], "accepted");
    assert_eq!(hired.body["offeredSalary"], "33000000");
    let told = service.told("application.reviewed").await;
    let steps: Vec<_> =
        told.iter().map(|data| (data["from"].clone(), data["to"].clone(), data["reviewedBy"].clone())).collect();
    assert_eq!(
        steps,
        [
            (json!("submitted"), json!("screening"), json!(MANAGER)),
            (json!("screening"), json!("interviewing"), json!(MANAGER)),
            (json!("interviewing"), json!("offer"), json!(MANAGER)),
            (json!("offer"), json!("hired"), Value::Null),
        ]
    );
    assert_eq!(told[3]["expectedStartDate"], "2027-01-04");
    assert_eq!(told[3]["positionId"], 5);
    assert_eq!(told[3]["candidate"]["lastName"], "Nguyen1");
    for event in service.events().await {
        for private in ["SECRET", "33000000", "Secret Street", "1991"] {
            assert!(!event.envelope.contains(private), "{private} in {}", event.envelope);
        }
    }
}

async fn a_hire_takes_a_vacancy_and_the_last_one_closes_the_posting(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({"vacancies": 2})).await;
    let mut applications = Vec::new();
    for number in 0..3 {
        applications.push(service.application(posting, number).await);
    }
    for application in &applications {
        service.bring(*application, "offer").await;
    }
    service.review(applications[0], "hired").await.expect(200);
    let half = service.posting(posting).await.body;
    assert_eq!((&half["openVacancies"], &half["status"]), (&json!(1), &json!("published")));
    service.review(applications[1], "hired").await.expect(200);
    let full = service.posting(posting).await.body;
    assert_eq!((&full["openVacancies"], &full["status"]), (&json!(0), &json!("closed")));
    service.review(applications[2], "hired").await.expect(409);
    service.review(applications[2], "rejected").await.expect(200);
    let told = service.told("job.updated").await;
    let changes: Vec<_> = told.iter().map(|data| (data["changed"].clone(), data["openVacancies"].clone())).collect();
    assert_eq!(changes, [(json!(["openVacancies"]), json!(1)), (json!(["openVacancies", "status"]), json!(0))]);
}

async fn hires_that_race_for_the_last_vacancies_never_take_more_than_there_are(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({"vacancies": 2})).await;
    let mut applications = Vec::new();
    for number in 0..6 {
        let application = service.application(posting, number).await;
        service.bring(application, "offer").await;
        applications.push(application);
    }
    let tasks = applications.into_iter().map(|application| {
        let service = service.clone();
        tokio::spawn(async move { service.review(application, "hired").await })
    });
    let mut statuses: Vec<u16> = join_all(tasks).await.into_iter().map(|answer| answer.unwrap().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 409, 409, 409, 409]);
    let body = service.posting(posting).await.body;
    assert_eq!((&body["openVacancies"], &body["status"]), (&json!(0), &json!("closed")));
    let hired = service.told("application.reviewed").await.into_iter().filter(|data| data["to"] == "hired").count();
    assert_eq!(hired, 2);
    let open: Vec<_> = service.told("job.updated").await.iter().map(|data| data["openVacancies"].clone()).collect();
    assert_eq!(open, [1, 0]);
}

async fn nobody_is_hired_through_a_cancelled_posting(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let (first, second) = (service.application(posting, 1).await, service.application(posting, 2).await);
    service.bring(first, "offer").await;
    service.post(format!("/api/v1/job-postings/{posting}/cancel")).send().await.expect(200);
    service.review(first, "hired").await.expect(409);
    service.review(second, "screening").await.expect(409);
    service.review(first, "rejected").await.expect(200);
    service.review(second, "withdrawn").await.expect(200);
    assert_eq!(service.posting(posting).await.body["openVacancies"], 2);
}

async fn an_offer_is_made_extended_and_lapses(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    service.bring(application, "interviewing").await;
    let path = format!("/api/v1/applications/{application}");
    service.patch(&path, &json!({"offeredSalary": "1"})).send().await.expect_field(422, "offeredSalary");
    let review = format!("{path}/review");
    let offer = |last_day: &str| json!({"to": "offer", "offeredSalary": "30000000", "offerExpiryDate": last_day});
    service.post(&review).json(&offer("2026-11-23")).send().await.expect_field(422, "offerExpiryDate");
    let made = service.post(&review).json(&offer("2026-11-25")).send().await.expect(200);
    assert_eq!(made.body["offerStatus"], "pending");
    assert_eq!(made.body["offerDate"], "2026-11-24T08:00:00Z");
    service.clock.advance_ms(2 * 24 * 3_600_000);
    assert_eq!(service.get(&path).send().await.body["offerStatus"], "expired");
    service.review(application, "hired").await.expect(409);
    service.patch(&path, &json!({"offerStatus": "expired"})).send().await.expect_field(422, "offerStatus");
    let extended = service.patch(&path, &json!({"offerExpiryDate": "2026-12-01"})).send().await.expect(200);
    assert_eq!(extended.body["offerStatus"], "pending");
    service.patch(&path, &json!({"offerStatus": "rejected"})).send().await.expect(200);
    service.review(application, "hired").await.expect(409);
    service.patch(&path, &json!({"offerStatus": "pending", "offeredSalary": "35000000"})).send().await.expect(200);
    service.review(application, "hired").await.expect(200);
    service.patch(&path, &json!({"offeredSalary": "1"})).send().await.expect(409);
}

async fn what_reviewers_write_is_kept_until_the_end_and_told_to_nobody(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    let path = format!("/api/v1/applications/{application}");
    let public = async || service.events().await.into_iter().filter(|event| event.topic != "audit-events").count();
    let before = public().await;
    for wrong in [json!({"score": 0}), json!({"score": 11}), json!({"score": "good"})] {
        service.patch(&path, &wrong).send().await.expect_field(422, "score");
    }
    service.patch(&path, &json!({"status": "hired"})).send().await.expect_field(422, "status");
    let written = json!({"score": 8, "feedback": "Solid", "notes": "call again"});
    let kept = service.patch(&path, &written).send().await.expect(200);
    assert_eq!((&kept.body["score"], &kept.body["feedback"]), (&json!(8), &json!("Solid")));
    let count = service.events().await.len();
    service.patch(&path, &written).send().await.expect(200);
    assert_eq!(service.events().await.len(), count);
    assert_eq!(public().await, before);
    let reason = json!({"to": "rejected", "reason": "not enough Rust"});
    let rejected = service.post(format!("{path}/review")).json(&reason).send().await.expect(200);
    assert_eq!(rejected.body["rejectionReason"], "not enough Rust");
    service.patch(&path, &json!({"score": 1})).send().await.expect(409);
}

async fn only_the_version_that_was_read_is_reviewed(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    let path = format!("/api/v1/applications/{application}");
    service.patch(&path, &json!({"score": 8})).header("if-match", "\"1\"").send().await.expect(200);
    let review =
        |tag: &str| service.post(format!("{path}/review")).json(&json!({"to": "screening"})).header("if-match", tag);
    review("\"1\"").send().await.expect(412);
    assert_eq!(review("\"2\"").send().await.expect(200).etag(), "\"3\"");
    service.patch(&path, &json!({"score": 9})).header("if-match", "\"2\"").send().await.expect(412);
}

async fn a_repeated_review_is_done_once(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    let review = |to: &str| {
        let path = format!("/api/v1/applications/{application}/review");
        service.post(path).json(&json!({"to": to})).header("idempotency-key", "k")
    };
    let first = review("screening").send().await.expect(200);
    assert_eq!(review("screening").send().await.expect(200).body, first.body);
    review("interviewing").send().await.expect(409);
    assert_eq!(service.told("application.reviewed").await.len(), 1);
}

async fn a_scope_limits_what_is_seen_and_reviewed(service: &Service) {
    service.with_company().await;
    let engineering = service.published(&json!({})).await;
    let sales = service.published(&json!({"departmentId": SALES})).await;
    let mine = service.application(engineering, 1).await;
    let other = service.application(sales, 2).await;
    let all = ["applications:create", "applications:read", "applications:update"];
    let lead = token(MANAGER, &all, Scope::Department { department_id: ENGINEERING });
    let list = service.get("/api/v1/applications").by(&lead).send().await.expect(200);
    let ids: Vec<_> = list.body["items"].as_array().unwrap().iter().map(|item| item["applicationId"].clone()).collect();
    assert_eq!(ids, [mine]);
    let review = json!({"to": "screening"});
    service.post(format!("/api/v1/applications/{mine}/review")).by(&lead).json(&review).send().await.expect(200);
    service.post(format!("/api/v1/applications/{other}/review")).by(&lead).json(&review).send().await.expect(403);
    service.get(format!("/api/v1/applications/{other}")).by(&lead).send().await.expect(403);
    service.patch(format!("/api/v1/applications/{other}"), &json!({"score": 1})).by(&lead).send().await.expect(403);
    let candidate = service.candidate(3).await;
    let apply = |posting| {
        service.post("/api/v1/applications").by(&lead).json(&json!({"jobPostingId": posting, "candidateId": candidate}))
    };
    apply(sales).send().await.expect(403);
    apply(engineering).send().await.expect(201);
}

async fn whoever_may_not_see_a_candidate_cannot_have_them_apply(service: &Service) {
    service.with_company().await;
    let engineering = service.published(&json!({})).await;
    let sales = service.published(&json!({"departmentId": SALES})).await;
    let theirs = service.candidate(1).await;
    service.apply(sales, theirs).await.expect(201);
    let grants = ["applications:create", "candidates:create", "candidates:read", "candidates:update"];
    let lead = token(MANAGER, &grants, Scope::Department { department_id: ENGINEERING });
    let apply = |candidate: i64, who: &str| {
        let body = json!({"jobPostingId": engineering, "candidateId": candidate});
        service.post("/api/v1/applications").by(who).json(&body)
    };
    let hidden = apply(theirs, &lead).send().await.expect_field(422, "candidateId");
    let missing = apply(9_999, &lead).send().await.expect_field(422, "candidateId");
    let message = |answer: &Answer| answer.body["errors"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(message(&hidden).replace(&theirs.to_string(), "9999"), message(&missing));
    service.get(format!("/api/v1/candidates/{theirs}")).by(&lead).send().await.expect(403);
    assert_eq!(service.told("application.submitted").await.len(), 1);
    // One whom nobody knows yet, and one who has applied there before.
    let mine = service.post("/api/v1/candidates").by(&lead).json(&candidate_fields(2)).send().await.expect(201);
    apply(mine.id("candidateId"), &lead).send().await.expect(201);
    let other = service.published(&json!({})).await;
    let again = json!({"jobPostingId": other, "candidateId": mine.id("candidateId")});
    service.post("/api/v1/applications").by(&lead).json(&again).send().await.expect(201);
    // Whoever may see candidates everywhere has them apply anywhere.
    let recruiter = token(MANAGER, &["applications:create", "candidates:read"], Scope::All);
    apply(theirs, &recruiter).send().await.expect(201);
}

async fn lists_filter_and_page(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let other = service.published(&json!({})).await;
    let candidate = service.candidate(1).await;
    let first = service.apply(posting, candidate).await.expect(201).id("applicationId");
    let second = service.apply(other, candidate).await.expect(201).id("applicationId");
    let third = service.application(posting, 2).await;
    service.bring(third, "screening").await;
    let ids = async |query: &str| -> Vec<i64> {
        let list = service.get(format!("/api/v1/applications?{query}")).send().await.expect(200);
        list.body["items"].as_array().unwrap().iter().map(|item| item["applicationId"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&format!("jobPostingId={posting}")).await, [first, third]);
    assert_eq!(ids(&format!("candidateId={candidate}&sort=-applicationId")).await, [second, first]);
    assert_eq!(ids("status=screening").await, [third]);
    let page = service.get("/api/v1/applications?limit=2&sort=-appliedDate").send().await.expect(200);
    let cursor = page.body["nextCursor"].as_str().unwrap();
    assert_eq!(ids(&format!("limit=2&sort=-appliedDate&cursor={cursor}")).await, [first]);
}
