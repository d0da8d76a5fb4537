//! Job postings: what they need, what they become, and what is told of them.

use chassis::both;
use contracts::access::Scope;
use serde_json::{Value, json};

use crate::fixture::{Service, token};
use crate::hiring::{ENGINEERING, MANAGER, SALES, posting_fields, with};

both!(
    Service:
    a_draft_is_made_shown_and_told_to_nobody,
    what_a_posting_names_must_be_known_and_there,
    publishing_tells_of_the_posting_and_needs_time_to_apply,
    every_step_from_every_status_is_taken_or_refused,
    a_change_of_a_published_posting_is_told_with_what_changed,
    a_draft_that_is_cancelled_was_never_public,
    salaries_are_a_range_after_a_patch_too,
    vacancies_stay_above_who_was_hired,
    only_the_version_that_was_read_is_changed,
    only_drafts_are_removed,
    lists_filter_search_sort_and_page,
    a_scope_limits_what_is_seen_and_done,
    a_repeated_post_is_done_once,
);

async fn a_draft_is_made_shown_and_told_to_nobody(service: &Service) {
    service.with_company().await;
    let made = service.post("/api/v1/job-postings").json(&posting_fields()).send().await.expect(201);
    let id = made.id("jobPostingId");
    assert_eq!(made.headers["location"], format!("/api/v1/job-postings/{id}"));
    assert_eq!(made.etag(), "\"1\"");
    assert_eq!(made.body["status"], "draft");
    assert_eq!(made.body["openVacancies"], 2);
    assert_eq!(made.body["departmentName"], "Engineering");
    assert_eq!(made.body["hiringManagerName"], "Mai Le");
    assert_eq!(made.body["hiringManagerHasLeft"], false);
    assert_eq!(service.posting(id).await.expect(200).body, made.body);
    let told: Vec<_> = service.events().await.into_iter().map(|event| (event.event_type, event.key)).collect();
    assert_eq!(told, [("audit.data".to_owned(), format!("job-{id}"))]);
}

async fn what_a_posting_names_must_be_known_and_there(service: &Service) {
    let post = async |changes: Value| {
        service.post("/api/v1/job-postings").json(&with(posting_fields(), &changes)).send().await
    };
    let unknown = post(json!({})).await.expect_field(409, "departmentId");
    assert_eq!(unknown.body["code"], "dependency_not_ready");
    assert_eq!(unknown.headers["retry-after"], "1");
    service.hear_of_department(ENGINEERING, 1, "Engineering").await;
    post(json!({})).await.expect_field(409, "hiringManagerId");
    service.hear_of_employee(MANAGER, "Mai", "Le").await;
    post(json!({})).await.expect(201);
    for (changes, field) in [
        (json!({"vacancies": 0}), "vacancies"),
        (json!({"title": " "}), "title"),
        (json!({"salaryMin": "2", "salaryMax": "1"}), "salaryMax"),
        (json!({"skills": ["Rust", "rust"]}), "skills"),
        (json!({"skills": vec!["x"; 51]}), "skills"),
        (json!({"employmentType": "slavery"}), "employmentType"),
        (json!({"applicationDeadline": "soon"}), "applicationDeadline"),
        (json!({"departmentId": 0}), "departmentId"),
        (json!({"salary": 1}), "salary"),
    ] {
        post(changes).await.expect_field(422, field);
    }
}

async fn publishing_tells_of_the_posting_and_needs_time_to_apply(service: &Service) {
    service.with_company().await;
    let late = service.draft(&json!({"applicationDeadline": "2026-11-24T08:00:00Z"})).await;
    service.post(format!("/api/v1/job-postings/{late}/publish")).send().await.expect_field(422, "applicationDeadline");
    let id = service.draft(&json!({"notes": "internal"})).await;
    let published = service.post(format!("/api/v1/job-postings/{id}/publish")).send().await.expect(200);
    assert_eq!(published.body["status"], "published");
    assert_eq!(published.body["publishedDate"], "2026-11-24T08:00:00Z");
    assert_eq!(published.etag(), "\"2\"");
    let told = service.told("job.posted").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["jobPostingId"], id);
    assert_eq!(told[0]["salaryMax"], "40000000");
    assert_eq!(told[0]["skills"], json!(["Rust", "Kafka"]));
    assert!(told[0].get("notes").is_none());
}

async fn every_step_from_every_status_is_taken_or_refused(service: &Service) {
    service.with_company().await;
    let ways = [("draft", "publish"), ("draft", "cancel"), ("published", "close"), ("published", "cancel")];
    for from in ["draft", "published", "closed", "cancelled"] {
        for step in ["publish", "close", "cancel"] {
            let id = service.draft(&json!({})).await;
            let before: &[&str] = match from {
                "draft" => &[],
                "published" => &["publish"],
                "closed" => &["publish", "close"],
                _ => &["publish", "cancel"],
            };
            for step in before {
                service.post(format!("/api/v1/job-postings/{id}/{step}")).send().await.expect(200);
            }
            let answer = service.post(format!("/api/v1/job-postings/{id}/{step}")).send().await;
            let status = if ways.contains(&(from, step)) { 200 } else { 409 };
            assert_eq!(answer.status, status, "{from} {step}: {}", answer.body);
        }
    }
}

