//! The case folders, which Apache Camel answers in the same way (`compat/camel`).

use std::path::{Path, PathBuf};

use routes::cases;
use tokio::task::JoinSet;

fn folders() -> Vec<PathBuf> {
    cases::folders(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")]).unwrap()
}

#[tokio::test]
async fn every_case_ends_as_in_camel() {
    let mut running = JoinSet::new();
    for case in folders() {
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

#[test]
fn every_case_that_is_refused_says_why() {
    let expected = folders().into_iter().map(|folder| std::fs::read_to_string(folder.join("expected.json")).unwrap());
    let refused: Vec<_> = expected.filter(|expected| expected.contains("\"loadError\"")).collect();
    assert!(refused.len() > 10, "only {} cases are refused", refused.len());
    assert!(refused.iter().all(|expected| expected.contains("\"refusal\"")), "{refused:#?}");
}
