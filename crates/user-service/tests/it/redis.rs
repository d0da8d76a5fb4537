//! Sessions with a Redis of the test's own, which is killed, frozen, flushed and restarted: nobody is let in by an
//! answer that is not true any more, and who is logged in stays so.

use std::path::Path;
use std::time::Duration;

use chassis::testing::{Answer, Database, OPERATOR, RedisServer};
use chassis::{Health, HealthCheck, RedisConfig, Secret};
use db::params;
use eventkit::Origin;
use serde_json::json;
use user_service::Shared;

use crate::fixture::{Fixture, PASSWORD, Person};

/// As in earnest: much longer than a test.
const REQUEST_MAX: Duration = Duration::from_secs(30);

struct Scene {
    server: RedisServer,
    fixture: Fixture,
}

impl Scene {
    async fn begin() -> Option<Self> {
        let server = RedisServer::start().await?;
        let shared = Shared { redis: server.client(), request_max: REQUEST_MAX, answer_keep: REQUEST_MAX };
        Some(Self { fixture: Fixture::with(Database::sqlite(), Some(shared)).await, server })
    }

    async fn person(&self, email: &str) -> Person {
        self.fixture.colleague(email, json!({}), json!([])).await
    }

    async fn status(&self, person: &Person) -> u16 {
        self.fixture.get(&person.token, "/api/v1/sessions").await.status
    }

    async fn log_out(&self, person: &Person) -> Answer {
        self.fixture.delete(&person.token, "/api/v1/sessions/current").await
    }

    /// As if nothing had changed for long: Redis has the answer about the person, and gives it.
    async fn with_kept_answer(&self, person: &Person) {
        assert_eq!(self.status(person).await, 200);
        self.remove("*changing*").await;
        assert_eq!(self.status(person).await, 200);
        assert_eq!(self.kept(person).await, 1);
    }

    async fn kept(&self, person: &Person) -> i64 {
        let count = "return #redis.call('KEYS', ARGV[1])";
        let pattern = format!("*answer*{}", person.session_id);
        self.server.command(&["EVAL", count, "0", &pattern]).await.unwrap()
    }

    async fn remove(&self, pattern: &str) {
        let remove = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
        self.server.command(&["EVAL", remove, "0", pattern]).await;
    }

