//! What holds for every route, found by walking the description, so that a new route cannot be forgotten.

use chassis::both;
use chassis::testing::Operation;
use serde_json::{Value, json};

use crate::fixture::Service;
use crate::hiring::{candidate_fields, interview_fields, posting_fields};

both!(
    Service:
    nobody_comes_in_without_a_token_or_with_another_permission,
    bad_input_is_a_problem_and_never_a_fault_of_ours,
    what_cannot_be_a_number_of_an_entity_is_not_there,
    texts_are_as_long_as_the_description_says_and_no_longer,
    the_description_is_whole,
);

async fn document(service: &Service) -> Value {
    service.get("/openapi.json").by("").send().await.expect(200).body
}

async fn operations(service: &Service) -> Vec<Operation> {
    let operations = service.operations().await;
    assert_eq!(operations.len(), 22);
    operations
}

async fn nobody_comes_in_without_a_token_or_with_another_permission(service: &Service) {
    assert!(service.refuses_who_may_not().await.is_empty(), "nothing is public");
}

async fn bad_input_is_a_problem_and_never_a_fault_of_ours(service: &Service) {
    service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    service.interview(application).await;
    service.stands_bad_queries().await;
    let bodies =
        ["", "{", "[]", "null", "7", "\"x\"", "{}", r#"{"a":{"b":[]}}"#, r#"{"notes":7}"#, r#"{"notes":"\u0000"}"#];
    for operation in operations(service).await {
        let Operation { method, spec, .. } = &operation;
        let path = operation.at("1");
        for body in bodies {
            let answer = service.ask(method, &path).text(body.to_owned()).send().await;
            assert!(answer.status < 500, "{method} {path} {body}: {}", answer.body);
            let has_body = !spec["requestBody"].is_null();
            let may_be_empty = method == "PATCH" && body == "{}";
            if has_body && !may_be_empty {
                assert!((400..500).contains(&answer.status), "{method} {path} {body}: {}", answer.status);
                assert_eq!(answer.headers["content-type"], "application/problem+json");
            }
        }
        let answer = service.ask(method, &path).header("if-match", "W/\"x\"").text("{}".to_owned()).send().await;
        assert!(answer.status < 500, "{method} {path}");
    }
}

async fn what_cannot_be_a_number_of_an_entity_is_not_there(service: &Service) {
    let review = |operation: &Operation| operation.path.ends_with("/review");
    let body = |operation: &Operation| if review(operation) { json!({"to": "screening"}) } else { json!({}) };
    service.has_nothing_at_other_ids(body).await;
}

async fn texts_are_as_long_as_the_description_says_and_no_longer(service: &Service) {
    service.with_company().await;
    let schemas = document(service).await["components"]["schemas"].clone();
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    let mut checked = 0;
    for (schema, path, body) in [
        ("JobPostingFields", "/api/v1/job-postings", posting_fields()),
        ("CandidateFields", "/api/v1/candidates", candidate_fields(2)),
        ("InterviewFields", "/api/v1/interviews", interview_fields(application)),
    ] {
        for (name, property) in schemas[schema]["properties"].as_object().unwrap() {
            let Some(length) = property["maxLength"].as_u64() else { continue };
            let too_long = "https://ä.example/".to_owned() + &"ä".repeat(usize::try_from(length).unwrap());
            let mut body = body.clone();
            body[name] = too_long.clone().into();
            service.post(path).json(&body).send().await.expect_field(422, name);
            checked += 1;
            // An address has a shape of its own, and nobody is judged before the interview.
            if !["email", "strengths", "improvements"].contains(&name.as_str()) {
                let text = if name == "phoneNumber" { "1".repeat(100) } else { too_long };
                body[name] = text.chars().take(usize::try_from(length).unwrap()).collect::<String>().into();
                if schema == "CandidateFields" {
                    body["email"] = format!("long{checked}@example.com").into();
                }
                service.post(path).json(&body).send().await.expect(201);
            }
        }
    }
    assert!(checked > 15, "{checked}");
}

async fn the_description_is_whole(service: &Service) {
    let document = document(service).await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(schemas.contains_key(reference), "{reference} is referred to and not there");
    }
    assert!(!text.contains("allOf"), "a flattened structure is not one object");
    for name in ["JobPosting", "Candidate", "Application", "Interview"] {
        let properties = schemas[name]["properties"].as_object().unwrap();
        for field in ["status", "version", "createdAt", "isActive"] {
            assert!(properties.contains_key(field), "{name} lacks {field}");
        }
    }
    assert_eq!(schemas["JobPostingFields"]["additionalProperties"], false);
    assert!(schemas["JobPostingFieldsPatch"]["required"].is_null());
    for operation in operations(service).await {
        let Operation { method, path, spec } = &operation;
        let parameters: Vec<&str> =
            spec["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(parameters.contains(&"Idempotency-Key"), method == "POST", "{method} {path}");
        let changes_one = path.contains('{') && method != "GET";
        assert_eq!(parameters.contains(&"If-Match"), changes_one, "{method} {path}");
    }
}
