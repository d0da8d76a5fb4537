//! The case folders, which Apache Camel answers in the same way (`compat/camel`).

use std::path::Path;

use routes::cases;

#[tokio::test]
async fn every_case_ends_as_in_camel() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut failed = Vec::new();
    for case in cases::folders(&[folder]).unwrap() {
        let outcome = cases::run(&case).await.unwrap();
        if !outcome.differences.is_empty() {
            failed.push(format!("{}\n    {}", outcome.name, outcome.differences.join("\n    ")));
        }
    }
    assert!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
}
