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
    assert_eq!(operations.len(), 22);
    operations
}

fn with_id(path: &str, id: &str) -> String {
    match (path.find('{'), path.find('}')) {
        (Some(start), Some(end)) => format!("{}{id}{}", &path[..start], &path[end + 1..]),
        _ => path.to_owned(),
    }
}

async fn every_operation_refuses_strangers_and_people_without_grants(fixture: &Fixture) {
    let nobody = fixture.person(900, Vec::new());
    let mut public = Vec::new();
    for (method, path, operation) in operations(fixture).await {
        let access = operation["x-access"].as_str().unwrap().to_owned();
        if access == "public" {
            public.push(path);
            continue;
        }
        let path = with_id(&path, "1");
        for token in ["", "unknown", "a.b.c"] {
            let answer = fixture.send(token, &method, &path, &[], &json!({})).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
        let answer = fixture.send(&nobody, &method, &path, &[], &json!({})).await;
        match access.as_str() {
            "logged-in" => assert!(answer.status < 500, "{method} {path}"),
            _ => assert_eq!(answer.status, 403, "{method} {path}"),
        }
    }
    let expected = ["/api/v1/bootstrap", "/api/v1/invitations/accept", "/api/v1/sessions", "/api/v1/sessions/refresh"];
    assert_eq!(public, expected);
}

async fn bad_input_is_never_a_fault_of_ours(fixture: &Fixture) {
    fixture.employee("an@example.com", json!({})).await;
    for (method, path, operation) in operations(fixture).await {
        for id in ["0", "-1", "9999", "9223372036854775808", "x", "%00", "1%27--"] {
            if path.contains('{') {
                let answer = fixture.send(OPERATOR, &method, &with_id(&path, id), &[], &json!([])).await;
                let is_list = answer.status == 422 && method == "PATCH" || answer.status == 404;
                assert!(is_list, "{method} {path} {id}: {}", answer.status);
            }
        }
        let path = with_id(&path, "1");
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            for value in ["", "-1", "0", "99999999999999999999", "x", "%00", "%ff", "%27%3B--", "eyJhIjoxfQ"] {
                let address = format!("{path}?{name}={value}");
                let answer = fixture.send(OPERATOR, &method, &address, &[], &Value::Null).await;
                assert!(answer.status < 500, "{method} {address}: {}", answer.body);
            }
        }
        if let Some(schema) = operation.get("requestBody") {
            assert!(schema["content"]["application/json"]["schema"].is_object());
            bad_bodies(fixture, &method, &path).await;
        }
    }
}

async fn bad_bodies(fixture: &Fixture, method: &str, path: &str) {
    const FIELDS: &[&str] = &[
        "firstName",
        "email",
        "employeeCode",
        "phoneNumber",
        "address",
        "birthDate",
        "gender",
        "startDate",
        "avatarUrl",
        "baseSalary",
        "departmentId",
        "positionId",
        "status",
        "notes",
        "name",
        "permissions",
        "description",
        "token",
        "password",
        "refreshToken",
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
        json!("9999-12-31"),
        json!("💥'; drop table x; --"),
    ];
    for field in FIELDS {
        for value in &values {
            let mut body = match method {
                "PATCH" => json!({}),
                _ => json!({"firstName": "A", "lastName": "B", "email": "a@b.vn"}),
            };
            body[*field] = value.clone();
            let answer = fixture.send(OPERATOR, method, path, &[], &body).await;
            assert!(answer.status < 500, "{method} {path} {field}={value}: {}", answer.body);
            if answer.status == 422 {
                let errors = answer.body["errors"].as_array().map_or(0, Vec::len);
                assert!(errors > 0, "{method} {path} {field}={value}: {}", answer.body);
            }
        }
    }
    for body in [json!([{}]), json!("x"), json!(7), json!(null)] {
        let answer = fixture.send(OPERATOR, method, path, &[], &body).await;
        assert!((400..500).contains(&answer.status), "{method} {path} {body}: {}", answer.status);
    }
}
