//! Route files become running routes: parsed, checked, built, swapped in; a file that is wrong leaves what runs as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use routes::exchange::Text;
use routes::parse::Problem;
use routes::run::Route;
use routes::{Engine, compile};

use super::revisions::{Revision, Revisions, digest};

/// How often a deployment that runs is tried to be recorded.
const RECORD_ATTEMPTS: usize = 5;
/// How many lines are kept of what is wrong with a file.
const REASONS_MAX: usize = 50;

/// The files of an engine, and what became of them.
#[derive(Debug)]
pub(crate) struct Deployment {
    engine: Engine,
    revisions: Revisions,
    state: Mutex<State>,
    /// One deployment at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, FileState>,
    /// What each route was made from.
    prints: HashMap<Text, Print>,
}

/// A file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileState {
    pub(crate) running: Option<Running>,
    pub(crate) refused: Option<Refused>,
}

/// What runs of a file.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) text: String,
    /// Nothing as long as it could not be recorded.
    pub(crate) revision: Option<Revision>,
    /// Things in it that have no effect.
    pub(crate) notes: Vec<String>,
}

/// A text that was not taken, and why.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) digest: String,
    pub(crate) at_ms: i64,
    pub(crate) reasons: Vec<String>,
}

/// What a route was made from: its file, and all that it may depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Print {
    file: Arc<str>,
    digest: String,
}

/// Files by name, and the texts that are wanted.
type Texts = BTreeMap<String, String>;

