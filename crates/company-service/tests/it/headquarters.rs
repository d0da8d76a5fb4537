//! A company has exactly one main headquarters as long as it has any.

use chassis::both;
use serde_json::{Value, json};

use crate::fixture::{Fixture, headquarters};

both!(
    Fixture:
    the_first_is_the_main_one_and_making_another_main_takes_it_from_the_old,
    the_main_one_cannot_be_taken_away_or_removed_before_others,
    concurrent_changes_leave_exactly_one_main,
    names_are_unique_in_a_company_among_what_is_there,
);

async fn mains(fixture: &Fixture, company_id: i64) -> Vec<i64> {
    let page = fixture.get(&format!("/api/v1/headquarters?companyId={company_id}&isMain=true")).await.ok();
    page["items"].as_array().unwrap().iter().map(|item| item["headquarterId"].as_i64().unwrap()).collect()
}

async fn the_first_is_the_main_one_and_making_another_main_takes_it_from_the_old(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let first = fixture.headquarters(company_id, "First").await;
    assert_eq!(mains(fixture, company_id).await, [first]);
    let second = fixture.headquarters(company_id, "Second").await;
    assert_eq!(mains(fixture, company_id).await, [first]);
    fixture.patch(&format!("/api/v1/headquarters/{second}"), json!({"isMain": true})).await.ok();
    assert_eq!(mains(fixture, company_id).await, [second]);
    let demoted = fixture.get(&format!("/api/v1/headquarters/{first}")).await.ok();
    assert_eq!((&demoted["isMain"], &demoted["version"]), (&json!(false), &json!(2)));
    let mut body = headquarters(company_id, "Third");
    body["isMain"] = true.into();
    let third = fixture.post("/api/v1/headquarters", body).await.ok();
    assert_eq!(mains(fixture, company_id).await, [third["headquarterId"].as_i64().unwrap()]);
    let audit = fixture.told("audit.data").await;
    let of_first: Vec<&Value> = audit.iter().filter(|a| a["entity"] == format!("headquarter-{first}")).collect();
    assert_eq!(of_first.len(), 2, "who lost being the main one has an audit record of it");
}

async fn the_main_one_cannot_be_taken_away_or_removed_before_others(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let main = format!("/api/v1/headquarters/{}", fixture.headquarters(company_id, "Main").await);
    let other = format!("/api/v1/headquarters/{}", fixture.headquarters(company_id, "Other").await);
    assert_eq!(fixture.patch(&main, json!({"isMain": false})).await.fault(), (422, "isMain"));
    assert_eq!(fixture.patch(&main, json!({"companyId": company_id + 1})).await.fault(), (422, "companyId"));
    let answer = fixture.delete(&main).await;
    assert_eq!(answer.status, 409);
    assert!(answer.body["detail"].as_str().unwrap().contains("main"));
    assert_eq!(fixture.delete(&other).await.status, 204);
    assert_eq!(fixture.delete(&main).await.status, 204);
    let again = fixture.headquarters(company_id, "Main").await;
    assert_eq!(mains(fixture, company_id).await, [again]);
    assert_eq!(fixture.post("/api/v1/headquarters", headquarters(99, "X")).await.fault(), (422, "companyId"));
}

async fn concurrent_changes_leave_exactly_one_main(fixture: &Fixture) {
    let company_id = fixture.company().await;
    let mut paths = Vec::new();
    for name in ["A", "B", "C"] {
        paths.push(format!("/api/v1/headquarters/{}", fixture.headquarters(company_id, name).await));
    }
    for _ in 0..5 {
        let patch = async |path: &str| fixture.patch(path, json!({"isMain": true})).await;
        let mut body = headquarters(company_id, "A");
        body["isMain"] = true.into();
        let (a, b, c, d) = tokio::join!(
            patch(&paths[0]),
            patch(&paths[1]),
            patch(&paths[2]),
            fixture.post("/api/v1/headquarters", body)
        );
        for answer in [a, b, c] {
            answer.ok();
        }
        assert_eq!(d.fault(), (409, "name"));
        assert_eq!(mains(fixture, company_id).await.len(), 1);
    }
}

async fn names_are_unique_in_a_company_among_what_is_there(fixture: &Fixture) {
    let (one, two) = (fixture.company().await, fixture.company().await);
    fixture.headquarters(one, "Main").await;
    let north = fixture.headquarters(one, "North").await;
    fixture.headquarters(two, "North").await;
    assert_eq!(fixture.post("/api/v1/headquarters", headquarters(one, "NORTH")).await.fault(), (409, "name"));
    let path = format!("/api/v1/headquarters/{north}");
    assert_eq!(fixture.patch(&path, json!({"name": "main"})).await.fault(), (409, "name"));
    assert_eq!(fixture.delete(&path).await.status, 204);
    fixture.headquarters(one, "North").await;
}
