//! `techleet routes`: files of routes are checked and tested without a running system, and a running container's are
//! listed, looked at and steered.

mod look;
mod operate;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use chassis::Settings;
use routes::components::{Answers, StandIn};
use routes::{Engine, Setup, cases};

use crate::cli::RoutesCommand;
use crate::exit::{self, Class};
use crate::output;

/// Runs the command.
///
/// # Errors
/// A file is wrong, a case fails, or something cannot be read.
pub(crate) async fn run(
    command: RoutesCommand,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
) -> anyhow::Result<()> {
    match command {
        RoutesCommand::Check { files, property } => check(&files, &property),
        RoutesCommand::Test { folders } => test(&folders).await,
        RoutesCommand::List { output } => operate::list(&settings()?, output).await,
        RoutesCommand::Show { route, output } => look::show(&settings()?, &route, output).await,
        RoutesCommand::Stats { route, output } => look::stats(&settings()?, route.as_deref(), output).await,
        RoutesCommand::Trace { route, count, timeout_ms, output } => {
            let timeout = Duration::from_millis(timeout_ms);
            look::trace(&settings()?, &route, usize::from(count), timeout, output).await
        }
        RoutesCommand::Start { route } => operate::control(&settings()?, &route, "start").await,
        RoutesCommand::Stop { route } => operate::control(&settings()?, &route, "stop").await,
        RoutesCommand::Suspend { route } => operate::control(&settings()?, &route, "suspend").await,
        RoutesCommand::Resume { route } => operate::control(&settings()?, &route, "resume").await,
        RoutesCommand::Revisions { file, text, output } => operate::revisions(&settings()?, &file, text, output).await,
        RoutesCommand::Rollback { file, to } => operate::roll_back(&settings()?, &file, to).await,
    }
}

fn check(paths: &[PathBuf], property: &[String]) -> anyhow::Result<()> {
    let components = StandIn::all(container::component_specs(), &Answers::default());
    let mut setup = Setup { components, names_by_file: true, ..Setup::default() };
    for pair in property {
        let (name, value) = pair
            .split_once('=')
            .with_context(|| format!("--property {pair}: write it as NAME=VALUE"))
            .map_err(exit::usage)?;
        setup.properties.insert(name.to_owned(), value.to_owned());
    }
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))
            .map_err(exit::usage)?;
        files.push((path.display().to_string(), text));
    }
    match Engine::new(setup).load(&files) {
        Ok(compiled) => {
            compiled.notes.iter().try_for_each(|note| output::line(&note.to_string()))?;
            let count = compiled.routes.len();
            output::line(&format!("{count} {}", if count == 1 { "route is right" } else { "routes are right" }))
        }
        Err(problems) => {
            problems.iter().try_for_each(|problem| output::line(&problem.to_string()))?;
            Err(exit::silent(Class::CheckFailed))
        }
    }
}

async fn test(given: &[PathBuf]) -> anyhow::Result<()> {
    let folders = cases::folders(given).map_err(exit::usage)?;
    if folders.is_empty() {
        let hint = "there is no case here: a case is a folder with route.yaml, input.json and expected.json";
        return Err(exit::usage(anyhow::Error::msg(hint)));
    }
    let (mut passed, mut failed) = (0, 0);
    for folder in &folders {
        let outcome = cases::run_with(folder, container::component_specs()).await.map_err(exit::usage)?;
        if outcome.differences.is_empty() {
            passed += 1;
            output::line(&format!("PASS {}", outcome.name))?;
            continue;
        }
        failed += 1;
        output::line(&format!("FAIL {}", outcome.name))?;
        for difference in &outcome.differences {
            output::line(&format!("    {}", difference.replace('\n', "\n    ")))?;
        }
    }
    output::line(&format!("{passed} passed, {failed} failed"))?;
    if failed > 0 { Err(exit::silent(Class::CheckFailed)) } else { Ok(()) }
}
