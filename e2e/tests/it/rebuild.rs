//! Every projection of every part is made anew from the event stores by the command, beside the running services: what
//! was damaged is as it was before, and what happens meanwhile is not lost.

use std::path::Path;
use std::time::Duration;

use db::{Config, Db};
use demo::Plan;
use e2e::load::Load;
use e2e::program::Ran;
use e2e::stage::{self, Stage, eventually};
use e2e::system::{Layout, System};
use e2e::{end_state, infrastructure};
use serde_json::{Value, json};

const TOKEN: &str = "an operator token for parts in processes of their own";

/// Each projection: its part, its name, its tables, and what damages it.
const PROJECTIONS: [(&str, &str, &[&str], &str); 5] = [
    ("user-service", "departments", &["departments"], "delete from departments"),
    (
        "company-service",
        "employees",
        &["employees"],
        "update employees set department_id = null, last_name = 'wrong' where employee_id > 2",
    ),
    (
        "recruitment-service",
        "departments",
        &["departments"],
        "update departments set name = 'wrong', is_active = false",
    ),
    ("recruitment-service", "employees", &["employees"], "delete from employees where employee_id > 1"),
    (
        "container",
        "directory",
        &["employees", "candidates", "departments"],
        "insert into candidates (candidate_id, first_name, last_name, email, as_of) values (999, 'X', 'Y', 'x@y.z', 1)",
    ),
];

/// The databases of a system, as they are beside it.
struct Databases {
    /// With `{part}` where each part's own name is.
    url: String,
    schema: Option<String>,
}

impl Databases {
    /// A table's rows, in an order that is always the same.
    async fn rows(&self, part: &str, table: &str) -> Vec<String> {
        let db = self.open(part).await;
        let rows = db.query(&format!("select * from {table}"), &[]).await.unwrap();
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        rows.sort_unstable();
        db.close().await;
        rows
    }

    async fn all_rows(&self) -> Vec<(&'static str, &'static str, Vec<String>)> {
        let mut all = Vec::new();
        for (part, _, tables, _) in PROJECTIONS {
            for table in tables {
                all.push((part, *table, self.rows(part, table).await));
            }
        }
        all
    }

    async fn damage(&self) {
        for (part, _, _, sql) in PROJECTIONS {
            let db = self.open(part).await;
            let changed = db.unit(async |tx| tx.execute(sql, &[]).await).await.unwrap();
            assert!(changed > 0, "{part}: {sql}");
            db.close().await;
        }
        let db = self.open("container").await;
        let more = "update employees set email = 'wrong@example.com'";
        db.unit(async |tx| tx.execute(more, &[]).await).await.unwrap();
        db.close().await;
    }

    async fn open(&self, part: &str) -> Db {
        let schema = self.schema.as_ref().map(|schema| schema.replace("{part}", &part.replace('-', "_")));
        let config = Config { schema, ..Config::new(self.url.replace("{part}", part)) };
        Db::open(&config).await.unwrap()
    }
}

async fn run(system: &System, args: &[&str]) -> Ran {
    let ran = system.run("user-service", args).await.unwrap();
    assert!(ran.status.success(), "{args:?}: {}{}", ran.stdout, ran.stderr);
    ran
}

