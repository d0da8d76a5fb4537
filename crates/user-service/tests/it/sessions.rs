//! Sessions: begun, refreshed, misused, ended.

use chassis::testing::OPERATOR;
use contracts::access::Access;
use serde_json::json;

use crate::fixture::{ATTEMPTS_MAX, Fixture, PASSWORD, every_store, service_config};

every_store!(
    a_login_tells_of_a_new_device_once,
    a_refused_login_is_recorded_and_limited,
    a_refresh_token_works_once_and_its_reuse_ends_the_session,
    of_two_refreshes_at_once_one_wins,
    a_logout_kills_the_access_token_at_once,
    a_suspended_employee_is_out_at_once,
    an_expired_token_opens_nothing,
    what_a_session_amounts_to_is_told_to_other_services,
);

async fn a_login_tells_of_a_new_device_once(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    let answer = fixture.log_in("an@example.com", PASSWORD).await;
    assert_eq!((answer.status, answer.headers["cache-control"].to_str().unwrap()), (201, "no-store"));
    // There is nothing to be read at a session's address.
    assert!(!answer.headers.contains_key("location"));
    let told = fixture.told("user.login").await;
    assert_eq!((&told[0]["newDevice"], &told[1]["newDevice"]), (&json!(true), &json!(false)));
    let sessions = fixture.get(&person.token, "/api/v1/sessions").await.ok();
    let sessions = sessions["items"].as_array().unwrap();
    assert_eq!(sessions.iter().filter(|session| session["isCurrent"] == true).count(), 1);
    assert_eq!(sessions.len(), 2);
    let other = answer.body["session"]["sessionId"].as_str().unwrap();
    assert_eq!(fixture.delete(&person.token, &format!("/api/v1/sessions/{other}")).await.status, 204);
    assert_eq!(fixture.delete(&person.token, &format!("/api/v1/sessions/{other}")).await.status, 404);
    let stranger = fixture.colleague("b@example.com", json!({}), json!([])).await;
    let theirs = format!("/api/v1/sessions/{}", person.session_id);
    assert_eq!(fixture.delete(&stranger.token, &theirs).await.status, 403);
    assert_eq!(fixture.delete(OPERATOR, &theirs).await.status, 204);
    assert_eq!(fixture.get(&person.token, "/api/v1/sessions").await.status, 401);
}

async fn a_refused_login_is_recorded_and_limited(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    for _ in 0..ATTEMPTS_MAX {
        assert_eq!(fixture.log_in("an@example.com", "wrong password").await.status, 401);
    }
    assert_eq!(fixture.log_in("nobody@example.com", "wrong password").await.status, 401);
    let told = fixture.told("audit.security").await;
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|record| record["incident"] == "login-failed"));
    assert_eq!(told[0]["entity"], format!("user-{}", person.employee_id));
    assert_eq!(told[3]["entity"], "part-user-service");
    let limited = fixture.log_in("an@example.com", PASSWORD).await;
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (429, "300"));
    fixture.clock.advance_ms(service_config().login_window_ms);
    fixture.logged_in("an@example.com").await;
}

async fn a_refresh_token_works_once_and_its_reuse_ends_the_session(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    let tokens = fixture.refresh(&person.refresh_token).await.ok();
    let (access, next) = (tokens["accessToken"].as_str().unwrap(), tokens["refreshToken"].as_str().unwrap());
    assert_eq!(fixture.get(access, "/api/v1/sessions").await.status, 200);
    assert_eq!(fixture.refresh(&person.refresh_token).await.status, 401);
    // The refusal was committed: the session is over for both.
    assert_eq!(fixture.get(access, "/api/v1/sessions").await.status, 401);
    assert_eq!(fixture.refresh(next).await.status, 401);
    assert_eq!(fixture.told("user.logout").await[0]["reason"], "token-reused");
    assert_eq!(fixture.told("audit.security").await[0]["incident"], "token-reused");
}

async fn of_two_refreshes_at_once_one_wins(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    let one = fixture.refresh(&person.refresh_token);
    let other = fixture.refresh(&person.refresh_token);
    let (one, other) = tokio::join!(one, other);
    let mut answers = [one.status, other.status];
    answers.sort_unstable();
    assert_eq!(answers, [200, 401]);
}

async fn a_logout_kills_the_access_token_at_once(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    assert_eq!(fixture.delete(&person.token, "/api/v1/sessions/current").await.status, 204);
    assert_eq!(fixture.get(&person.token, "/api/v1/sessions").await.status, 401);
    assert_eq!(fixture.refresh(&person.refresh_token).await.status, 401);
    let told = fixture.told("user.logout").await;
    assert_eq!((told.len(), &told[0]["reason"]), (1, &json!("requested")));
}

async fn a_suspended_employee_is_out_at_once(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    let path = format!("/api/v1/users/{}", person.employee_id);
    fixture.call(OPERATOR, "PATCH", &path, json!({"status": "suspended"})).await.ok();
    assert_eq!(fixture.get(&person.token, "/api/v1/sessions").await.status, 401);
    assert_eq!(fixture.refresh(&person.refresh_token).await.status, 401);
    assert_eq!(fixture.log_in("an@example.com", PASSWORD).await.status, 401);
    fixture.call(OPERATOR, "PATCH", &path, json!({"status": "active"})).await.ok();
    fixture.logged_in("an@example.com").await;
    assert_eq!(fixture.get(&person.token, "/api/v1/sessions").await.status, 401);
}

async fn an_expired_token_opens_nothing(fixture: &Fixture) {
    let person = fixture.colleague("an@example.com", json!({}), json!([])).await;
    fixture.clock.advance_ms(service_config().access_token_keep_ms);
    assert_eq!(fixture.get(&person.token, "/api/v1/sessions").await.status, 401);
    let tokens = fixture.refresh(&person.refresh_token).await.ok();
    fixture.clock.advance_ms(service_config().refresh_token_keep_ms);
    assert_eq!(fixture.refresh(tokens["refreshToken"].as_str().unwrap()).await.status, 401);
}

async fn what_a_session_amounts_to_is_told_to_other_services(fixture: &Fixture) {
    let roles = json!([{"role": "interviewer"}]);
    let person = fixture.colleague("an@example.com", json!({}), roles).await;
    let answer = fixture.get(&person.token, chassis::session_client::ACCESS_PATH).await;
    let access: Access = serde_json::from_value(answer.ok()).unwrap();
    assert_eq!((access.employee_id, access.session_id), (person.employee_id, person.session_id));
    assert!(access.grants.iter().any(|grant| grant.permission.to_string() == "interviews:update"));
    assert_eq!(fixture.get(OPERATOR, chassis::session_client::ACCESS_PATH).await.status, 403);
}
