//! What is wrong with a file is told all at once, each with its place and what would be right.

use routes::{Engine, Setup};

fn problems(route: &str) -> Vec<String> {
    let engine = Engine::new(Setup::default());
    match engine.load(&[("a.yaml".to_owned(), route.to_owned())]) {
        Ok(compiled) => compiled.notes.iter().map(ToString::to_string).collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[tokio::test]
async fn all_mistakes_of_a_file_are_told_at_once() {
    let found = problems(
        r#"- from:
    uri: direct:start
    steps:
      - set-body:
          constant: x
      - split:
          simple: "${body}"
          streamming: true
          steps:
            - to: mok:x
      - saga: {}
      - setHeader: { name: a, groovy: "1" }
      - setBody: { simple: "${bdy}" }
      - to: timer:x
      - throwException: { exceptionType: java.lang.IlegalStateException }
      - marshal: { jsn: {} }
      - loop: { constant: "3", copy: perhaps }
      - to: "mock:{{nothing}}"
"#,
    );
    let expected = [
        "a.yaml:4:9: error: unknown step `set-body`: did you mean `setBody`?",
        "a.yaml:8:11: error: unknown option of `split`: `streamming`: did you mean `streaming`?",
        "a.yaml:10:19: error: unknown component `mok`: did you mean `mock`?",
        "a.yaml:11:9: error: step `saga` is not supported: long-running work with compensation belongs into a workflow",
        "a.yaml:12:31: error: language `groovy` is not supported: use `simple`, `jq` or `jsonpath`",
        "a.yaml:14:13: error: `timer:` cannot stand in `to`: it is only for `from`",
        "a.yaml:15:42: error: unknown exception class `java.lang.IlegalStateException`: did you mean \
         `java.lang.IllegalStateException`?",
        "a.yaml:16:20: error: unknown data format `jsn`: did you mean `json`?",
        "a.yaml:17:38: error: `copy` is `true` or `false`, and not `perhaps`",
        "a.yaml:18:13: error: placeholder `{{nothing}}` has no value: set the property `nothing`, or write \
         `{{nothing:default}}`",
    ];
    for line in expected {
        assert!(found.iter().any(|problem| problem == line), "{line}\nis not among\n{}", found.join("\n"));
    }
    let simple = found.iter().find(|problem| problem.starts_with("a.yaml:13:")).unwrap();
    assert!(simple.contains("body"), "{simple}");
    assert_eq!(found.len(), expected.len() + 1, "{}", found.join("\n"));
}

#[tokio::test]
async fn a_step_has_one_data_format() {
    let found = problems(r#"- from: { uri: "direct:a", steps: [ { marshal: { json: {}, base64: {} } } ] }"#);
    assert_eq!(found, ["a.yaml:1:60: error: `marshal` has two data formats: leave one out"]);
}

#[tokio::test]
async fn options_without_effect_are_noted() {
    let found = problems(
        "- from: { uri: \"direct:start\", steps: [ { unmarshal: { json: { library: Gson } } }, { to: \"seda:x?pollTimeout=5\" } ] }\n",
    );
    assert_eq!(
        found,
        [
            "a.yaml:1:64: note: `library` of `json` has no effect here: there is one JSON here",
            "a.yaml:1:91: note: option `pollTimeout` of `seda:` has no effect here: the queue wakes the route",
        ]
    );
}

#[tokio::test]
async fn a_template_that_nobody_uses_is_checked_too() {
    let found = problems(
        "- routeTemplate:\n    id: t\n    parameters: [ { name: n } ]\n    from: { uri: \"direct:{{n}}\", steps: [ { tto: \"mock:{{n}}\" } ] }\n",
    );
    assert_eq!(found, ["a.yaml:4:45: error: unknown step `tto`: did you mean `to`?"]);
}

#[tokio::test]
async fn an_error_behind_a_hundred_notes_is_told() {
    let noted = "      - to: \"seda:x?pollTimeout=5\"\n".repeat(120);
    let file = format!("- from:\n    uri: direct:start\n    steps:\n{noted}      - tto: mock:x\n");
    let found = problems(&file);
    assert!(found.contains(&"a.yaml:124:9: error: unknown step `tto`: did you mean `to`?".to_owned()), "{found:?}");
    assert_eq!(found.len(), 101);
    assert!(found[100].ends_with("note: … and 21 more"), "{}", found[100]);
}

#[tokio::test]
async fn errors_beyond_those_that_are_kept_are_counted() {
    let wrong = "      - tto: mock:x\n".repeat(150);
    let found = problems(&format!("- from:\n    uri: direct:start\n    steps:\n{wrong}"));
    assert_eq!(found.len(), 101);
    assert!(found[100].ends_with("error: … and 50 more"), "{}", found[100]);
}

#[tokio::test]
async fn what_would_have_no_effect_is_refused() {
    let found = problems(
        r##"- from:
    uri: direct:start
    steps:
      - loop: { constant: "3", breakOnShutdown: true, steps: [ { to: "mock:a" } ] }
      - loop: { constant: "3", breakOnShutdown: false, disabled: true, steps: [ { to: "mock:a" } ] }
      - choice:
          when:
            - { simple: "${body}", disabled: true, steps: [ { to: "mock:b" } ] }
          otherwise: { disabled: false, steps: [ { to: "mock:c" } ] }
      - aggregate:
          correlationExpression: { simple: "${header.k}", jq: ".k" }
          aggregationStrategy: "#class:org.apache.camel.processor.aggregate.GroupedBodyAggregationStrategy"
          completionSize: 2
"##,
    );
    assert_eq!(
        found,
        [
            "a.yaml:4:49: error: `breakOnShutdown: true` is not supported: a route stops when its loops have ended; \
             take it out",
            "a.yaml:8:46: error: `disabled` of `when` is not supported: only a step can be disabled",
            "a.yaml:11:59: error: there is an expression in `simple` already, and here is `jq`: leave one out",
        ]
    );
}
