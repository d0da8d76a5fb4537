//! The guide's first route and its case are files that can be run, and what it says comes of them.

use std::path::{Path, PathBuf};

use routes::{Engine, Setup, cases};

const ROUTE: &str = "examples/routes/hello/route.yaml";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The blocks of a language in the guide, from the top.
fn blocks(language: &str) -> Vec<String> {
    let page = read("docs/guide/routes.md");
    let begin = format!("```{language}\n");
    page.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_first_route_of_the_guide_is_the_example() {
    assert_eq!(blocks("yaml")[0], read(ROUTE));
    let [input, expected] = ["input", "expected"].map(|name| read(&format!("examples/routes/hello/{name}.json")));
    assert_eq!(blocks("json")[..2], [input, expected]);
}

#[test]
fn what_the_guide_says_of_a_mistake_is_said() {
    let spoiled = read(ROUTE).replace("choice:", "choise:");
    let refused = Engine::new(Setup::default()).load(&[(ROUTE.to_owned(), spoiled)]).unwrap_err();
    let said: Vec<_> = refused.iter().map(|problem| format!("{problem}\n")).collect();
    assert_eq!(said, blocks("text")[..1]);
}

#[tokio::test]
async fn every_example_passes() {
    let folders = cases::folders(&[root().join("examples/routes")]).unwrap();
    assert!(!folders.is_empty());
    for folder in folders {
        let outcome = cases::run(&folder).await.unwrap();
        assert_eq!(outcome.differences, Vec::<String>::new(), "{}", outcome.name);
    }
}
