//! Interviews: when they may be set, how they go, and who gets which mail how often.

use chassis::both;
use std::collections::BTreeSet;

use contracts::access::Scope;
use serde_json::{Value, json};

use crate::fixture::{Service, envelope, token};
use crate::hiring::{ENGINEERING, INTERVIEWERS, MANAGER, SALES, interview_fields, with};

both!(
    Service:
    an_interview_is_set_for_an_open_application_and_known_people,
    everybody_who_takes_part_is_told_once,
    a_new_time_is_told_to_everybody_and_nothing_else_is,
    whoever_joins_or_leaves_is_told_and_nobody_else,
    a_cancelled_interview_is_told_to_everybody_once,
    the_end_of_an_application_cancels_what_lies_ahead,
    everybody_of_a_large_round_is_named_in_every_mail,
    an_application_has_so_many_interviews_that_are_not_over_and_no_more,
    an_interview_goes_its_way_and_is_judged_after,
    only_the_version_that_was_read_is_changed,
    a_repeated_post_sets_one_interview_and_sends_no_second_mail,
    lists_filter_and_scopes_limit,
);

/// The mails told after the first `skip`: key, template, whether moved.
async fn mails(service: &Service, skip: usize) -> Vec<(String, String, bool)> {
    let told = service.events().await;
    let mails = told.iter().filter(|event| event.event_type == "notification.email").skip(skip);
    mails
        .map(|event| {
            let data = &envelope(event)["data"];
            let template = data["template"].as_str().unwrap().to_owned();
            (event.key.clone(), template, data["variables"]["isRescheduled"] == true)
        })
        .collect()
}

fn mail(key: &str, template: &str, is_moved: bool) -> (String, String, bool) {
    (key.to_owned(), template.to_owned(), is_moved)
}

async fn open_application(service: &Service) -> i64 {
    let posting = service.published(&json!({})).await;
    service.application(posting, 1).await
}

async fn an_interview_is_set_for_an_open_application_and_known_people(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let post = async |changes: Value| {
        service.post("/api/v1/interviews").json(&with(interview_fields(application), &changes)).send().await
    };
    for (changes, status, field) in [
        (json!({"applicationId": 999}), 422, "applicationId"),
        (json!({"scheduledDate": "2026-11-24T08:00:00Z"}), 422, "scheduledDate"),
        (json!({"interviewers": []}), 422, "interviewers"),
        (json!({"interviewers": [51, 51]}), 422, "interviewers"),
        (json!({"interviewers": [51, 99]}), 409, "interviewers"),
        (json!({"status": "confirmed"}), 422, "status"),
        (json!({"durationMinutes": 0}), 422, "durationMinutes"),
        (json!({"result": "pass"}), 422, "result"),
        (json!({"meetingLink": "meet"}), 422, "meetingLink"),
        (json!({"room": "A"}), 422, "room"),
    ] {
        post(changes).await.expect_field(status, field);
    }
    let made = post(json!({})).await.expect(201);
    assert_eq!((&made.body["durationMinutes"], &made.body["status"]), (&json!(60), &json!("scheduled")));
    assert_eq!(made.body["candidateName"], "Binh Nguyen1");
    let id = made.id("interviewId");
    assert_eq!(made.headers["location"], format!("/api/v1/interviews/{id}"));
    assert_eq!(service.get(format!("/api/v1/interviews/{id}")).send().await.expect(200).body, made.body);
    service
        .patch(format!("/api/v1/interviews/{id}"), &json!({"applicationId": 7}))
        .send()
        .await
        .expect_field(422, "applicationId");
    service.bring(application, "rejected").await;
    post(json!({})).await.expect(409);
}

async fn everybody_who_takes_part_is_told_once(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let candidate = service.get(format!("/api/v1/applications/{application}")).send().await.id("candidateId");
    service.interview(application).await;
    let told = service.events().await;
    let told: Vec<_> = told.iter().filter(|event| event.topic == "notification-events").map(envelope).collect();
    assert_eq!(told.len(), 3);
    let to: Vec<_> = told
        .iter()
        .map(|mail| (mail["recipientType"].clone(), mail["recipientId"].clone(), mail["data"]["to"].clone()))
        .collect();
    assert_eq!(
        to,
        [
            (json!("candidate"), json!(candidate), json!("binh1@example.com")),
            (json!("employee"), json!(INTERVIEWERS[0]), Value::Null),
            (json!("employee"), json!(INTERVIEWERS[1]), Value::Null),
        ]
    );
    assert_eq!(told[1]["data"]["subject"], "Interview: Rust Engineer");
    let variables = &told[1]["data"]["variables"];
    for (name, value) in [
        ("recipientName", json!("Hoa Pham")),
        ("candidateName", json!("Binh Nguyen1")),
        ("interviewerNames", json!("Hoa Pham, Tuan Pham")),
        ("scheduledDate", json!("2026-12-01 09:00 UTC")),
        ("meetingLink", json!("https://meet.example.com/abc")),
    ] {
        assert_eq!(variables[name], value, "{name}");
    }
    let known: BTreeSet<&str> = variables.as_object().unwrap().keys().map(String::as_str).collect();
    for template in [
        include_str!("../../../../deploy/templates/interview-scheduled.txt"),
        include_str!("../../../../deploy/templates/interview-cancelled.txt"),
    ] {
        for (name, _) in template.split("{{ ").skip(1).filter_map(|rest| rest.split_once(" }}")) {
            assert!(known.contains(name), "a template asks for {name}");
        }
    }
}

