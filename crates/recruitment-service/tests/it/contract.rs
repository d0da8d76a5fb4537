//! What holds for every route, found by walking the description, so that a new route cannot be forgotten.

use contracts::access::{Permission, Scope};
use serde_json::{Value, json};

use crate::fixture::{Service, on_both_databases, token};
use crate::hiring::{candidate_fields, interview_fields, posting_fields};

on_both_databases! {
    nobody_comes_in_without_a_token_or_with_another_permission,
    bad_input_is_a_problem_and_never_a_fault_of_ours,
    what_cannot_be_a_number_of_an_entity_is_not_there,
    texts_are_as_long_as_the_description_says_and_no_longer,
    the_description_is_whole,
}

struct Operation {
    method: String,
    path: String,
    spec: Value,
}

async fn document(service: &Service) -> Value {
    service.get("/openapi.json").by("").send().await.expect(200).body
}

async fn operations(service: &Service) -> Vec<Operation> {
    let document = document(service).await;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, spec) in item.as_object().unwrap() {
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), spec: spec.clone() });
        }
    }
    assert_eq!(operations.len(), 22);
    operations
}

/// The path with a number in place of its parameter.
fn at(path: &str, id: &str) -> String {
    match (path.find('{'), path.find('}')) {
        (Some(from), Some(to)) => format!("{}{id}{}", &path[..from], &path[to + 1..]),
        _ => path.to_owned(),
    }
}

async fn nobody_comes_in_without_a_token_or_with_another_permission(service: Service) {
    for Operation { method, path, spec } in operations(&service).await {
        let needed: Permission = spec["x-access"].as_str().unwrap().parse().unwrap();
        let others: Vec<String> = Permission::all()
            .filter(|permission| *permission != needed)
            .map(|permission| permission.to_string())
            .collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let path = at(&path, "1");
        for (who, status) in [("", 401), ("nobody", 401), (&token(7, &others, Scope::All), 403)] {
            let answer = service.method(&method, &path).by(who).text("{}".to_owned()).send().await;
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path}");
        }
    }
}

async fn bad_input_is_a_problem_and_never_a_fault_of_ours(service: Service) {
    let service = service.with_company().await;
    let posting = service.published(&json!({})).await;
    let application = service.application(posting, 1).await;
    service.interview(application).await;
    let bodies =
        ["", "{", "[]", "null", "7", "\"x\"", "{}", r#"{"a":{"b":[]}}"#, r#"{"notes":7}"#, r#"{"notes":"\u0000"}"#];
    for Operation { method, path, spec } in operations(&service).await {
        let path = at(&path, "1");
        for body in bodies {
            let answer = service.method(&method, &path).text(body.to_owned()).send().await;
            assert!(!answer.status.is_server_error(), "{method} {path} {body}: {}", answer.body);
            let has_body = !spec["requestBody"].is_null();
            let may_be_empty = method == "PATCH" && body == "{}";
            if has_body && !may_be_empty {
                assert!(answer.status.is_client_error(), "{method} {path} {body}: {}", answer.status);
                assert_eq!(answer.headers["content-type"], "application/problem+json");
            }
        }
        for parameter in
            spec["parameters"].as_array().into_iter().flatten().filter(|parameter| parameter["in"] == "query")
        {
            let name = parameter["name"].as_str().unwrap();
            for value in ["", "%00", "x", "-1", "99999999999999999999", "%F0%9F%92%A9", "'--"] {
                let answer = service.method(&method, format!("{path}?{name}={value}")).send().await;
                assert!(!answer.status.is_server_error(), "{method} {path} {name}={value}: {}", answer.body);
            }
        }
        let answer = service.method(&method, &path).header("if-match", "W/\"x\"").text("{}".to_owned()).send().await;
        assert!(!answer.status.is_server_error(), "{method} {path}");
    }
}

async fn what_cannot_be_a_number_of_an_entity_is_not_there(service: Service) {
    for Operation { method, path, .. } in operations(&service).await.into_iter().filter(|one| one.path.contains('{')) {
        for id in ["0", "-1", "4294967297", "9223372036854775807", "9223372036854775808", "x"] {
            let body = if path.ends_with("/review") { r#"{"to":"screening"}"# } else { "{}" };
            let answer = service.method(&method, at(&path, id)).text(body.to_owned()).send().await;
            assert_eq!(answer.status, 404, "{method} {path} {id}: {}", answer.body);
        }
    }
}

async fn texts_are_as_long_as_the_description_says_and_no_longer(service: Service) {
    let service = service.with_company().await;
    let schemas = document(&service).await["components"]["schemas"].clone();
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
                body[name] = too_long.chars().take(usize::try_from(length).unwrap()).collect::<String>().into();
                if schema == "CandidateFields" {
                    body["email"] = format!("long{checked}@example.com").into();
                }
                service.post(path).json(&body).send().await.expect(201);
            }
        }
    }
    assert!(checked > 15, "{checked}");
}

async fn the_description_is_whole(service: Service) {
    let document = document(&service).await;
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
    for Operation { method, path, spec } in operations(&service).await {
        let parameters: Vec<&str> =
            spec["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(parameters.contains(&"Idempotency-Key"), method == "POST", "{method} {path}");
        let changes_one = path.contains('{') && method != "GET";
        assert_eq!(parameters.contains(&"If-Match"), changes_one, "{method} {path}");
    }
}
