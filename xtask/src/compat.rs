//! Runs the client programs of `compat/` against the embedded broker and against Apache Kafka, with
//! the same expectations on both, and compares what passes with what has to.

mod broker;
mod family;
mod verdict;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;
use clap::{Args, ValueEnum};

use broker::{Broker, Kind};
use family::{Family, Readiness};
use verdict::{MustPass, Results};

/// Which cases have to pass, from the root of the repository.
const MUST_PASS: &str = "compat/MUST_PASS.txt";
/// With this variable set, nothing may be left out.
const REQUIRED_VARIABLE: &str = "REQUIRE_INFRA";

/// What is run against what.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The brokers to run against
    #[arg(long, value_enum, default_value_t = Which::Both)]
    broker: Which,
    /// A family of clients, by its folder in compat/; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    family: Vec<String>,
    /// Only the cases with this in their name; nothing is compared with what has to pass
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Add what passed on both brokers to the list of what has to pass
    #[arg(long, conflicts_with = "case")]
    add: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Which {
    Embedded,
    Kafka,
    Both,
}

impl Which {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Embedded => &[Kind::Embedded],
            Self::Kafka => &[Kind::Kafka],
            Self::Both => &[Kind::Embedded, Kind::Kafka],
        }
    }
}

/// Runs the chosen families against the chosen brokers.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("cannot read the workspace with `cargo metadata`")?;
    let root = metadata.workspace_root.as_std_path();
    let path = root.join(MUST_PASS);
    let mut must_pass = MustPass::parse(&std::fs::read_to_string(&path).context(MUST_PASS)?)?;
    let is_required = variable(REQUIRED_VARIABLE).is_some();

    let place =
        Place { root: root.to_owned(), programs: metadata.target_directory.join("debug").into(), cache: cache()? };
    let mut families = Vec::new();
    for family in Family::all(root, &options.family)? {
        match family.prepare(&place.cache)? {
            Readiness::Ready => families.push(family),
            Readiness::Missing(what) => {
                ensure!(!is_required, "{}: {what}", family.name);
                say(&format!("left out: {}: {what}", family.name))?;
            }
        }
    }
    let mut results = Results::default();
    for kind in options.broker.kinds() {
        if let Some(what) = kind.missing() {
            ensure!(!is_required, "{}: {what}", kind.name());
            say(&format!("left out: {}: {what}", kind.name()))?;
            continue;
        }
        results.extend(run_against(*kind, &families, &place, options.case.as_deref())?);
    }
    say(&results.table())?;
    if options.case.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    if options.add && options.broker == Which::Both {
        must_pass.add(&results);
        std::fs::write(&path, must_pass.to_string()).context(MUST_PASS)?;
    }
    let ran: Vec<&str> = families.iter().map(|family| family.name.as_str()).collect();
    let findings = must_pass.check(&results, &ran);
    for finding in &findings {
        say(finding)?;
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where things are on this machine.
#[derive(Debug)]
struct Place {
    root: PathBuf,
    /// Where cargo puts what it built.
    programs: PathBuf,
    /// What is fetched once and kept.
    cache: PathBuf,
}

/// One broker for all families, each of which gets topics of its own.
fn run_against(kind: Kind, families: &[Family], place: &Place, case: Option<&str>) -> anyhow::Result<Results> {
    let mut results = Results::default();
    if families.is_empty() {
        return Ok(results);
    }
    let broker = Broker::start(kind, place)?;
    for family in families {
        say(&format!("{} against {}", family.name, kind.name()))?;
        let outcomes: BTreeMap<String, verdict::Outcome> = family.run(&broker.addresses, &place.cache, case)?;
        results.record(kind.name(), &family.name, outcomes);
    }
    Ok(results)
}

/// Where fetched libraries and tools are kept, as by `.ci/run`.
fn cache() -> anyhow::Result<PathBuf> {
    let base = match variable("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(&variable("HOME").context("HOME is not set")?).join(".cache"),
    };
    Ok(base.join("techleet"))
}

#[allow(
    clippy::disallowed_methods,
    reason = "tasks have no configuration: where the caches are, the user's session says"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether a program of this name is in the PATH.
fn is_installed(program: &str) -> bool {
    let path = variable("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{line}").context("cannot print")
}
