//! Writes the support matrix anew: `cargo run -p routes --example matrix`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/routes-matrix.md");
    std::fs::write(page, routes::matrix::page())
}
