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

/// How a case differs whose file has two unknown steps.
async fn differences_of(expected: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let route = "- from: { uri: 'direct:start', steps: [ { setBdy: {} }, { setHedder: {} } ] }";
    for (name, text) in [("route.yaml", route), ("input.json", "{}"), ("expected.json", expected)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    cases::run(folder.path()).await.unwrap().differences
}

#[tokio::test]
async fn a_refusal_has_the_words_that_it_is_to_have() {
    let whole = r#"{"loadError": true, "refusal": ["unknown step `setBdy`", "unknown step `setHedder`"]}"#;
    assert_eq!(differences_of(whole).await, Vec::<String>::new());
    let another = r#"{"loadError": true, "refusal": ["unknown step `setBdy`", "unknown step `frobnicate`"]}"#;
    let found = differences_of(another).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("no refusal says `unknown step `frobnicate``"), "{found:#?}");
    assert!(found[1].starts_with("this was not to be refused:\nroute.yaml:1:"), "{found:#?}");
}

#[tokio::test]
async fn every_refusal_is_one_that_was_to_come() {
    let found = differences_of(r#"{"loadError": true, "refusal": "unknown step `setBdy`"}"#).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("setHedder"), "{found:#?}");
    let found = differences_of(r#"{"loadError": true, "refusal": 3}"#).await;
    assert_eq!(found, ["`refusal` is a part of what is said to refuse the routes, or a list of parts"]);
}

#[tokio::test]
async fn a_case_that_names_no_refusal_takes_any() {
    assert_eq!(differences_of(r#"{"loadError": true}"#).await, Vec::<String>::new());
    assert_eq!(differences_of(r#"{"results": []}"#).await.len(), 1);
}
