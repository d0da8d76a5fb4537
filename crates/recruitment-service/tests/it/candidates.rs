//! Candidates: who they are, where they stand, what is private.

use chassis::both;
use contracts::access::{Grant, Scope};
use serde_json::{Value, json};

use crate::fixture::{Service, token};
use crate::hiring::{ENGINEERING, MANAGER, SALES, candidate_fields, with};

both!(
    Service:
    a_candidate_is_made_changed_and_removed,
    an_address_is_used_once_whatever_its_case,
    private_fields_are_in_no_event,
    the_status_follows_the_applications,
    a_candidate_with_something_open_is_not_removed,
    lists_filter_search_sort_and_page,
    a_scope_limits_candidates_to_those_who_applied_there,
    private_fields_are_shown_to_those_who_may_change_them,
    every_bad_field_is_named,
);

async fn a_candidate_is_made_changed_and_removed(service: &Service) {
    let made = service.post("/api/v1/candidates").json(&candidate_fields(1)).send().await.expect(201);
    let path = format!("/api/v1/candidates/{}", made.id("candidateId"));
    assert_eq!(made.headers["location"], path);
    assert_eq!((&made.body["status"], &made.body["birthDate"]), (&json!("new"), &json!("1991-02-03")));
    let change = json!({"yearsOfExperience": 7, "address": null, "githubUrl": "https://github.com/binh"});
    service.patch(&path, &change).header("if-match", "\"9\"").send().await.expect(412);
    let changed = service.patch(&path, &change).header("if-match", "\"1\"").send().await.expect(200);
    assert_eq!((&changed.body["yearsOfExperience"], changed.body.get("address")), (&json!(7), None));
    assert_eq!(service.patch(&path, &change).send().await.expect(200).etag(), changed.etag());
    service.delete(&path).header("if-match", "\"1\"").send().await.expect(412);
    service.delete(&path).send().await.expect(204);
    service.get(&path).send().await.expect(404);
    service.patch(&path, &change).send().await.expect(404);
    let actions: Vec<_> = service.told("audit.data").await.iter().map(|record| record["action"].clone()).collect();
    assert_eq!(actions, ["create", "update", "delete"]);
}

async fn an_address_is_used_once_whatever_its_case(service: &Service) {
    let first = service.candidate(1).await;
    let shouted = with(candidate_fields(2), &json!({"email": "BINH1@Example.COM"}));
    let taken = service.post("/api/v1/candidates").json(&shouted).send().await.expect_field(409, "email");
    assert_eq!(taken.body["code"], "duplicate");
    let second = service.candidate(2).await;
    let path = format!("/api/v1/candidates/{second}");
    service.patch(&path, &json!({"email": "Binh1@example.com"})).send().await.expect_field(409, "email");
    service.patch(&path, &json!({"email": "BINH2@example.com"})).send().await.expect(200);
    service.delete(format!("/api/v1/candidates/{first}")).send().await.expect(204);
    service.post("/api/v1/candidates").json(&shouted).send().await.expect(201);
}

async fn private_fields_are_in_no_event(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    let candidate = service.get(format!("/api/v1/applications/{application}")).send().await.id("candidateId");
    let change = json!({"address": "13 Secret Street", "birthDate": "1991-02-04"});
    service.patch(format!("/api/v1/candidates/{candidate}"), &change).send().await.expect(200);
    service.bring(application, "interviewing").await;
    service.interview(application).await;
    service.bring(application, "rejected").await;
    let told = service.events().await;
    for event_type in ["application.submitted", "application.reviewed", "notification.email", "audit.data"] {
        assert!(told.iter().any(|event| event.event_type == event_type), "{event_type}");
    }
    for event in told {
        assert!(!event.envelope.contains("Secret") && !event.envelope.contains("1991"), "{}", event.envelope);
    }
}

