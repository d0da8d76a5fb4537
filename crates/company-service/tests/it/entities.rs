//! Making, reading, changing, listing and removing: what all kinds of things have in common, and their own rules.

use chassis::both;
use chassis::testing::OPERATOR;
use serde_json::{Value, json};

use crate::fixture::{Fixture, headquarters};

both!(
    Fixture:
    a_company_lives_and_is_told_of,
    a_patch_changes_what_it_names_and_only_the_version_that_was_meant,
    what_is_still_needed_stays,
    salaries_keep_their_order_also_after_a_patch,
    pages_show_every_row_once_although_names_are_the_same,
    lists_filter_and_search,
    a_repeated_post_is_done_once,
    posts_under_one_key_at_the_same_time_are_done_once,
    no_field_takes_characters_that_steer_a_terminal_or_a_mail,
);

async fn a_company_lives_and_is_told_of(fixture: &Fixture) {
    let body = json!({"name": " TechLeet ", "taxCode": "0101", "website": "https://techleet.example"});
    let answer = fixture.post("/api/v1/companies", body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["etag"], "\"1\"");
    let path = answer.headers["location"].to_str().unwrap().to_owned();
    let company = answer.ok();
    assert_eq!(path, format!("/api/v1/companies/{}", company["companyId"]));
    assert_eq!((&company["name"], &company["isActive"]), (&json!("TechLeet"), &json!(true)));
    assert_eq!(fixture.get(&path).await.ok(), company);
    let told = fixture.told("company.created").await;
    assert_eq!(
        told,
        [json!({"companyId": company["companyId"], "name": "TechLeet", "taxCode": "0101",
                "website": "https://techleet.example"})]
    );
    assert_eq!(fixture.patch(&path, json!({"taxCode": null})).await.ok().get("taxCode"), None);
    assert_eq!(fixture.delete(&path).await.status, 204);
    assert_eq!(fixture.get(&path).await.status, 404);
    assert_eq!(fixture.delete(&path).await.status, 404);
    assert_eq!(fixture.get("/api/v1/companies").await.ok()["items"], json!([]));
    let audit = fixture.told("audit.data").await;
    let actions: Vec<&Value> = audit.iter().map(|record| &record["action"]).collect();
    assert_eq!(actions, ["create", "update", "delete"]);
    assert_eq!(audit[0]["after"], audit[1]["before"]);
    assert_eq!((&audit[1]["after"], audit[2].get("after")), (&audit[2]["before"], None));
    assert_eq!(audit[2]["actor"], json!({"type": "operator"}));
    assert_eq!(fixture.told("company.created").await.len(), 1, "an update of a company is no event");
    assert_eq!(fixture.count("event_store").await, 4);
}

async fn a_patch_changes_what_it_names_and_only_the_version_that_was_meant(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let path = format!("/api/v1/companies/{company_id}");
    let send = async |if_match: &str, body: Value| {
        fixture.send(OPERATOR, "PATCH", &path, &[("if-match", if_match)], &body).await
    };
    let answer = send("\"1\"", json!({"industry": "software"})).await;
    assert_eq!(answer.headers["etag"], "\"2\"");
    assert_eq!(answer.ok()["industry"], "software");
    for wrong in ["\"1\"", "\"x\"", "W/\"2\""] {
        assert_eq!(send(wrong, json!({"industry": "fishing"})).await.status, 412, "{wrong}");
    }
    let same = send("*", json!({"industry": "software"})).await;
    assert_eq!(same.headers["etag"], "\"2\"", "nothing changed");
    assert_eq!(fixture.told("audit.data").await.len(), 2);
    assert_eq!(send("*", json!({"name": null})).await.fault(), (422, "name"));
    assert_eq!(send("*", json!({"companyId": 7})).await.fault(), (422, "companyId"));
    let stale = fixture.send(OPERATOR, "DELETE", &path, &[("if-match", "\"1\"")], &Value::Null).await;
    assert_eq!(stale.status, 412);
    assert_eq!(fixture.get(&path).await.ok()["version"], 2);
}