async fn a_new_time_is_told_to_everybody_and_nothing_else_is(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let path = format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId"));
    let candidate = &mails(service, 0).await[0].0;
    for quiet in
        [json!({"notes": "bring water"}), json!({"agenda": "Kafka"}), json!({"status": "confirmed"}), json!({})]
    {
        service.patch(&path, &quiet).send().await.expect(200);
    }
    assert_eq!(mails(service, 3).await, []);
    service
        .patch(&path, &json!({"scheduledDate": "2026-11-24T07:00:00Z"}))
        .send()
        .await
        .expect_field(422, "scheduledDate");
    service.patch(&path, &json!({"scheduledDate": "2026-12-02T09:00:00Z"})).send().await.expect(200);
    service.patch(&path, &json!({"scheduledDate": "2026-12-02T09:00:00Z"})).send().await.expect(200);
    let moved =
        [candidate.as_str(), "notification-51", "notification-52"].map(|key| mail(key, "interview-scheduled", true));
    assert_eq!(mails(service, 3).await, moved);
    service.patch(&path, &json!({"location": "Room 1", "meetingLink": null})).send().await.expect(200);
    assert_eq!(mails(service, 6).await, moved);
}

async fn whoever_joins_or_leaves_is_told_and_nobody_else(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let path = format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId"));
    service.patch(&path, &json!({"interviewers": [52, 99]})).send().await.expect_field(409, "interviewers");
    service.patch(&path, &json!({"interviewers": [52, MANAGER]})).send().await.expect(200);
    assert_eq!(
        mails(service, 3).await,
        [mail("notification-42", "interview-scheduled", false), mail("notification-51", "interview-cancelled", false)]
    );
    service.patch(&path, &json!({"interviewers": [MANAGER, 52]})).send().await.expect(200);
    assert_eq!(mails(service, 5).await, []);
}

async fn a_cancelled_interview_is_told_to_everybody_once(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let path = format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId"));
    let candidate = &mails(service, 0).await[0].0;
    service.patch(&path, &json!({"status": "cancelled"})).send().await.expect(200);
    let all =
        [candidate.as_str(), "notification-51", "notification-52"].map(|key| mail(key, "interview-cancelled", false));
    assert_eq!(mails(service, 3).await, all);
    service.patch(&path, &json!({"notes": "they moved away"})).send().await.expect(200);
    service.patch(&path, &json!({"status": "scheduled"})).send().await.expect(409);
    service.patch(&path, &json!({"location": "elsewhere"})).send().await.expect(409);
    service.bring(application, "rejected").await;
    assert_eq!(mails(service, 6).await, []);
}

async fn the_end_of_an_application_cancels_what_lies_ahead(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let held = format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId"));
    for status in ["confirmed", "in-progress", "completed"] {
        service.patch(&held, &json!({"status": status})).send().await.expect(200);
    }
    let ahead = format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId"));
    service.bring(application, "withdrawn").await;
    assert_eq!(service.get(&held).send().await.body["status"], "completed");
    assert_eq!(service.get(&ahead).send().await.body["status"], "cancelled");
    let sent = mails(service, 6).await;
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|(_, template, _)| template == "interview-cancelled"), "{sent:?}");
}

async fn everybody_of_a_large_round_is_named_in_every_mail(service: &Service) {
    service.with_company().await;
    // In another order than that of their numbers.
    let round: Vec<i64> = (101..=119).rev().collect();
    for id in &round {
        service.hear_of_employee(*id, &format!("E{id}"), "Vu").await;
    }
    let application = open_application(service).await;
    let fields = with(interview_fields(application), &json!({"interviewers": round}));
    service.post("/api/v1/interviews").json(&fields).send().await.expect(201);
    let names: Vec<String> = round.iter().map(|id| format!("E{id} Vu")).collect();
    let mails = service.told("notification.email").await;
    assert_eq!(mails.len(), 20);
    for (mail, id) in mails.iter().skip(1).zip(101..) {
        let variables = &mail["variables"];
        let expected = (json!(format!("E{id} Vu")), json!(names.join(", ")));
        assert_eq!((&variables["recipientName"], &variables["interviewerNames"]), (&expected.0, &expected.1));
    }
    assert_eq!(mails[0]["variables"]["recipientName"], "Binh Nguyen1");
}

