//! Invitations, and the first administrator.

use chassis::testing::OPERATOR;
use serde_json::{Value, json};
use user_service::Core;

use crate::fixture::{ATTEMPTS_MAX, Fixture, PASSWORD, every_store, service_config};

every_store!(
    an_invitation_is_accepted_once,
    a_new_invitation_ends_the_old_and_time_ends_both,
    somebody_who_has_left_can_be_invited_again,
    the_bootstrap_token_makes_one_administrator_and_goes,
    guessing_tokens_is_limited,
    what_fails_on_our_side_is_no_failed_attempt,
);

async fn an_invitation_is_accepted_once(fixture: &Fixture) {
    let id = fixture.employee("an@example.com", json!({})).await;
    let token = fixture.invitation(id).await;
    assert_eq!(fixture.log_in("an@example.com", PASSWORD).await.status, 401);
    let weak = fixture.accept(&token, "password12345").await;
    assert_eq!(weak.fault(), (422, "password"));
    assert_eq!(fixture.accept(&token, PASSWORD).await.status, 204);
    assert_eq!(fixture.told("user.updated").await[0]["status"], "active");
    assert_eq!(fixture.accept(&token, PASSWORD).await.status, 401);
    let refused = fixture.told("audit.security").await;
    assert_eq!(refused.last().unwrap()["incident"], "token-refused");
    fixture.logged_in("AN@example.com").await;
}

async fn a_new_invitation_ends_the_old_and_time_ends_both(fixture: &Fixture) {
    let id = fixture.employee("an@example.com", json!({})).await;
    let old = fixture.invitation(id).await;
    let path = format!("/api/v1/users/{id}/invitation");
    assert_eq!(fixture.send(OPERATOR, "POST", &path, &[], &json!(null)).await.status, 202);
    let new = fixture.invitation(id).await;
    assert_ne!(old, new);
    assert_eq!(fixture.accept(&old, PASSWORD).await.status, 401);
    fixture.clock.advance_ms(service_config().invitation_keep_ms);
    assert_eq!(fixture.accept(&new, PASSWORD).await.status, 401);
}

async fn somebody_who_has_left_can_be_invited_again(fixture: &Fixture) {
    let id = fixture.employee("an@example.com", json!({})).await;
    let path = format!("/api/v1/users/{id}");
    let patch = async |status: &str| fixture.call(OPERATOR, "PATCH", &path, json!({"status": status})).await;
    let old = fixture.invitation(id).await;
    // First without a password, then with one that opens nothing until the invitation is accepted.
    for _ in 0..2 {
        patch("left").await.ok();
        assert_eq!(fixture.accept(&old, PASSWORD).await.status, 401);
        assert_eq!(fixture.send(OPERATOR, "POST", &format!("{path}/invitation"), &[], &json!(null)).await.status, 409);
        assert_eq!(patch("invited").await.ok()["status"], "invited");
        assert_eq!(fixture.log_in("an@example.com", PASSWORD).await.status, 401);
        let new = fixture.invitation(id).await;
        assert_ne!(old, new);
        assert_eq!(fixture.accept(&new, PASSWORD).await.status, 204);
        fixture.logged_in("an@example.com").await;
    }
    assert_eq!(patch("invited").await.status, 409);
    patch("suspended").await.ok();
    assert_eq!(patch("invited").await.status, 409);
}

async fn the_bootstrap_token_makes_one_administrator_and_goes(fixture: &Fixture) {
    let file = fixture.bootstrap_file();
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // A restart before it is used keeps it.
    Core::prepare(&service_config(), None, &fixture.publisher, fixture.folder()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), token);
    assert_eq!(fixture.call("", "POST", "/api/v1/bootstrap", bootstrap("wrong")).await.status, 401);
    assert_eq!(fixture.told("audit.security").await[0]["incident"], "token-refused");
    let admin = fixture.call("", "POST", "/api/v1/bootstrap", bootstrap(&token)).await;
    assert_eq!(admin.status, 201, "{}", admin.body);
    assert_eq!(admin.body["status"], "active");
    assert!(!file.exists());
    assert_eq!(fixture.call("", "POST", "/api/v1/bootstrap", bootstrap(&token)).await.status, 401);
    let admin = fixture.logged_in("ha@example.com").await;
    assert_eq!(fixture.get(&admin.token, "/api/v1/roles").await.status, 200);
    Core::prepare(&service_config(), None, &fixture.publisher, fixture.folder()).await.unwrap();
    assert!(!file.exists());
}

async fn guessing_tokens_is_limited(fixture: &Fixture) {
    for _ in 0..ATTEMPTS_MAX * 10 {
        assert_eq!(fixture.accept("guess", PASSWORD).await.status, 401);
    }
    let limited = fixture.accept("guess", PASSWORD).await;
    assert_eq!(limited.status, 429);
    assert!(limited.headers.contains_key("retry-after"));
}

async fn what_fails_on_our_side_is_no_failed_attempt(fixture: &Fixture) {
    fixture.colleague("an@example.com", json!({}), json!([])).await;
    let rename = async |from: &str, to: &str| {
        let sql = format!("alter table {from} rename to {to}");
        let renamed: db::Result<u64> = fixture.db.unit(async |tx| tx.execute(&sql, &[]).await).await;
        renamed.unwrap();
    };
    rename("employees", "employees_away").await;
    for _ in 0..=ATTEMPTS_MAX {
        assert_eq!(fixture.log_in("an@example.com", PASSWORD).await.status, 500);
    }
    rename("employees_away", "employees").await;
    for table in ["refresh_tokens", "invitations", "bootstrap_tokens"] {
        rename(table, "away").await;
        for _ in 0..ATTEMPTS_MAX * 10 {
            let refused = match table {
                "refresh_tokens" => fixture.refresh("guess").await,
                "invitations" => fixture.accept("guess", PASSWORD).await,
                _ => fixture.call("", "POST", "/api/v1/bootstrap", bootstrap("guess")).await,
            };
            assert_eq!(refused.status, 500);
        }
        rename("away", table).await;
    }
    fixture.logged_in("an@example.com").await;
}

fn bootstrap(token: &str) -> Value {
    json!({"token": token, "firstName": "Ha", "lastName": "Vu", "email": "ha@example.com", "password": PASSWORD})
}