/// What a command prints, a document a line.
async fn documents(system: &System, args: &[&str]) -> Vec<Value> {
    let ran = run(system, &[args, &["--format", "json"]].concat()).await;
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Rebuilds all projections of every part; answers how many rows were wrong.
async fn rebuild_all(system: &System, more: &[&str]) -> i64 {
    let mut wrong = 0;
    for part in ["user-service", "company-service", "recruitment-service", "container"] {
        let args = [&["events", "rebuild", "--service", part], more].concat();
        for rebuilt in documents(system, &args).await {
            assert_eq!(rebuilt["part"], part);
            for table in rebuilt["tables"].as_array().unwrap() {
                wrong +=
                    ["missing", "different", "surplus"].map(|count| table[count].as_i64().unwrap()).iter().sum::<i64>();
            }
        }
    }
    wrong
}

/// Waits until no store has an event that its readers have not handled.
async fn until_caught_up(system: &System) -> Vec<Value> {
    eventually("every projection has the newest events", async || {
        let listed = documents(system, &["events", "projections"]).await;
        let sources = listed.iter().flat_map(|projection| projection["sources"].as_array().unwrap());
        sources.into_iter().all(|source| source["behind"] == 0).then_some(listed)
    })
    .await
}

async fn damaged_and_rebuilt(
    stage: &Stage,
    layout: Layout,
    settings: Vec<String>,
    databases: Databases,
    folder: &Path,
) {
    stage.enter("the start");
    let system = System::start_with(layout, folder, &settings).await.unwrap();
    stage.enter("the story");
    let plan = Plan { companies: 2, employees: 10, jobs: 2, applications: 8, ..Plan::default() };
    let told = demo::tell(stage::story(&system, plan).unwrap()).await.unwrap();
    end_state::check(&system, &mut [told]).await.unwrap();

    stage.enter("every projection is listed");
    let listed = until_caught_up(&system).await;
    let names: Vec<(&Value, &Value)> = listed.iter().map(|one| (&one["part"], &one["projection"])).collect();
    let known = PROJECTIONS.map(|(part, projection, _, _)| (json!(part), json!(projection)));
    assert_eq!(names, known.iter().map(|(part, projection)| (part, projection)).collect::<Vec<_>>());
    assert!(listed.iter().all(|one| one["rebuiltAt"].is_null() && one["rebuild"].is_null()), "{listed:?}");
    assert_eq!(rebuild_all(&system, &["--page-size", "7"]).await, 0, "what runs is what the stores tell");

    stage.enter("the damage");
    let before = databases.all_rows().await;
    assert!(before.iter().all(|(_, _, rows)| rows.len() > 1), "{before:?}");
    databases.damage().await;
    let damaged = databases.all_rows().await;
    let wrong = rebuild_all(&system, &[]).await;
    assert!(wrong > 10, "{wrong} rows are wrong");
    assert_eq!(databases.all_rows().await, damaged, "only compared");
    stage.enter("the rebuild");
    assert_eq!(rebuild_all(&system, &["--yes"]).await, wrong);
    assert_eq!(databases.all_rows().await, before);
    let listed = until_caught_up(&system).await;
    assert!(listed.iter().all(|one| one["rebuiltAt"].is_string()), "{listed:?}");

    stage.enter("a rebuild that is at work");
    refused_while_another_runs(&system).await;
    stage.enter("rebuilds under load");
    let load = Load::begin(&system, "meanwhile").unwrap();
    load.more_acknowledged(20).await.unwrap();
    rebuild_all(&system, &["--yes", "--page-size", "500", "--rate", "5000"]).await;
    load.more_acknowledged(20).await.unwrap();
    load.end().await;
    until_caught_up(&system).await;
    assert_eq!(rebuild_all(&system, &[]).await, 0, "nothing was lost or told twice");
    let table = run(&system, &["events", "projections"]).await.stdout;
    assert!(table.starts_with("PART"), "{table}");
    system.stop().await.unwrap();
}

async fn refused_while_another_runs(system: &System) {
    let ask = async |path: &str, body: Value| {
        let url = format!("{}/operator/v1/projections/{path}", system.url("company-service"));
        let request = chassis::net::client().post(url).json(&body);
        request.bearer_auth(system.operator_token("company-service").unwrap()).send().await.unwrap()
    };
    let stranger = chassis::net::client().post(format!("{}/operator/v1/projections/begin", system.url("container")));
    assert_eq!(
        stranger.json(&json!({"projection": "directory", "takeOver": false})).send().await.unwrap().status(),
        401
    );
    let begun = ask("begin", json!({"projection": "employees", "takeOver": false})).await;
    let id = begun.json::<Value>().await.unwrap()["rebuildId"].clone();
    let rebuild = ["events", "rebuild", "--service", "company-service", "employees", "--yes"];
    let refused = system.run("user-service", &rebuild).await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("projection employees is being rebuilt since 20"), "{}", refused.stderr);
    let listed = documents(system, &["events", "projections", "--service", "company-service"]).await;
    assert!(listed[0]["rebuild"]["sinceMs"].is_i64(), "{listed:?}");
    run(system, &[&rebuild[..], &["--take-over"]].concat()).await;
    let over = ask("finish", json!({"projection": "employees", "rebuildId": id, "ending": "swap"})).await;
    assert_eq!(over.status(), 409);
    let unknown =
        system.run("user-service", &["events", "rebuild", "--service", "user-service", "people"]).await.unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stderr.contains("it has: departments"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_projection_is_rebuilt_as_it_was_in_one_process() {
    stage::within_time(Duration::ZERO, async |stage| {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("{part}").join("{part}.db");
        let databases = Databases { url: format!("sqlite:{}", files.display()), schema: None };
        damaged_and_rebuilt(stage, Layout::Together, Vec::new(), databases, folder.path()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_projection_is_rebuilt_as_it_was_with_every_part_in_its_own_process_on_postgresql() {
    let Some(url) = infrastructure::postgres_url() else { return };
    stage::within_time(Duration::ZERO, async |stage| {
        let folder = tempfile::tempdir().unwrap();
        let schema = format!("e2e_{}_{{part}}", uuid::Uuid::now_v7().simple());
        let settings = vec![
            format!("database.url={url}"),
            format!("database.schema={schema}"),
            "database.connections_max=4".to_owned(),
            format!("auth.operator_token={TOKEN}"),
        ];
        let databases = Databases { url, schema: Some(schema) };
        damaged_and_rebuilt(stage, Layout::Apart, settings, databases, folder.path()).await;
    })
    .await;
}
