//! `techleet routes`, which needs no broker.

use crate::support::{program, run};

const RIGHT: &str = "- from: { uri: \"direct:start\", steps: [ { to: \"mock:{{name}}\" } ] }\n";

#[tokio::test]
async fn a_file_is_right_or_told_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, RIGHT).unwrap();
    let path = file.to_str().unwrap();
    let ran = run(program(&["routes", "check", path, "--property", "name=x"]), "").await;
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "1 route is right\n"));
    let ran = run(program(&["routes", "check", path]), "").await;
    let expected = format!(
        "{path}:1:47: error: placeholder `{{{{name}}}}` has no value: set the property `name`, or write `{{{{name:default}}}}`\n"
    );
    assert_eq!((ran.code, ran.stdout), (4, expected));
}

#[tokio::test]
async fn cases_pass_or_show_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("greets");
    std::fs::create_dir(&case).unwrap();
    std::fs::write(case.join("route.yaml"), RIGHT).unwrap();
    std::fs::write(case.join("input.json"), r#"{"messages":[{"body":"m"}],"properties":{"name":"x"}}"#).unwrap();
    let expected = |body: &str| {
        format!(
            r#"{{"results":[{{"failed":false}}],"endpoints":{{"mock:x":[{{"body":"{body}","bodyType":"string","headers":{{}}}}]}}}}"#
        )
    };
    let path = folder.path().to_str().unwrap();
    std::fs::write(case.join("expected.json"), expected("m")).unwrap();
    let ran = run(program(&["routes", "test", path]), "").await;
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "PASS greets\n1 passed, 0 failed\n"));
    std::fs::write(case.join("expected.json"), expected("n")).unwrap();
    let ran = run(program(&["routes", "test", path]), "").await;
    let lines = "FAIL greets\n    mock:x message 0: body is \"m\", and was to be \"n\"\n0 passed, 1 failed\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (4, lines));
}
