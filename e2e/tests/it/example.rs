//! The example that tells the hiring story step by step, against the real program.

use std::process::Stdio;
use std::time::Duration;

use contracts::topics::TOPICS;
use e2e::stage;
use e2e::system::{Layout, System};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_tells_the_story_and_shows_its_events() {
    stage::within_time(Duration::ZERO, async |stage| {
        stage.enter("the start");
        let example = e2e::program::build_example("hiring-story").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let system = System::start(Layout::Together, folder.path()).await.unwrap();
        stage.enter("the example");
        let mut command = Command::new(example);
        for (option, url) in
            [("--users", "user-service"), ("--companies", "company-service"), ("--recruitment", "recruitment-service")]
        {
            command.arg(option).arg(system.url(url));
        }
        command.arg("--brokers").arg(system.broker()).arg("--operator-token").arg(folder.path().join("operator.token"));
        let ran = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let (told, said) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert!(ran.status.success(), "{told}{said}");
        // All types but those that nobody causes in it: a refusal, and what only publishers send.
        let unseen = ["audit.security", "audit.system", "notification.push", "notification.sms"];
        for event_type in TOPICS.iter().flat_map(|topic| topic.event_types).filter(|name| !unseen.contains(name)) {
            assert!(told.lines().any(|line| line.ends_with(event_type)), "no {event_type} in:\n{told}");
        }
        assert!(told.trim_end().ends_with("each key's in their order."), "{told}");
        stage.enter("the stop");
        system.stop().await.unwrap();
    })
    .await;
}
