//! The case folders, which Apache Camel answers in the same way (`compat/camel`).

use std::path::Path;

use routes::cases;
use tokio::task::JoinSet;

#[tokio::test]
async fn every_case_ends_as_in_camel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut running = JoinSet::new();
    for case in cases::folders(&[folder]).unwrap() {
        running.spawn(async move { cases::run(&case).await.unwrap() });
    }
    let outcomes = running.join_all().await;
    assert!(outcomes.len() > 60, "only {} cases", outcomes.len());
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.differences.is_empty())
        .map(|outcome| format!("{}\n    {}", outcome.name, outcome.differences.join("\n    ")))
        .collect();
    assert!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
}