async fn the_status_follows_the_applications(service: &Service) {
    service.with_company().await;
    let candidate = service.candidate(1).await;
    let status = async || service.get(format!("/api/v1/candidates/{candidate}")).send().await.body["status"].clone();
    assert_eq!(status().await, "new");
    let mut applications = Vec::new();
    for _ in 0..3 {
        let posting = service.published(&json!({})).await;
        applications.push(service.apply(posting, candidate).await.expect(201).id("applicationId"));
        service.clock.advance_ms(1_000);
    }
    assert_eq!(status().await, "in-process");
    service.bring(applications[0], "rejected").await;
    service.clock.advance_ms(1_000);
    service.bring(applications[1], "withdrawn").await;
    assert_eq!(status().await, "in-process");
    service.bring(applications[2], "screening").await;
    service.clock.advance_ms(1_000);
    service.bring(applications[2], "rejected").await;
    assert_eq!(status().await, "rejected");
    let posting = service.published(&json!({})).await;
    let last = service.apply(posting, candidate).await.expect(201).id("applicationId");
    service.bring(last, "hired").await;
    assert_eq!(status().await, "hired");
}

async fn a_candidate_with_something_open_is_not_removed(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let candidate = service.candidate(1).await;
    let application = service.apply(posting, candidate).await.expect(201).id("applicationId");
    service.delete(format!("/api/v1/candidates/{candidate}")).send().await.expect(409);
    service.bring(application, "withdrawn").await;
    service.delete(format!("/api/v1/candidates/{candidate}")).send().await.expect(204);
    service.apply(posting, candidate).await.expect_field(422, "candidateId");
    service.get(format!("/api/v1/applications/{application}")).send().await.expect(200);
}