async fn a_change_of_a_published_posting_is_told_with_what_changed(service: &Service) {
    service.with_company().await;
    let id = service.published(&json!({})).await;
    let path = format!("/api/v1/job-postings/{id}");
    let changed = service.patch(&path, &json!({"title": "Lead", "location": null})).send().await.expect(200);
    assert_eq!(changed.etag(), "\"3\"");
    assert!(changed.body.get("location").is_none());
    let count = service.events().await.len();
    let same = service.patch(&path, &json!({"title": "Lead"})).send().await.expect(200);
    assert_eq!(same.etag(), "\"3\"");
    assert_eq!(service.events().await.len(), count, "a change of nothing is told");
    service.post(format!("{path}/close")).send().await.expect(200);
    let told = service.told("job.updated").await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["changed"], json!(["location", "title"]));
    assert_eq!(told[0]["title"], "Lead");
    assert_eq!(told[1]["changed"], json!(["status"]));
    assert_eq!(told[1]["status"], "closed");
    service.patch(&path, &json!({"title": "Late"})).send().await.expect(409);
    let keys: Vec<_> = service.events().await.into_iter().filter(|event| event.topic == "recruitment-events").collect();
    let places: Vec<_> = keys.windows(2).map(|pair| pair[0].sequence < pair[1].sequence).collect();
    assert!(keys.iter().all(|event| event.key == format!("job-{id}")) && !places.contains(&false), "{keys:?}");
}

async fn a_draft_that_is_cancelled_was_never_public(service: &Service) {
    service.with_company().await;
    let id = service.draft(&json!({})).await;
    service.patch(format!("/api/v1/job-postings/{id}"), &json!({"title": "Other"})).send().await.expect(200);
    service.post(format!("/api/v1/job-postings/{id}/cancel")).send().await.expect(200);
    assert!(service.events().await.iter().all(|event| event.event_type == "audit.data"));
    let published = service.published(&json!({})).await;
    service.post(format!("/api/v1/job-postings/{published}/cancel")).send().await.expect(200);
    assert_eq!(service.told("job.updated").await[0]["status"], "cancelled");
}

async fn salaries_are_a_range_after_a_patch_too(service: &Service) {
    service.with_company().await;
    let id = service.draft(&json!({})).await;
    let patch = async |body: Value| service.patch(format!("/api/v1/job-postings/{id}"), &body).send().await;
    patch(json!({"salaryMin": "40000001"})).await.expect_field(422, "salaryMax");
    patch(json!({"salaryMax": 19_999_999})).await.expect_field(422, "salaryMax");
    patch(json!({"salaryMin": "40000000"})).await.expect(200);
    patch(json!({"salaryMin": null, "salaryMax": "1.50"})).await.expect(200);
    let kept = service.posting(id).await.body;
    assert_eq!((kept.get("salaryMin"), &kept["salaryMax"]), (None, &json!("1.5")));
    patch(json!({"salaryMin": "-1"})).await.expect_field(422, "salaryMin");
    patch(json!({"salaryMin": 1.5})).await.expect_field(422, "salaryMin");
}

async fn vacancies_stay_above_who_was_hired(service: &Service) {
    service.with_company().await;
    let id = service.published(&json!({"vacancies": 3})).await;
    let application = service.application(id, 1).await;
    service.bring(application, "hired").await;
    let patch = async |body: Value| service.patch(format!("/api/v1/job-postings/{id}"), &body).send().await;
    assert_eq!(service.posting(id).await.body["openVacancies"], 2);
    patch(json!({"vacancies": 1})).await.expect_field(422, "vacancies");
    assert_eq!(patch(json!({"vacancies": 2})).await.expect(200).body["openVacancies"], 1);
    patch(json!({"applicationDeadline": "2026-11-24T08:00:00Z"})).await.expect_field(422, "applicationDeadline");
}

async fn only_the_version_that_was_read_is_changed(service: &Service) {
    service.with_company().await;
    let id = service.draft(&json!({})).await;
    let path = format!("/api/v1/job-postings/{id}");
    let patch = |tag: &str, title: &str| service.patch(&path, &json!({"title": title})).header("if-match", tag);
    let changed = patch("\"1\"", "A").send().await.expect(200);
    patch("\"1\"", "B").send().await.expect(412);
    patch("\"other\"", "B").send().await.expect(412);
    patch("*", "C").send().await.expect(200);
    service.post(format!("{path}/publish")).header("if-match", &changed.etag()).send().await.expect(412);
    service.delete(&path).header("if-match", "\"1\"").send().await.expect(412);
    assert_eq!(service.posting(id).await.body["title"], "C");
}