async fn what_is_still_needed_stays(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "North").await;
    let department_type = fixture.post("/api/v1/department-types", json!({"name": "Line"})).await.ok();
    let position_type = fixture.post("/api/v1/position-types", json!({"name": "Desk"})).await.ok();
    let body = json!({
        "headquarterId": headquarter_id, "name": "Kitchen", "departmentTypeId": department_type["departmentTypeId"]
    });
    let department = fixture.post("/api/v1/departments", body).await.ok();
    let body = json!({"name": "Cook", "level": 1, "positionTypeId": position_type["positionTypeId"]});
    let position = fixture.post("/api/v1/positions", body).await.ok();
    let path = |list: &str, entity: &Value, id: &str| format!("/api/v1/{list}/{}", entity[id]);
    let company = format!("/api/v1/companies/{company_id}");
    let headquarters = format!("/api/v1/headquarters/{headquarter_id}");
    let department_type = path("department-types", &department_type, "departmentTypeId");
    let position_type = path("position-types", &position_type, "positionTypeId");
    for (path, what) in [
        (&company, "headquarters"),
        (&headquarters, "departments"),
        (&department_type, "departments"),
        (&position_type, "positions"),
    ] {
        let answer = fixture.delete(path).await;
        assert_eq!((answer.status, &answer.body["code"]), (409, &json!("conflict")), "{path}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.contains(what) && detail.contains(": 1"), "{detail}");
    }
    let department = path("departments", &department, "departmentId");
    let position = path("positions", &position, "positionId");
    for path in [&department, &position, &headquarters, &company, &department_type, &position_type] {
        assert_eq!(fixture.delete(path).await.status, 204, "{path}");
    }
}

async fn salaries_keep_their_order_also_after_a_patch(fixture: &Fixture) {
    let body = json!({"name": "Cook", "level": 2, "minSalary": "9000000", "maxSalary": 10_000_000});
    let position = fixture.post("/api/v1/positions", body).await.ok();
    assert_eq!((&position["minSalary"], &position["maxSalary"]), (&json!("9000000"), &json!("10000000")));
    let path = format!("/api/v1/positions/{}", position["positionId"]);
    assert_eq!(fixture.patch(&path, json!({"minSalary": "10000001"})).await.fault(), (422, "maxSalary"));
    assert_eq!(fixture.patch(&path, json!({"maxSalary": "8999999.99"})).await.fault(), (422, "maxSalary"));
    assert_eq!(fixture.patch(&path, json!({"level": 6})).await.fault(), (422, "level"));
    assert_eq!(fixture.patch(&path, json!({"minSalary": -1})).await.fault(), (422, "minSalary"));
    assert_eq!(fixture.patch(&path, json!({"positionTypeId": 99})).await.fault(), (422, "positionTypeId"));
    let body = json!({"maxSalary": null, "minSalary": "20000000"});
    assert_eq!(fixture.patch(&path, body).await.ok()["minSalary"], "20000000");
}

async fn pages_show_every_row_once_although_names_are_the_same(fixture: &Fixture) {
    const ROWS: usize = 500;
    for row in 0..ROWS {
        // Five names for all: ties everywhere.
        let body = json!({"name": format!("Position {}", row % 5), "level": row % 5 + 1});
        fixture.post("/api/v1/positions", body).await.ok();
    }
    for sort in ["name", "-name", "level", "-positionId"] {
        let mut seen: Vec<Value> = Vec::new();
        let mut path = format!("/api/v1/positions?limit=70&sort={sort}");
        loop {
            let page = fixture.get(&path).await.ok();
            seen.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            path = format!("/api/v1/positions?limit=70&sort={sort}&cursor={cursor}");
        }
        let mut ids: Vec<i64> = seen.iter().map(|item| item["positionId"].as_i64().unwrap()).collect();
        let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
        if sort == "name" {
            assert!(seen.windows(2).all(|pair| name(&pair[0]) <= name(&pair[1])));
        }
        if sort == "-name" {
            assert!(seen.windows(2).all(|pair| name(&pair[0]) >= name(&pair[1])));
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((seen.len(), ids.len()), (ROWS, ROWS), "{sort}");
    }
}

async fn lists_filter_and_search(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let north = fixture.headquarters(company_id, "Nhà Bắc").await;
    let south = fixture.headquarters(company_id, "South 100%").await;
    fixture.department(north, "Kitchen").await;
    fixture.department(south, "Garden").await;
    let names = async |path: &str| -> Vec<String> {
        let page = fixture.get(path).await.ok();
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&format!("/api/v1/departments?headquarterId={north}")).await, ["Kitchen"]);
    assert_eq!(names(&format!("/api/v1/departments?companyId={company_id}&sort=name")).await, ["Garden", "Kitchen"]);
    assert!(names(&format!("/api/v1/departments?companyId={}", company_id + 1)).await.is_empty());
    assert_eq!(names("/api/v1/departments?q=KITCH").await, ["Kitchen"]);
    assert_eq!(names("/api/v1/headquarters?q=NH%C3%80").await, ["Nhà Bắc"]);
    assert_eq!(names("/api/v1/headquarters?q=0%25").await, ["South 100%"]);
    assert_eq!(names("/api/v1/headquarters?isMain=true").await, ["Nhà Bắc"]);
    for (query, field) in [("limit=0", "limit"), ("sort=salary", "sort"), ("cursor=x", "cursor")] {
        assert_eq!(fixture.get(&format!("/api/v1/departments?{query}")).await.fault(), (422, field));
    }
    assert_eq!(fixture.get("/api/v1/departments?leaderId=x").await.fault(), (400, "leaderId"));
    // Cursors that look right but are of another type: {"s":"department_id","v":"x","i":1}
    let cursor = "eyJzIjoiZGVwYXJ0bWVudF9pZCIsInYiOiJ4IiwiaSI6MX0";
    let answer = fixture.get(&format!("/api/v1/departments?cursor={cursor}")).await;
    assert!(answer.status == 200 || answer.fault() == (422, "cursor"), "{}", answer.body);
}

