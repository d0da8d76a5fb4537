//! The support matrix is what the code would make it now, and what is missing of Camel's second tier is told.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_matrix_page_is_fresh() {
    let found = page("routes-matrix.md");
    assert!(found == routes::matrix::page(), "it is stale: run `cargo run -p routes --example matrix`");
}

/// What should work and does not have to: entries and kinds of files, steps, languages, components, data formats.
const TIER_2: &[&[&str]] = &[
    &["routeTemplate", "templatedRoute", "kind: Pipe", "kind: Integration", "rest", "restConfiguration"],
    &["intercept", "interceptFrom", "interceptSendToEndpoint", "onCompletion"],
    &["bean", "process", "script", "claimCheck", "pollEnrich", "convertHeaderTo", "convertVariableTo", "dynamicRouter"],
    &["loadBalance", "poll", "resequence", "rollback", "routingSlip", "sample", "setExchangePattern", "setVariables"],
    &["sort", "threads", "tokenizer"],
    &["language", "ref", "method", "wasm", "csimple"],
    &["sql", "redis"],
    &["csv", "yaml", "base64", "avro", "protobuf", "gzipDeflater", "zipDeflater", "zipFile", "jacksonXml"],
];

#[test]
fn each_name_of_the_second_tier_is_there_or_a_gap_with_its_reason() {
    let names: BTreeSet<&str> = TIER_2.iter().copied().flatten().copied().collect();
    let matrix = routes::matrix::page();
    let headings = matrix.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let there: BTreeSet<&str> = headings.map(|name| name.split(':').next().unwrap()).collect();
    let gaps = page("gaps.md");
    let section = gaps.split("### Names of Camel's second tier that are not there").nth(1).unwrap();
    let rows = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let mut missing = BTreeSet::new();
    for row in rows {
        let [_, first, reason, _]: [&str; 4] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
        assert!(reason.trim().len() > 10, "{row}");
        missing.extend(first.split('`').skip(1).step_by(2));
    }
    let told: BTreeSet<&str> =
        there.iter().copied().filter(|name| names.contains(name)).chain(missing.clone()).collect();
    assert_eq!(told, names);
    assert_eq!(there.intersection(&missing).collect::<Vec<_>>(), [&""; 0]);
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap_or_default()
}
