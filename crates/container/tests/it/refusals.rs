//! Route files that cannot run, beside those that can.

use serde_json::Value;

use crate::deploy::{arrives, file, put, until_revision, until_state, version, write};
use crate::support::House;

/// A route that cannot start as long as there is a file where it wants a folder.
fn from_folder(folder: &std::path::Path) -> String {
    format!(
        "- route: {{ id: away, from: {{ uri: \"file:{}?noop=true\", steps: [ {{ log: away }} ] }} }}\n",
        folder.display()
    )
}

#[tokio::test]
async fn a_file_that_cannot_start_keeps_no_other_down_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let routes = folder.path().join("routes");
    std::fs::create_dir(&routes).unwrap();
    let away = folder.path().join("away");
    std::fs::write(&away, "no folder").unwrap();
    std::fs::write(routes.join("a-away.yaml"), from_folder(&away)).unwrap();
    // The names of routes and of addresses that TechLeet's own file has.
    let name = "- route: { id: mine, from: { uri: \"direct:employee-welcome\", steps: [ { log: mine } ] } }\n";
    std::fs::write(routes.join("a-name.yaml"), name).unwrap();
    let id = "- route: { id: told, from: { uri: \"direct:mine\", steps: [ { log: mine } ] } }\n";
    std::fs::write(routes.join("a-id.yaml"), id).unwrap();
    std::fs::write(routes.join("copy.yaml"), version("v1")).unwrap();
    let house = House::open_in(folder.path()).await;
    until_state(&house, "told.yaml", "running").await;
    until_state(&house, "looked-up.yaml", "running").await;
    put(&house, "orders", "k", "1").await;
    arrives(&house, "copies", "v1 1").await;
    let why = async |name: &str| until_state(&house, name, "refused").await["reasons"][0].as_str().unwrap().to_owned();
    assert!(why("a-away.yaml").await.contains("route `away` cannot start"), "{}", why("a-away.yaml").await);
    assert!(why("a-name.yaml").await.contains("`employee-welcome`"), "{}", why("a-name.yaml").await);
    assert!(why("a-id.yaml").await.contains("a route `told` already"), "{}", why("a-id.yaml").await);
    // The next look finds that the obstacle is gone, although the file is the same.
    std::fs::remove_file(&away).unwrap();
    write(&house, "other.yaml", &version("other").replace("id: copy", "id: other").replace("copying", "othering"));
    until_revision(&house, "a-away.yaml", 1).await;
    assert_eq!(until_state(&house, "a-away.yaml", "running").await["reasons"], serde_json::json!([]));
}

#[tokio::test]
async fn what_ran_before_a_restart_does_not_give_way_to_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::open_in(folder.path()).await;
    let route = |id: &str, mark: &str| version(mark).replace("id: copy", &format!("id: {id}"));
    write(&house, "old.yaml", &route("old", "old"));
    until_revision(&house, "old.yaml", 1).await;
    house.stop_routes().await;
    // Its name comes before the other's.
    std::fs::write(folder.path().join("routes/new.yaml"), route("old", "new")).unwrap();
    let house = House::open_in(folder.path()).await;
    until_state(&house, "old.yaml", "running").await;
    until_state(&house, "new.yaml", "refused").await;
    put(&house, "orders", "k", "1").await;
    arrives(&house, "copies", "old 1").await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused_once_and_not_at_every_look() {
    let house = House::open(&[]).await;
    std::fs::write(house.routes_dir().join("spoiled.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let first = until_state(&house, "spoiled.yaml", "refused").await;
    for n in 1..=3 {
        write(&house, "copy.yaml", &version(&format!("v{n}")));
        until_revision(&house, "copy.yaml", n).await;
    }
    let still = file(&house, "spoiled.yaml").await.unwrap();
    assert_ne!(first["refusedAt"], Value::Null);
    assert_eq!(still["refusedAt"], first["refusedAt"]);
}