async fn lists_filter_search_sort_and_page(service: &Service) {
    service.with_company().await;
    let mut made = Vec::new();
    for (number, changes) in [
        json!({"firstName": "Đỗ", "skills": ["Java", "Rust"]}),
        json!({"firstName": "An", "skills": ["JavaScript"]}),
        json!({"firstName": "Chi", "skills": []}),
    ]
    .iter()
    .enumerate()
    {
        let body = with(candidate_fields(number), changes);
        made.push(service.post("/api/v1/candidates").json(&body).send().await.expect(201).id("candidateId"));
    }
    let posting = service.published(&json!({})).await;
    service.apply(posting, made[1]).await.expect(201);
    let ids = async |query: &str| -> Vec<i64> {
        let list = service.get(format!("/api/v1/candidates?{query}")).send().await.expect(200);
        list.body["items"].as_array().unwrap().iter().map(|item| item["candidateId"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("skill=JAVA").await, [made[0]]);
    assert_eq!(ids("status=in-process").await, [made[1]]);
    assert_eq!(ids("q=%C4%91%E1%BB%97").await, [made[0]]);
    assert_eq!(ids("q=binh2%40").await, [made[2]]);
    assert_eq!(ids("sort=-email").await, [made[2], made[1], made[0]]);
    let page = service.get("/api/v1/candidates?limit=2").send().await.expect(200);
    let cursor = page.body["nextCursor"].as_str().unwrap();
    assert_eq!(ids(&format!("limit=2&cursor={cursor}")).await, [made[2]]);
}

async fn a_scope_limits_candidates_to_those_who_applied_there(service: &Service) {
    service.with_company().await;
    let engineering = service.published(&json!({})).await;
    let sales = service.published(&json!({"departmentId": SALES})).await;
    let (mine, other) = (service.candidate(1).await, service.candidate(2).await);
    service.apply(engineering, mine).await.expect(201);
    service.apply(sales, other).await.expect(201);
    let all = ["candidates:create", "candidates:read", "candidates:update", "candidates:delete"];
    for scope in [Scope::Department { department_id: ENGINEERING }, Scope::Headquarters { headquarter_id: 1 }] {
        let lead = token(MANAGER, &all, scope);
        let list = service.get("/api/v1/candidates").by(&lead).send().await.expect(200);
        let ids: Vec<Value> =
            list.body["items"].as_array().unwrap().iter().map(|item| item["candidateId"].clone()).collect();
        assert_eq!(ids, [mine]);
        service.get(format!("/api/v1/candidates/{mine}")).by(&lead).send().await.expect(200);
        service.get(format!("/api/v1/candidates/{other}")).by(&lead).send().await.expect(403);
        service.patch(format!("/api/v1/candidates/{other}"), &json!({"notes": "x"})).by(&lead).send().await.expect(403);
        service.patch(format!("/api/v1/candidates/{mine}"), &json!({"notes": "x"})).by(&lead).send().await.expect(200);
        service.delete(format!("/api/v1/candidates/{mine}")).by(&lead).send().await.expect(403);
    }
    let lead = token(MANAGER, &all, Scope::Department { department_id: ENGINEERING });
    service.post("/api/v1/candidates").by(&lead).json(&candidate_fields(3)).send().await.expect(201);
}

async fn private_fields_are_shown_to_those_who_may_change_them(service: &Service) {
    service.with_company().await;
    let engineering = service.published(&json!({})).await;
    let sales = service.published(&json!({"departmentId": SALES})).await;
    let (mine, other, new) = (service.candidate(1).await, service.candidate(2).await, service.candidate(3).await);
    service.apply(engineering, mine).await.expect(201);
    service.apply(sales, other).await.expect(201);
    let grant = |text: &str, scope| Grant { permission: text.parse().unwrap(), scope };
    let (read, create) = (grant("candidates:read", Scope::All), grant("candidates:create", Scope::All));
    let update = |scope| grant("candidates:update", scope);
    for (grants, whole) in [
        (vec![read], vec![]),
        (vec![read, update(Scope::Department { department_id: ENGINEERING })], vec![mine]),
        (vec![read, update(Scope::Headquarters { headquarter_id: 2 })], vec![other]),
        (vec![read, update(Scope::All)], vec![mine, other, new]),
    ] {
        let who = chassis::testing::token(MANAGER, grants);
        let listed = service.get("/api/v1/candidates").by(&who).send().await.expect(200);
        assert_eq!(listed.body["items"].as_array().unwrap().len(), 3);
        for item in listed.body["items"].as_array().unwrap() {
            let id = item["candidateId"].as_i64().unwrap();
            let shown = service.get(format!("/api/v1/candidates/{id}")).by(&who).send().await.expect(200);
            for seen in [item, &shown.body] {
                let is_whole = (seen.get("birthDate").is_some(), seen.get("address").is_some());
                let expected = whole.contains(&id);
                assert_eq!(is_whole, (expected, expected), "{who} {seen}");
            }
        }
    }
    let who = chassis::testing::token(MANAGER, vec![create]);
    let made = service.post("/api/v1/candidates").by(&who).json(&candidate_fields(4)).send().await.expect(201);
    assert_eq!((made.body.get("birthDate"), made.body.get("address")), (None, None));
}

async fn every_bad_field_is_named(service: &Service) {
    for (changes, field) in [
        (json!({"firstName": "a\r\nBcc: x@example.com"}), "firstName"),
        (json!({"lastName": " "}), "lastName"),
        (json!({"email": "nobody"}), "email"),
        (json!({"phoneNumber": "1"}), "phoneNumber"),
        (json!({"phoneNumber": "ask the porter"}), "phoneNumber"),
        (json!({"source": "fair\r\nBcc: x@example.com"}), "source"),
        (json!({"birthDate": "31.12.1990"}), "birthDate"),
        (json!({"resumeUrl": "javascript:alert(1)"}), "resumeUrl"),
        (json!({"yearsOfExperience": -1}), "yearsOfExperience"),
        (json!({"skills": [" "]}), "skills"),
        (json!({"summary": "a\u{0}b"}), "summary"),
        (json!({"status": "hired"}), "status"),
    ] {
        let body = with(candidate_fields(1), &changes);
        service.post("/api/v1/candidates").json(&body).send().await.expect_field(422, field);
    }
}
