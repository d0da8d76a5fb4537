//! What the description of the API promises, for every operation in it, so that a new one cannot be forgotten.

use serde_json::{Value, json};

use crate::fixture::{Fixture, OPERATOR, both};

both!(every_operation_refuses_strangers_and_people_without_grants, bad_input_is_never_a_fault_of_ours);

async fn operations(fixture: &Fixture) -> Vec<(String, String, Value)> {
    let document = fixture.send("", "GET", "/openapi.json", &[], &Value::Null).await.ok();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "patch", "put", "delete"] {
            if let Some(operation) = item.get(method) {
                operations.push((method.to_uppercase(), path.clone(), operation.clone()));
            }
        }
    }
    assert_eq!(operations.len(), 30);
    operations
}

fn with_id(path: &str, id: &str) -> String {
    match (path.find('{'), path.find('}')) {
        (Some(start), Some(end)) => format!("{}{id}{}", &path[..start], &path[end + 1..]),
        _ => path.to_owned(),
    }
}

async fn every_operation_refuses_strangers_and_people_without_grants(fixture: &Fixture) {
    let nobody = fixture.person(9, Vec::new());
    for (method, path, operation) in operations(fixture).await {
        assert!(operation["x-access"].as_str().unwrap().contains(':'), "{method} {path}");
        let path = with_id(&path, "1");
        for (token, expected) in [("", 401), ("unknown", 401), (nobody.as_str(), 403)] {
            let answer = fixture.send(token, &method, &path, &[], &json!({})).await;
            assert_eq!(answer.status, expected, "{method} {path}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
}

async fn bad_input_is_never_a_fault_of_ours(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "Main").await;
    fixture.department(headquarter_id, "Kitchen").await;
    for (list, body) in [
        ("positions", json!({"name": "Cook", "level": 1})),
        ("position-types", json!({"name": "A"})),
        ("department-types", json!({"name": "A"})),
    ] {
        fixture.post(&format!("/api/v1/{list}"), body).await.ok();
    }
    for (method, path, operation) in operations(fixture).await {
        for id in ["0", "-1", "99", "9223372036854775808", "x", "%00", "1%27--"] {
            if path.contains('{') {
                let answer = fixture.send(OPERATOR, &method, &with_id(&path, id), &[], &json!({})).await;
                assert_eq!(answer.status, 404, "{method} {path} {id}");
            }
        }
        let path = with_id(&path, "1");
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            for value in ["", "-1", "0", "99999999999999999999", "x", "%00", "%ff", "%27%3B--", "eyJhIjoxfQ"] {
                let answer =
                    fixture.send(OPERATOR, &method, &format!("{path}?{name}={value}"), &[], &Value::Null).await;
                assert!(answer.status < 500, "{method} {path}?{name}={value}: {}", answer.body);
            }
        }
        let unknown = fixture.send(OPERATOR, &method, &format!("{path}?unheardOf=1"), &[], &Value::Null).await;
        assert!(unknown.status < 500 && (method != "GET" || path.ends_with("/1") || unknown.status == 400));
        if operation.get("requestBody").is_some() {
            bad_bodies(fixture, &method, &path).await;
        }
    }
}

async fn bad_bodies(fixture: &Fixture, method: &str, path: &str) {
    const FIELDS: &[&str] = &[
        "name",
        "code",
        "level",
        "companyId",
        "headquarterId",
        "departmentTypeId",
        "positionTypeId",
        "leaderId",
        "budget",
        "minSalary",
        "sortOrder",
        "email",
        "isMain",
        "notes",
        "website",
        "unheardOf",
    ];
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("x".repeat(5_000)),
        json!([]),
        json!({}),
        json!("1e9"),
        json!("💥'; drop table x; --"),
    ];
    for field in FIELDS {
        for value in &values {
            let mut body = json!({
                "companyId": 1, "headquarterId": 1, "name": "N", "level": 1, "address": "A", "phone": "0123",
                "email": "a@b.vn", "city": "Hue"
            });
            if method == "PATCH" {
                body = json!({});
            }
            body[*field] = value.clone();
            let answer = fixture.send(OPERATOR, method, path, &[], &body).await;
            assert!(answer.status < 500, "{method} {path} {field}={value}: {}", answer.body);
            if answer.status == 422 || answer.status == 409 {
                assert_eq!(answer.headers["content-type"], "application/problem+json");
                assert!(
                    !answer.body["errors"].as_array().unwrap_or(&Vec::new()).is_empty(),
                    "{path} {field}={value}: {}",
                    answer.body
                );
            }
        }
    }
    for body in [json!([]), json!("x"), json!(7), json!(null)] {
        let answer = fixture.send(OPERATOR, method, path, &[], &body).await;
        assert!((400..500).contains(&answer.status), "{method} {path} {body}");
    }
}
