//! The hiring story as a reader tells it: what the README and its page say is pasted into a shell.

use std::collections::BTreeMap;
use std::time::Duration;

use contracts::topics::TOPICS;
use e2e::Backbone;
use e2e::program;
use e2e::shell::{Shell, blocks};
use e2e::stage;

use crate::topics::{read_until, value};

const README: &str = include_str!("../../../README.md");
const PAGE: &str = include_str!("../../../docs/guide/hiring-story.md");

/// How often each type of event is on its topic afterwards, where that is fixed.
const EVENTS: [(&str, usize); 14] = [
    // the README's first one, the manager, and whoever was hired
    ("user.created", 3),
    ("user.updated", 1),
    ("user.login", 1),
    ("user.logout", 1),
    ("user.deleted", 1),
    ("company.created", 1),
    ("department.created", 1),
    // the leader comes and goes
    ("department.updated", 2),
    ("job.posted", 1),
    ("job.updated", 1),
    ("application.submitted", 2),
    ("application.reviewed", 6),
    ("audit.security", 1),
    // every part's start
    ("audit.system", 4),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_story_is_told_by_pasting_what_the_documents_say() {
    stage::within_time(Duration::ZERO, async |stage| {
        stage.enter("the start");
        let folder = tempfile::tempdir().unwrap();
        let backbone = Backbone::start(&folder.path().join("data")).await.unwrap();
        let release = folder.path().join("target/release");
        std::fs::create_dir_all(&release).unwrap();
        std::os::unix::fs::symlink(program::path().unwrap(), release.join("techleet")).unwrap();

        stage.enter("the documents");
        let is_request = |block: &String| block.contains("curl") || block.contains("ask ");
        let of_readme = ["What one request does", "The hiring story"].map(|section| blocks(README, Some(section)));
        let pasted: Vec<String> = of_readme.concat().into_iter().filter(is_request).chain(blocks(PAGE, None)).collect();
        assert_eq!(pasted.len(), 12, "three blocks of the README, nine of the page: {pasted:#?}");
        let parts = [
            ("127.0.0.1:3001", backbone.user_service()),
            ("127.0.0.1:3002", backbone.company_service()),
            ("127.0.0.1:3003", backbone.recruitment_service()),
        ];
        let script = parts.into_iter().fold(pasted.join("\n"), |script, (usual, here)| {
            assert!(script.contains(usual), "{usual} is spoken to");
            script.replace(&format!("http://{usual}"), here)
        });
        let container = backbone.container().trim_start_matches("http://").to_owned();
        let variables = [("KAFKA_BROKERS", backbone.broker().to_owned()), ("TECHLEET_CONTAINER__LISTEN", container)];
        let told = Shell::start(folder.path(), &format!("set -eu\n{script}"), &variables).unwrap().end().await.unwrap();
        assert!(told.status.success(), "{}\n{}", told.stdout, told.stderr);
        assert!(told.stdout.contains("\"code\":\"unauthenticated\""), "after the logout: {}", told.stdout);
        assert!(
            told.stdout.contains("user.deleted") && told.stdout.contains("application.submitted"),
            "{}",
            told.stdout
        );
        assert!(told.stdout.lines().last().unwrap().starts_with("whole: "), "{}", told.stdout);

        stage.enter("the events");
        for topic in TOPICS {
            let expected: BTreeMap<&str, usize> =
                EVENTS.into_iter().filter(|(event_type, _)| topic.event_types.contains(event_type)).collect();
            let wanted = expected.clone();
            let records = read_until(backbone.broker(), topic.name, move |records| {
                wanted.iter().all(|(event_type, count)| count_of(records, event_type) >= *count)
            })
            .await;
            for (event_type, count) in expected {
                assert_eq!(count_of(&records, event_type), count, "{event_type}\n{}", told.stderr);
            }
        }
        stage.enter("the descriptions");
        let services = parts.map(|(_, url)| url);
        for url in services.into_iter().chain([backbone.container()]) {
            assert_shows_its_description(url).await;
        }
        assert!(backbone.interrupt().await.unwrap().success());
    })
    .await;
}

fn count_of(records: &[eventkit::transport::ConsumedRecord], event_type: &str) -> usize {
    records.iter().filter(|record| value(record)["eventType"] == event_type).count()
}

/// The page at `/docs` is there with everything that it loads, and what it loads shows the description.
async fn assert_shows_its_description(url: &str) {
    let page = reqwest::get(format!("{url}/docs")).await.unwrap();
    assert_eq!(page.status(), 200, "{url}");
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{url}");
    let (base, html) = (page.url().clone(), page.text().await.unwrap());
    let names = html.split(['"', '\'']).filter(|name| name.ends_with(".js") || name.ends_with(".css"));
    let mut scripts = String::new();
    let mut loaded = 0;
    for name in names {
        let file = reqwest::get(base.join(name).unwrap()).await.unwrap();
        assert_eq!(file.status(), 200, "{url}: {name}");
        loaded += 1;
        if name.contains("initializer") {
            scripts.push_str(&file.text().await.unwrap());
        }
    }
    assert!(loaded >= 3 && scripts.contains("/openapi.json"), "{url}: {html}");
    let description = reqwest::get(format!("{url}/openapi.json")).await.unwrap();
    let description: serde_json::Value = description.json().await.unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"), "{url}");
}
