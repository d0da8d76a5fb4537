//! Case folders: a route file, what is sent to it, and what is to come of it.
//!
//! A folder has `route.yaml`, `input.json` and `expected.json`, in a form that Apache Camel can answer
//! too (`compat/camel`); `routes.txt` in the place of `route.yaml` names route files that stand elsewhere.

mod compare;
mod input;
mod record;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value as Json};
use tokio::time::{Instant, sleep};

use crate::components::{ComponentSpec, StandIn};
use crate::exchange::{Exchange, Pattern};
use crate::parse::Severity;
use crate::run::{Engine, Limits, Setup};

use input::Input;

/// What came of a case.
#[derive(Debug)]
pub struct Outcome {
    /// The name of the folder.
    pub name: String,
    /// How what came differs from what was to come; none means that the case passes.
    pub differences: Vec<String>,
}

/// Why a case could not be run at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the folder could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the folder is not what it has to be.
    #[error("{} is not what a case has to be: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The file that names route files which stand elsewhere.
const LIST: &str = "routes.txt";

/// The longest a case may take to come to rest.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// The folders with cases: those given that are one, and those directly inside of the others.
///
/// # Errors
/// If a folder cannot be read.
pub fn folders(given: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let is_case = |path: &Path| path.join("route.yaml").is_file() || path.join(LIST).is_file();
    let mut found = Vec::new();
    for path in given {
        if is_case(path) {
            found.push(path.clone());
            continue;
        }
        let read = |source| Error::Read { path: path.clone(), source };
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(read)? {
            inside.push(entry.map_err(read)?.path());
        }
        inside.retain(|path| is_case(path));
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

/// Runs one case.
///
/// # Errors
/// If its files cannot be read; what comes of the routes is never an error.
pub async fn run(folder: &Path) -> Result<Outcome, Error> {
    run_with(folder, &[]).await
}

/// Runs one case, with stand-ins for these components beside those that the engine knows.
///
/// # Errors
/// Those of [`run`].
pub async fn run_with(folder: &Path, specs: &[&'static ComponentSpec]) -> Result<Outcome, Error> {
    let files = route_files(folder)?;
    let input = Input::new(&json(&folder.join("input.json"))?)
        .map_err(|reason| Error::Malformed { path: folder.join("input.json"), reason })?;
    let expected = json(&folder.join("expected.json"))?;
    let actual = answer(&files, specs, &input).await;
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
    Ok(Outcome { name, differences: compare::differences(&expected, &actual, &input) })
}

/// The route files of a case: `route.yaml`, or those that `routes` names, each in a line and from the folder on.
fn route_files(folder: &Path) -> Result<Vec<(String, String)>, Error> {
    let route = folder.join("route.yaml");
    if route.is_file() {
        return Ok(vec![("route.yaml".to_owned(), read(&route)?)]);
    }
    let listed = read(&folder.join(LIST))?;
    let names = listed.lines().map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| Ok((name.to_owned(), read(&folder.join(name))?))).collect()
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn json(path: &Path) -> Result<Json, Error> {
    serde_json::from_str(&read(path)?)
        .map_err(|error| Error::Malformed { path: path.to_owned(), reason: error.to_string() })
}

/// What came of the routes.
#[derive(Debug, Default)]
struct Answer {
    /// Why they were refused, if they were.
    refusals: Vec<String>,
    /// What became of each message.
    results: Vec<Json>,
    /// What each `mock:` endpoint got.
    endpoints: Map<String, Json>,
    /// Calls that took too long, or not long enough.
    timing: Vec<String>,
}

async fn answer(files: &[(String, String)], specs: &[&'static ComponentSpec], input: &Input) -> Answer {
    let engine = Engine::new(Setup {
        components: StandIn::all(specs, &input.answers),
        properties: input.properties.clone(),
        limits: Limits { stop_ms: 1_000, ..Limits::default() },
        ..Setup::default()
    });
    let refused = |reason: String| Answer { refusals: vec![reason], ..Answer::default() };
    let compiled = match engine.load(files) {
        Ok(compiled) => compiled,
        Err(problems) => {
            let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
            return Answer { refusals: errors.map(ToString::to_string).collect(), ..Answer::default() };
        }
    };
    let Some(mocks) = engine.core().components.mocks().cloned() else {
        return refused("there is no component `mock`".to_owned());
    };
    mocks.record();
    if let Err(reason) = engine.start(compiled).await {
        return refused(reason);
    }
    let mut answer = Answer::default();
    for (number, message) in input.messages.iter().enumerate() {
        sleep(message.delay).await;
        let mut exchange = engine.core().exchange(message.message());
        exchange.pattern = message.pattern;
        for (name, value) in &message.properties {
            exchange.properties.insert(name.clone(), value.clone());
        }
        let begun = Instant::now();
        let back = engine.send(&message.to, exchange).await;
        let took = begun.elapsed();
        if took < message.min || message.max.is_some_and(|max| took > max) {
            answer.timing.push(format!("message {number} took {} ms", took.as_millis()));
        }
        answer.results.push(record::result(&back, message.pattern, input));
    }
    settle(&mocks, input.settle).await;
    let before = mocks.received();
    engine.stop().await;
    let received = if input.stops { mocks.received() } else { before };
    for (name, exchanges) in received {
        let list = exchanges.iter().map(|exchange| record::received(exchange, input)).collect();
        // What is stood in for has its own address.
        let address = if name.contains(':') { name } else { format!("mock:{name}") };
        answer.endpoints.insert(address, Json::Array(list));
    }
    answer
}

/// Waits until no endpoint got anything for a while.
async fn settle(mocks: &crate::components::Mocks, quiet: Duration) {
    let limit = Instant::now() + SETTLE_MAX;
    let mut before = None;
    while Instant::now() < limit {
        let count = mocks.count();
        if before == Some(count) {
            return;
        }
        before = Some(count);
        sleep(quiet).await;
    }
}

/// Whether a result has the answer's message too.
fn has_answer(exchange: &Exchange, pattern: Pattern) -> bool {
    pattern == Pattern::InOut && !exchange.is_failed()
}
