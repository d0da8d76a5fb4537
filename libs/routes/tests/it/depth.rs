//! What expressions build is never nested so deeply that walking through it would overflow the stack.

use std::fmt::Write as _;

use routes::Limits;

use crate::support::{bodies, send, started};

/// What `jq` answers for a body, or why it does not.
async fn jq(program: &str) -> String {
    let written = program.replace('\'', "''");
    let route = format!(
        "- from: {{ uri: \"direct:start\", steps: [ {{ setBody: {{ jq: '{written}' }} }}, {{ to: \"mock:a\" }} ] }}\n"
    );
    let engine = started(&route, Limits::default()).await;
    let back = send(&engine, "direct:start", "{}").await;
    match back.exception() {
        Some(exception) => exception.message().unwrap().to_string(),
        None => bodies(&engine, "a").remove(0),
    }
}

#[tokio::test]
async fn a_program_cannot_nest_without_an_end() {
    for program in [
        "reduce range(100000) as $i (null; [.])",
        "reduce range(100000) as $i (null; {a: .})",
        "reduce range(100000) as $i ({}; {} + {a: .})",
        "reduce range(100000) as $i ({}; .a.a = .)",
        "reduce range(100000) as $i ([1]; group_by(0))",
        "reduce range(100000) as $i ({}; {a: to_entries})",
        "reduce range(100000) as $i ({}; . as $before | .a |= $before)",
        "last(foreach range(100000) as $i (null; [.]))",
        "null | until(false; [.])",
        "[1] | .[range(100000) | 0] |= [.]",
    ] {
        let said = jq(program).await;
        assert!(said.contains("more than 256 deep"), "{program}: {said}");
    }
}

#[tokio::test]
async fn depth_up_to_the_limit_is_fine_and_goes_again() {
    assert_eq!(jq("reduce range(250) as $i (null; [.]) | tojson | length").await, "504");
    assert_eq!(jq("reduce range(1000) as $i ({}; {a: .} | del(.a) | .b = {} | .b = 1) | .b").await, "1");
    assert_eq!(jq("reduce range(1000) as $i ([[]]; .[0] = [[]]) | length").await, "1");
}

#[tokio::test]
async fn long_objects_and_patterns_do_not_overflow() {
    let (mut object, mut pattern) = ("{".to_owned(), "[1] as [".to_owned());
    for n in 0..1_000 {
        write!(object, "a{n}: 1, ").unwrap();
        write!(pattern, "$a{n}, ").unwrap();
    }
    for program in [format!("{object}z: 1}}"), format!("{pattern}$z] | $z")] {
        let said = jq(&program).await;
        assert!(said.contains("more than 256 deep"), "{said}");
    }
}

#[tokio::test]
async fn a_loop_around_what_nests_ends() {
    let engine = started(
        r#"
- from: { uri: "direct:body", steps: [ { loop: { constant: "100000", steps: [ { setBody: { jq: "[.]" } } ] } } ] }
"#,
        Limits { turns_max: 200_000, ..Limits::default() },
    )
    .await;
    let back = send(&engine, "direct:body", "[1]").await;
    let said = back.exception().map(|exception| exception.to_string()).unwrap_or_default();
    assert!(said.contains("more than 256 deep"), "{said}");
}