    /// Redis gives no answer: who is logged in stays so, and others come in; nothing that would have to be told it is
    /// done.
    async fn holds_without_redis(&self, person: &Person, other: &Person) {
        let fixture = &self.fixture;
        assert_eq!(self.status(person).await, 200);
        let latest = fixture.logged_in("an@example.com").await;
        let renewed = fixture.refresh(&latest.refresh_token).await.ok();
        let suspend = json!({"status": "suspended"});
        let path = format!("/api/v1/users/{}", person.employee_id);
        for refused in [
            self.log_out(person).await,
            fixture.call(OPERATOR, "PATCH", &path, suspend).await,
            fixture.call(OPERATOR, "PUT", &format!("{path}/roles"), json!([])).await,
            fixture.delete(OPERATOR, &path).await,
            fixture.delete(OPERATOR, &format!("/api/v1/sessions/{}", person.session_id)).await,
            // Used before: it opens nothing, and is recognised again.
            fixture.refresh(&latest.refresh_token).await,
        ] {
            assert_eq!((refused.status, &refused.body["code"]), (503, &json!("unavailable")), "{}", refused.body);
            assert_eq!(refused.headers["content-type"], "application/problem+json");
            assert_eq!(refused.headers["retry-after"], "1");
        }
        // Whoever has no session has none, and a change of the record that changes no right is made.
        assert_eq!(self.status(other).await, 401);
        fixture.call(OPERATOR, "PATCH", &path, json!({"address": "Hue"})).await.ok();
        assert_eq!(self.status(person).await, 200);
        let access = renewed["accessToken"].as_str().unwrap();
        assert_eq!(fixture.get(access, "/api/v1/sessions").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_answer_is_given_without_the_database() {
    let Some(scene) = Scene::begin().await else { return };
    let person = scene.person("an@example.com").await;
    scene.with_kept_answer(&person).await;
    // Behind the service's back.
    let mut work = scene.fixture.publisher.begin(Origin::default());
    let end = "update sessions set ended_at = 1 where session_id = $1";
    work.execute(end, &params![person.session_id.as_str()]).await.unwrap();
    work.commit().await.unwrap();
    assert_eq!(scene.status(&person).await, 200);
    scene.remove("*answer*").await;
    assert_eq!(scene.status(&person).await, 401);
    scene.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_counts_at_once_though_an_answer_is_kept() {
    let Some(scene) = Scene::begin().await else { return };
    let fixture = &scene.fixture;
    let person = scene.person("an@example.com").await;
    let list = async || fixture.get(&person.token, "/api/v1/users").await.status;

    scene.with_kept_answer(&person).await;
    assert_eq!(list().await, 403);
    fixture.give(person.employee_id, json!([{"role": "hr"}])).await;
    assert_eq!(list().await, 200);

    scene.with_kept_answer(&person).await;
    let page = fixture.get(OPERATOR, "/api/v1/roles?q=hr").await.ok();
    let role = format!("/api/v1/roles/{}", page["items"][0]["roleId"]);
    fixture.call(OPERATOR, "PATCH", &role, json!({"permissions": ["positions:FULL"]})).await.ok();
    assert_eq!(list().await, 403);

    scene.with_kept_answer(&person).await;
    let path = format!("/api/v1/users/{}", person.employee_id);
    fixture.call(OPERATOR, "PATCH", &path, json!({"status": "suspended"})).await.ok();
    assert_eq!(scene.status(&person).await, 401);
    fixture.call(OPERATOR, "PATCH", &path, json!({"status": "active"})).await.ok();
    assert_eq!(scene.status(&person).await, 401);

    let person = fixture.logged_in("an@example.com").await;
    scene.with_kept_answer(&person).await;
    assert_eq!(scene.log_out(&person).await.status, 204);
    assert_eq!(scene.status(&person).await, 401);

    let person = fixture.logged_in("an@example.com").await;
    scene.with_kept_answer(&person).await;
    let next = fixture.refresh(&person.refresh_token).await.ok();
    assert_eq!(fixture.refresh(&person.refresh_token).await.status, 401);
    assert_eq!(scene.status(&person).await, 401);
    assert_eq!(fixture.refresh(next["refreshToken"].as_str().unwrap()).await.status, 401);

    let person = fixture.logged_in("an@example.com").await;
    scene.with_kept_answer(&person).await;
    assert_eq!(fixture.delete(OPERATOR, &path).await.status, 204);
    assert_eq!(scene.status(&person).await, 401);
    scene.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_of_too_many_sessions_ends_at_once_though_its_answer_is_kept() {
    let Some(scene) = Scene::begin().await else { return };
    let oldest = scene.person("an@example.com").await;
    for _ in 1..50 {
        scene.fixture.clock.advance_ms(1);
        scene.fixture.logged_in("an@example.com").await;
    }
    scene.with_kept_answer(&oldest).await;
    scene.fixture.clock.advance_ms(1);
    scene.fixture.logged_in("an@example.com").await;
    assert_eq!(scene.status(&oldest).await, 401);
    scene.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_locked_out_and_nothing_ends_while_redis_is_dead_or_stands_still() {
    let Some(mut scene) = Scene::begin().await else { return };
    let (person, other) = (scene.person("an@example.com").await, scene.person("ba@example.com").await);
    assert_eq!(scene.log_out(&other).await.status, 204);
    scene.with_kept_answer(&person).await;
    scene.server.freeze();
    scene.holds_without_redis(&person, &other).await;
    scene.server.thaw().await;
    scene.server.kill();
    scene.holds_without_redis(&person, &other).await;
    scene.server.restart().await;
    assert_eq!(scene.log_out(&person).await.status, 204);
    assert_eq!(scene.status(&person).await, 401);
    scene.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_logs_nobody_out_and_lets_nobody_in() {
    let Some(scene) = Scene::begin().await else { return };
    let (person, other) = (scene.person("an@example.com").await, scene.person("ba@example.com").await);
    scene.with_kept_answer(&person).await;
    scene.with_kept_answer(&other).await;
    assert_eq!(scene.log_out(&other).await.status, 204);
    scene.server.command(&["FLUSHALL"]).await;
    assert_eq!((scene.status(&person).await, scene.status(&other).await), (200, 401));
    // A mark may have been lost, so nothing is kept for as long as one would have stayed.
    assert_eq!(scene.kept(&person).await, 0);
    assert_eq!(scene.log_out(&person).await.status, 204);
    assert_eq!(scene.status(&person).await, 401);
    scene.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_as_it_was_earlier_lets_nobody_in() {
    let Some(mut scene) = Scene::begin().await else { return };
    let person = scene.person("an@example.com").await;
    scene.with_kept_answer(&person).await;
    let earlier = tempfile::tempdir().unwrap();
    copy(scene.server.folder(), earlier.path());
    assert_eq!(scene.log_out(&person).await.status, 204);
    scene.server.kill();
    copy(earlier.path(), scene.server.folder());
    scene.server.restart().await;
    assert_eq!(scene.kept(&person).await, 1, "the answer is there again, without the mark of the logout");
    assert_eq!(scene.status(&person).await, 401);
    scene.fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_never_printed() {
    let Some(server) = RedisServer::start().await else { return };
    let redis = server.client_with("not the password");
    assert_eq!(redis.check().await, Health::degraded("redis refuses the login"));
    let error = eventkit::chain(&redis.info().await.unwrap_err());
    assert!(error.contains("REDIS_PASSWORD"), "{error}");
    let config = RedisConfig { password: Secret::new("not the password"), ..server.config().clone() };
    for printed in [error, format!("{redis:?}"), format!("{config:?}")] {
        assert!(!printed.contains("not the password"), "{printed}");
    }
    let shared = Shared { redis, request_max: REQUEST_MAX, answer_keep: REQUEST_MAX };
    let fixture = Fixture::with(Database::sqlite(), Some(shared)).await;
    let id = fixture.employee("an@example.com", json!({})).await;
    assert_eq!(fixture.accept(&fixture.invitation(id).await, PASSWORD).await.status, 204);
    let person = fixture.logged_in("an@example.com").await;
    assert_eq!(fixture.delete(&person.token, "/api/v1/sessions/current").await.status, 503);
    fixture.stop().await;
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            let _ = std::fs::remove_dir_all(&target);
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
