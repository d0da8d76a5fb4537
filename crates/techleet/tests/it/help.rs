//! Every help text, as people read it.

use crate::support::{program, run};

#[tokio::test]
async fn every_command_explains_itself() {
    let commands: [&[&str]; 44] = [
        &[],
        &["broker"],
        &["consume"],
        &["produce"],
        &["topics"],
        &["topics", "list"],
        &["topics", "describe"],
        &["topics", "create"],
        &["topics", "delete"],
        &["groups"],
        &["groups", "list"],
        &["groups", "describe"],
        &["groups", "reset"],
        &["groups", "delete"],
        &["dlq"],
        &["dlq", "list"],
        &["dlq", "show"],
        &["dlq", "redrive"],
        &["dlq", "purge"],
        &["events"],
        &["events", "list"],
        &["events", "trace"],
        &["events", "replay"],
        &["events", "projections"],
        &["events", "rebuild"],
        &["events", "parked", "release"],
        &["events", "parked", "skip"],
        &["events", "held", "skip"],
        &["doctor"],
        &["routes"],
        &["routes", "check"],
        &["routes", "test"],
        &["routes", "list"],
        &["routes", "show"],
        &["routes", "stats"],
        &["routes", "trace"],
        &["routes", "revisions"],
        &["routes", "rollback"],
        &["audit", "list"],
        &["config"],
        &["kafka-topics"],
        &["kafka-console-consumer"],
        &["kafka-console-producer"],
        &["kafka-consumer-groups"],
    ];
    for command in commands {
        let ran = run(program(&[command, &["--help"]].concat()), "").await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command:?}");
        let name = if command.is_empty() { "techleet".to_owned() } else { command.join("_") };
        insta::assert_snapshot!(format!("help_{name}"), ran.stdout);
    }
}