impl Deployment {
    pub(crate) fn new(engine: Engine, revisions: Revisions) -> Self {
        Self { engine, revisions, state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn revisions(&self) -> &Revisions {
        &self.revisions
    }

    /// All files, by their names.
    pub(crate) fn files(&self) -> BTreeMap<String, FileState> {
        self.state().files.clone()
    }

    /// The text of a file that runs.
    pub(crate) fn running(&self, file: &str) -> Option<String> {
        self.state().files.get(file).and_then(|file| Some(file.running.as_ref()?.text.clone()))
    }

    /// The file that a route comes from, and its revision.
    pub(crate) fn origin(&self, route: &Route) -> Option<i64> {
        self.state().files.get(&*route.plan.file)?.running.as_ref()?.revision.as_ref().map(|revision| revision.number)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a file cannot be read.
    pub(crate) fn refuse(&self, file: &str, reason: String) {
        self.note_refused(file, digest(&reason), vec![reason]);
    }

    /// Has exactly these files run; those that are wrong stay as they are.
    pub(crate) async fn apply(&self, wanted: Texts) {
        let _turn = self.turn.lock().await;
        let running: Texts = {
            let state = self.state();
            let text = |file: &FileState| file.running.as_ref().map(|running| running.text.clone());
            state.files.iter().filter_map(|(name, file)| Some((name.clone(), text(file)?))).collect()
        };
        let wanted = self.without_known_mistakes(wanted, &running);
        let mut refused = BTreeSet::new();
        let (compiled, set) = loop {
            let set = settled(&wanted, &running, &refused);
            let changed = changed(&set, &running);
            if changed.is_empty() {
                return;
            }
            match self.engine.load(&set.clone().into_iter().collect::<Vec<_>>()) {
                Ok(compiled) => break (compiled, set),
                Err(problems) => {
                    let blamed = blamed(&problems, &changed);
                    for name in &blamed {
                        let text = wanted.get(name).map(|text| digest(text)).unwrap_or_default();
                        self.note_refused(name, text, reasons(&problems, name));
                    }
                    refused.extend(blamed);
                }
            }
        };
        let changed = changed(&set, &running);
        if let Err(reason) = self.swap(&compiled, &set).await {
            for name in &changed {
                let text = set.get(name).map(|text| digest(text)).unwrap_or_default();
                self.note_refused(name, text, vec![reason.clone()]);
            }
            return;
        }
        for name in &changed {
            self.acknowledge(name, set.get(name), &compiled.notes).await;
        }
    }

    /// The wanted files without those texts that were refused already; there, what runs is wanted.
    fn without_known_mistakes(&self, mut wanted: Texts, running: &Texts) -> Texts {
        let mut state = self.state();
        for (name, file) in &mut state.files {
            let Some(refused) = &file.refused else { continue };
            let text = wanted.get(name).map(|text| digest(text)).unwrap_or_default();
            if text != refused.digest {
                file.refused = None;
                continue;
            }
            match running.get(name) {
                Some(text) => drop(wanted.insert(name.clone(), text.clone())),
                None => drop(wanted.remove(name)),
            }
        }
        state.files.retain(|_, file| file.running.is_some() || file.refused.is_some());
        wanted
    }

    async fn swap(&self, compiled: &compile::Compiled, set: &Texts) -> Result<(), String> {
        let shared: Vec<_> = compiled.shared.iter().filter_map(|file| set.get(&**file)).map(String::as_str).collect();
        let shared = digest(&shared.join("\n"));
        let print = |route: &Arc<Route>| {
            let file = Arc::clone(&route.plan.file);
            let digest = digest(&format!("{}\n{shared}", set.get(&*file).map_or("", String::as_str)));
            (route.id().clone(), Print { file, digest })
        };
        let prints: HashMap<_, _> = compiled.routes.iter().map(print).collect();
        let before = self.state().prints.clone();
        let stays = |id: &Text| before.get(id).is_some_and(|print| prints.get(id) == Some(print));
        let new = compiled.routes.iter().filter(|route| !stays(route.id())).cloned().collect();
        let old: Vec<_> = before.keys().filter(|id| !stays(id)).cloned().collect();
        let late = self.engine.swap(new, &old).await?;
        if !late.is_empty() {
            tracing::warn!(routes = ?late, "exchanges of routes that were replaced did not end in time");
        }
        self.state().prints = prints;
        Ok(())
    }

    /// Notes what runs now, records its revision and tells of it.
    async fn acknowledge(&self, name: &str, text: Option<&String>, notes: &[Problem]) {
        let notes = notes.iter().filter(|note| &*note.file == name).map(ToString::to_string).collect();
        let running = text.map(|text| Running { text: text.clone(), revision: None, notes });
        {
            let mut state = self.state();
            match running {
                Some(running) => {
                    state.files.insert(name.to_owned(), FileState { running: Some(running), refused: None });
                }
                None => drop(state.files.remove(name)),
            }
        }
        let mut outcome = self.revisions.record(name, text.map(String::as_str)).await;
        for _ in 1..RECORD_ATTEMPTS {
            if outcome.is_ok() {
                break;
            }
            outcome = self.revisions.record(name, text.map(String::as_str)).await;
        }
        match outcome {
            Ok(revision) => {
                let what = if text.is_some() { "route file is deployed" } else { "route file is taken away" };
                tracing::info!(file = name, revision = revision.number, digest = revision.digest, "{what}");
                let mut state = self.state();
                if let Some(running) = state.files.get_mut(name).and_then(|file| file.running.as_mut()) {
                    running.revision = Some(revision);
                }
            }
            // The next start finds that what runs is not what was recorded, and records it.
            Err(error) => {
                tracing::error!(
                    file = name,
                    error = eventkit::chain(&error),
                    "route file runs, and its revision could not be recorded"
                );
            }
        }
    }

    fn note_refused(&self, name: &str, digest: String, mut reasons: Vec<String>) {
        reasons.truncate(REASONS_MAX);
        let mut state = self.state();
        let file = state.files.entry(name.to_owned()).or_default();
        if file.refused.as_ref().is_some_and(|refused| refused.digest == digest) {
            return;
        }
        tracing::error!(file = name, reasons = ?reasons, "route file is refused, what ran before goes on");
        let at_ms = self.engine.core().surroundings.clock.now_ms();
        file.refused = Some(Refused { digest, at_ms, reasons });
    }
}

/// The wanted texts, but what runs where a text was refused.
fn settled(wanted: &Texts, running: &Texts, refused: &BTreeSet<String>) -> Texts {
    let mut set = wanted.clone();
    for name in refused {
        match running.get(name) {
            Some(text) => drop(set.insert(name.clone(), text.clone())),
            None => drop(set.remove(name)),
        }
    }
    set
}

/// The files whose text is another, or that are new or gone.
fn changed(set: &Texts, running: &Texts) -> BTreeSet<String> {
    let names: BTreeSet<&String> = set.keys().chain(running.keys()).collect();
    names.into_iter().filter(|name| set.get(*name) != running.get(*name)).cloned().collect()
}

/// Which of the changed files are to blame: those with errors; where only others have, all of them.
fn blamed(problems: &[Problem], changed: &BTreeSet<String>) -> BTreeSet<String> {
    let is_error = |problem: &&Problem| problem.severity == routes::parse::Severity::Error;
    let wrong = problems.iter().filter(is_error).map(|problem| problem.file.to_string());
    let wrong: BTreeSet<_> = wrong.filter(|name| changed.contains(name)).collect();
    if wrong.is_empty() { changed.clone() } else { wrong }
}

/// What is wrong with a file; what is wrong with others where it is itself right.
fn reasons(problems: &[Problem], name: &str) -> Vec<String> {
    let own = |problem: &&Problem| &*problem.file == name;
    let has_own = problems.iter().any(|problem| own(&problem));
    problems.iter().filter(|problem| !has_own || own(problem)).map(ToString::to_string).collect()
}