async fn a_repeated_post_is_done_once(fixture: &Fixture) {
    let body = json!({"name": "TechLeet"});
    let key = [("idempotency-key", "k-1")];
    let first = fixture.send(OPERATOR, "POST", "/api/v1/companies", &key, &body).await.ok();
    let second = fixture.send(OPERATOR, "POST", "/api/v1/companies", &key, &body).await;
    assert_eq!(second.headers["idempotent-replayed"], "true");
    assert_eq!(second.ok(), first);
    assert_eq!(fixture.told("company.created").await.len(), 1);
    let type_body = json!({"name": "Line"});
    fixture.post("/api/v1/department-types", type_body).await.ok();
    let taken = fixture.post("/api/v1/department-types", json!({"name": "LINE"})).await;
    assert_eq!(taken.fault(), (409, "name"));
}

async fn posts_under_one_key_at_the_same_time_are_done_once(fixture: &Fixture) {
    for round in 1..=10 {
        let (key, body) = (format!("k-{round}"), json!({"name": "TechLeet"}));
        let headers = [("idempotency-key", key.as_str())];
        let post = || fixture.send(OPERATOR, "POST", "/api/v1/companies", &headers, &body);
        let (first, second, third) = tokio::join!(post(), post(), post());
        let (first, second, third) = (first.ok(), second.ok(), third.ok());
        assert_eq!((&first, &first), (&second, &third));
        assert_eq!(fixture.told("company.created").await.len(), round);
    }
}

async fn no_field_takes_characters_that_steer_a_terminal_or_a_mail(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let headquarter_id = fixture.headquarters(company_id, "Main").await;
    for (list, body, fields) in [
        ("companies", json!({"name": "A"}), &["name", "taxCode", "industry", "notes"][..]),
        ("headquarters", headquarters(company_id, "B"), &["name", "address", "phone", "city", "postalCode", "notes"]),
        (
            "departments",
            json!({"headquarterId": headquarter_id, "name": "C"}),
            &["name", "code", "description", "notes"],
        ),
        ("positions", json!({"name": "D", "level": 1}), &["name", "code", "requirements", "notes"]),
        ("position-types", json!({"name": "E"}), &["name", "code", "category", "notes"]),
    ] {
        for field in fields {
            let mut body = body.clone();
            body[*field] = "a\u{1b}[2Jb".into();
            assert_eq!(fixture.post(&format!("/api/v1/{list}"), body).await.fault(), (422, *field), "{list}");
        }
        let mut body = body.clone();
        body["notes"] = "one line\nand another".into();
        fixture.post(&format!("/api/v1/{list}"), body).await.ok();
    }
    let phone = json!({"phone": "ask the porter"});
    let path = format!("/api/v1/headquarters/{headquarter_id}");
    assert_eq!(fixture.patch(&path, phone).await.fault(), (422, "phone"));
}
