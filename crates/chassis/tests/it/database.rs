//! Every part gets a database of its own, and its errors become problems.

use axum::response::IntoResponse;
use chassis::database::DatabaseCheck;
use chassis::{DataDir, Databases, Error, Health, HealthCheck, Problem, Settings, Sources};
use tempfile::{TempDir, tempdir};

fn databases(root: &TempDir, url: &str) -> Databases {
    let settings =
        Settings::load(&Sources { environment: [("DATABASE_URL", url)].into_iter().collect(), ..Sources::default() })
            .unwrap();
    Databases::new(&settings, &DataDir::open(root.path().join("data")).unwrap()).unwrap()
}

#[tokio::test]
async fn parts_have_their_files_in_the_data_directory_by_default() {
    let root = tempdir().unwrap();
    let databases = databases(&root, "");
    for part in ["user-service", "container"] {
        let db = databases.open(part).await.unwrap();
        let mut unit = db.begin().await.unwrap();
        unit.execute("create table thing (id bigint primary key)", &[]).await.unwrap();
        unit.commit().await.unwrap();
        assert_eq!(DatabaseCheck(db.clone()).check().await, Health::Ready);
        db.close().await;
        assert!(matches!(DatabaseCheck(db).check().await, Health::Down { .. }));
        let file = root.path().join("data").join(part).join(format!("{part}.db"));
        assert!(file.is_file(), "{}", file.display());
    }
}

#[tokio::test]
async fn two_parts_never_share_a_database() {
    let root = tempdir().unwrap();
    let file = root.path().join("one.db");
    let databases = databases(&root, &format!("sqlite:{}", file.display()));
    databases.open("user-service").await.unwrap();
    databases.open("user-service").await.unwrap();
    let error = databases.open("container").await.unwrap_err();
    assert!(matches!(error, Error::DatabaseShared { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "container and user-service would share one database; write {part} into database.url, \
         which becomes each part's name"
    );
}

#[tokio::test]
async fn part_in_the_url_becomes_the_parts_name() {
    let root = tempdir().unwrap();
    let url = format!("sqlite:{}", root.path().join("{part}.db").display());
    let databases = databases(&root, &url);
    for part in ["user-service", "container"] {
        databases.open(part).await.unwrap();
        assert!(root.path().join(format!("{part}.db")).is_file());
    }
}

#[tokio::test]
async fn database_that_cannot_be_opened_is_told_with_the_part_and_without_the_url() {
    let root = tempdir().unwrap();
    let databases = databases(&root, "mysql://me:hunter2@host/db");
    let error = databases.open("user-service").await.unwrap_err();
    assert!(matches!(error, Error::Database { .. }), "{error:?}");
    assert!(error.to_string().contains("user-service"), "{error}");
    assert!(!format!("{error} {error:?} {databases:?}").contains("hunter2"));
}

#[tokio::test]
async fn errors_of_the_database_become_problems() {
    let root = tempdir().unwrap();
    let db = databases(&root, "").open("user-service").await.unwrap();
    let mut unit = db.begin().await.unwrap();
    unit.execute("create table thing (id bigint primary key, other bigint unique)", &[]).await.unwrap();
    unit.execute("insert into thing (id, other) values (1, 1)", &[]).await.unwrap();
    let taken = unit.execute("insert into thing (id, other) values (2, 1)", &[]).await;
    unit.rollback().await;
    let broken = db.query("select nonsense from nowhere", &[]).await;
    let cases = [
        (taken.unwrap_err(), 409, false),
        (broken.map(drop).unwrap_err(), 500, false),
        (db::Error::Overloaded, 503, true),
        (db::Error::UnitTimedOut, 503, true),
        (db::Error::Closed, 503, true),
    ];
    for (error, status, again) in cases {
        let name = format!("{error:?}");
        let response = Problem::from(error).into_response();
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(response.headers().contains_key("retry-after"), again, "{name}");
    }
}