async fn only_drafts_are_removed(service: &Service) {
    service.with_company().await;
    let draft = service.draft(&json!({})).await;
    let published = service.published(&json!({})).await;
    service.delete(format!("/api/v1/job-postings/{draft}")).send().await.expect(204);
    service.delete(format!("/api/v1/job-postings/{published}")).send().await.expect(409);
    service.posting(draft).await.expect(404);
    service.delete(format!("/api/v1/job-postings/{draft}")).send().await.expect(404);
    service.post(format!("/api/v1/job-postings/{draft}/publish")).send().await.expect(404);
    let list = service.get("/api/v1/job-postings").send().await.expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().len(), 1);
    let removed = service.told("audit.data").await.into_iter().find(|record| record["action"] == "delete").unwrap();
    assert_eq!(removed["entity"], format!("job-{draft}"));
    assert!(removed.get("after").is_none());
}

async fn lists_filter_search_sort_and_page(service: &Service) {
    service.with_company().await;
    let first = service.draft(&json!({"title": "Ärztin 100%"})).await;
    let second = service.published(&json!({"title": "Cook", "departmentId": SALES, "positionId": 9})).await;
    let third =
        service.draft(&json!({"title": "baker", "employmentType": "contract", "experienceLevel": "lead"})).await;
    let ids = async |query: &str| -> Vec<i64> {
        let list = service.get(format!("/api/v1/job-postings?{query}")).send().await.expect(200);
        list.body["items"].as_array().unwrap().iter().map(|item| item["jobPostingId"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("status=draft").await, [first, third]);
    assert_eq!(ids("departmentId=4&positionId=9&hiringManagerId=42").await, [second]);
    assert_eq!(ids("employmentType=contract&experienceLevel=lead").await, [third]);
    assert_eq!(ids("q=%C3%84RZTIN%20100%25").await, [first]);
    assert_eq!(ids("sort=title").await, [third, second, first]);
    assert_eq!(ids("sort=-jobPostingId").await, [third, second, first]);
    let page = service.get("/api/v1/job-postings?sort=title&limit=2").send().await.expect(200);
    let cursor = page.body["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(ids(&format!("sort=title&limit=2&cursor={cursor}")).await, [first]);
    for query in ["limit=0", "sort=salary", "cursor=x", "departmentId=x", "status=open", "colour=red"] {
        let answer = service.get(format!("/api/v1/job-postings?{query}")).send().await;
        assert!((400..500).contains(&answer.status), "{query}: {}", answer.status);
    }
}

async fn a_scope_limits_what_is_seen_and_done(service: &Service) {
    service.with_company().await;
    let engineering = service.draft(&json!({})).await;
    let sales = service.draft(&json!({"departmentId": SALES})).await;
    let all = ["job-postings:create", "job-postings:read", "job-postings:update", "job-postings:delete"];
    let lead = token(MANAGER, &all, Scope::Department { department_id: ENGINEERING });
    let office = token(MANAGER, &all, Scope::Headquarters { headquarter_id: 2 });
    for (who, mine, other) in [(&lead, engineering, sales), (&office, sales, engineering)] {
        let list = service.get("/api/v1/job-postings").by(who).send().await.expect(200);
        let ids: Vec<_> =
            list.body["items"].as_array().unwrap().iter().map(|item| item["jobPostingId"].clone()).collect();
        assert_eq!(ids, [mine]);
        service.get(format!("/api/v1/job-postings/{mine}")).by(who).send().await.expect(200);
        service.get(format!("/api/v1/job-postings/{other}")).by(who).send().await.expect(403);
        service.patch(format!("/api/v1/job-postings/{other}"), &json!({"title": "x"})).by(who).send().await.expect(403);
        service.post(format!("/api/v1/job-postings/{other}/publish")).by(who).send().await.expect(403);
        service.delete(format!("/api/v1/job-postings/{other}")).by(who).send().await.expect(403);
    }
    let away = json!({"departmentId": SALES});
    service.post("/api/v1/job-postings").by(&lead).json(&with(posting_fields(), &away)).send().await.expect(403);
    service.patch(format!("/api/v1/job-postings/{engineering}"), &away).by(&lead).send().await.expect(403);
    service
        .patch(format!("/api/v1/job-postings/{engineering}"), &json!({"title": "x"}))
        .by(&lead)
        .send()
        .await
        .expect(200);
    let last = service.told("audit.data").await.pop().unwrap();
    assert_eq!(last["actor"], json!({"type": "employee", "employeeId": MANAGER}));
}

async fn a_repeated_post_is_done_once(service: &Service) {
    service.with_company().await;
    let post = || service.post("/api/v1/job-postings").json(&posting_fields()).header("idempotency-key", "k1");
    let first = post().send().await.expect(201);
    let again = post().send().await.expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let id = first.id("jobPostingId");
    let publish = || service.post(format!("/api/v1/job-postings/{id}/publish")).header("idempotency-key", "k2");
    publish().send().await.expect(200);
    publish().send().await.expect(200);
    assert_eq!(service.told("job.posted").await.len(), 1);
}
