//! The support matrix is what the code would make it now.

use std::path::Path;

#[test]
fn the_matrix_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/routes-matrix.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == routes::matrix::page(), "it is stale: run `cargo run -p routes --example matrix`");
}