async fn an_application_has_so_many_interviews_that_are_not_over_and_no_more(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let mut paths = Vec::new();
    for _ in 0..10 {
        paths.push(format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId")));
    }
    let post = || service.post("/api/v1/interviews").json(&interview_fields(application));
    let refused = post().send().await.expect(409);
    assert_eq!(refused.body["code"], "conflict");
    assert!(refused.body["detail"].as_str().unwrap().contains("10 interviews"), "{}", refused.body);
    service.patch(&paths[0], &json!({"status": "confirmed"})).send().await.expect(200);
    post().send().await.expect(409);
    service.patch(&paths[0], &json!({"status": "cancelled"})).send().await.expect(200);
    post().send().await.expect(201);
    let before = mails(service, 0).await.len();
    service.bring(application, "rejected").await;
    assert_eq!(mails(service, before).await.len(), 10 * 3);
    let other = service.published(&json!({})).await;
    let other = service.application(other, 2).await;
    service.interview(other).await;
}

async fn an_interview_goes_its_way_and_is_judged_after(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let path = format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId"));
    let patch = async |body: Value| service.patch(&path, &body).send().await;
    patch(json!({"status": "completed"})).await.expect(409);
    patch(json!({"status": "confirmed", "score": 7})).await.expect_field(422, "score");
    patch(json!({"status": "confirmed"})).await.expect(200);
    patch(json!({"status": "in-progress"})).await.expect(200);
    patch(json!({"status": "completed", "score": 11})).await.expect_field(422, "score");
    let done = patch(json!({"status": "completed", "score": 7, "result": "strong-pass"})).await.expect(200);
    assert_eq!((&done.body["score"], &done.body["result"]), (&json!(7), &json!("strong-pass")));
    patch(json!({"strengths": "Calm", "improvements": "SQL"})).await.expect(200);
    patch(json!({"scheduledDate": "2026-12-05T09:00:00Z"})).await.expect(409);
    let audits = service.told("audit.data").await;
    let of_it = audits.iter().filter(|record| record["entity"].as_str().unwrap().starts_with("interview-")).count();
    assert_eq!(of_it, 5);
}

async fn only_the_version_that_was_read_is_changed(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let path = format!("/api/v1/interviews/{}", service.interview(application).await.id("interviewId"));
    let patch = |tag: &str, notes: &str| service.patch(&path, &json!({"notes": notes})).header("if-match", tag);
    patch("\"1\"", "a").send().await.expect(200);
    patch("\"1\"", "b").send().await.expect(412);
    assert_eq!(patch("\"2\"", "a").send().await.expect(200).etag(), "\"2\"");
}

async fn a_repeated_post_sets_one_interview_and_sends_no_second_mail(service: &Service) {
    service.with_company().await;
    let application = open_application(service).await;
    let post =
        || service.post("/api/v1/interviews").json(&interview_fields(application)).header("idempotency-key", "k");
    let first = post().send().await.expect(201);
    assert_eq!(post().send().await.expect(201).body, first.body);
    assert_eq!(mails(service, 0).await.len(), 3);
}

async fn lists_filter_and_scopes_limit(service: &Service) {
    service.with_company().await;
    let mine = open_application(service).await;
    let sales = service.published(&json!({"departmentId": SALES})).await;
    let other = service.application(sales, 2).await;
    let first = service.interview(mine).await.id("interviewId");
    let fields = with(interview_fields(other), &json!({"interviewers": [52], "scheduledDate": "2026-11-30T09:00:00Z"}));
    let second = service.post("/api/v1/interviews").json(&fields).send().await.expect(201).id("interviewId");
    let lead = token(
        MANAGER,
        &["interviews:read", "interviews:update", "interviews:create"],
        Scope::Department { department_id: ENGINEERING },
    );
    let ids = async |query: &str, who: &str| -> Vec<i64> {
        let list = service.get(format!("/api/v1/interviews?{query}")).by(who).send().await.expect(200);
        list.body["items"].as_array().unwrap().iter().map(|item| item["interviewId"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("interviewerId=51", "operator").await, [first]);
    assert_eq!(ids("interviewerId=5", "operator").await, [] as [i64; 0]);
    assert_eq!(ids("sort=scheduledDate&status=scheduled", "operator").await, [second, first]);
    assert_eq!(ids(&format!("applicationId={other}"), "operator").await, [second]);
    assert_eq!(ids("", &lead).await, [first]);
    service.get(format!("/api/v1/interviews/{second}")).by(&lead).send().await.expect(403);
    service.patch(format!("/api/v1/interviews/{second}"), &json!({"notes": "x"})).by(&lead).send().await.expect(403);
    service.post("/api/v1/interviews").by(&lead).json(&fields).send().await.expect(403);
}
