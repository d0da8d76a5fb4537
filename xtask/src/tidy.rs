//! Rules of this repository that neither the compiler nor clippy knows.
//!
//! Each rule is a function from files (or from the crates' dependencies) to findings, with tests
//! beside it that show it failing and passing. A finding says what to do instead, so that nobody
//! has to look the rule up.

mod bans;
mod direction;
mod files;
mod generated;
mod links;
mod named_tests;
mod samples;
mod sizes;
mod strangers;
mod text;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use cargo_metadata::MetadataCommand;

use files::File;

/// Something that is not as it should be.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    advice: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, advice: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, advice } = self;
        write!(f, "{path}:{line}: {rule}: {advice}")
    }
}

/// Writes the description of every topic and event anew.
pub(crate) fn write_asyncapi() -> anyhow::Result<ExitCode> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cannot read the workspace with `cargo metadata`")?;
    generated::check(&[generated::ASYNCAPI], metadata.workspace_root.as_std_path(), true)?;
    Ok(ExitCode::SUCCESS)
}

/// Checks everything and prints every finding; with `write`, generated files are made anew first.
pub(crate) fn run(write: bool) -> anyhow::Result<ExitCode> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cannot read the workspace with `cargo metadata`")?;
    let root = metadata.workspace_root.as_std_path();

    let mut findings = generated::check(generated::GENERATED, root, write)?;
    findings.extend(samples::check(root)?);
    let files = files::tracked(root)?;
    let crates = direction::crates(&metadata);
    findings.extend(direction::check(&crates));
    findings.extend(sizes::check_crates(&crates, &files));
    for rule in [
        sizes::check_files,
        sizes::check_functions,
        sizes::check_bytes,
        bans::check,
        strangers::check,
        text::check_header,
        text::check_module_files,
        text::check_whitespace,
        text::check_machine_paths,
        links::check,
        named_tests::check,
    ] {
        findings.extend(rule(&files));
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));

    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}").context("cannot print a finding")?;
    }
    Ok(match findings.len() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
