//! Route files become running routes: parsed, checked, built, swapped in; a file that is wrong leaves what runs as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use routes::exchange::Text;
use routes::parse::Problem;
use routes::run::{Route, SwapError};
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

/// Files by name, and what is wrong with them.
type Reasons = BTreeMap<String, Vec<String>>;

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

    /// The revision of its file that a route comes from.
    pub(crate) fn origin(&self, route: &Route) -> Option<Revision> {
        self.state().files.get(&*route.plan.file)?.running.as_ref()?.revision.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has exactly these files run; those that are wrong, and those that cannot be read, stay as they are.
    ///
    /// What was refused is tried every time: what was in its way may have passed.
    pub(crate) async fn apply(&self, wanted: Texts, unreadable: BTreeMap<String, String>) {
        let _turn = self.turn.lock().await;
        let running: Texts = {
            let state = self.state();
            let text = |file: &FileState| file.running.as_ref().map(|running| running.text.clone());
            state.files.iter().filter_map(|(name, file)| Some((name.clone(), text(file)?))).collect()
        };
        let gives_way = self.giving_way(&wanted, &running).await;
        let mut refused: Reasons = unreadable.into_iter().map(|(name, reason)| (name, vec![reason])).collect();
        loop {
            let set = settled(&wanted, &running, &refused);
            let changed = changed(&set, &running);
            if changed.is_empty() {
                break;
            }
            match self.deploy(&set, &changed, &gives_way).await {
                Ok(notes) => {
                    for name in &changed {
                        self.acknowledge(name, set.get(name), &notes).await;
                    }
                    break;
                }
                Err(wrong) => refused.extend(wrong),
            }
        }
        self.note_refused(&wanted, refused);
    }

    /// The files that are wrong where another one wants the same name: those that are new. What runs, what TechLeet
    /// brings and what ran before a restart does not give way to them.
    async fn giving_way(&self, wanted: &Texts, running: &Texts) -> HashSet<String> {
        let mut gives_way = HashSet::new();
        for (name, text) in wanted {
            let is_built_in = super::BUILT_IN.iter().any(|(known, built_in)| known == name && built_in == text);
            if is_built_in || running.get(name) == Some(text) {
                continue;
            }
            // If it is not known what ran before, nothing gives way for it.
            let before =
                if running.contains_key(name) { None } else { self.revisions.latest(name).await.ok().flatten() };
            if before.is_none_or(|before| before.text.as_ref() != Some(text)) {
                gives_way.insert(name.clone());
            }
        }
        gives_way
    }

    /// Has these files run instead of what runs; if not, at least one of the changed ones is to blame. With the notes
    /// about the files.
    async fn deploy(
        &self,
        set: &Texts,
        changed: &BTreeSet<String>,
        gives_way: &HashSet<String>,
    ) -> Result<Vec<Problem>, Reasons> {
        let files = set.clone().into_iter().collect();
        let mut compiled = self.engine.load_beside(files, gives_way.clone()).await.map_err(|problems| {
            let blamed = blamed(&problems, changed).into_iter();
            blamed.map(|name| (name.clone(), reasons(&problems, &name))).collect::<Reasons>()
        })?;
        // Of two that want one name, the first has it.
        compiled.routes.sort_by_key(|route| gives_way.contains(&*route.plan.file));
        match self.swap(&compiled, set).await {
            Ok(()) => Ok(compiled.notes),
            Err(error) => {
                let blamed = unstarted(&compiled, &error.route, changed).into_iter();
                Err(blamed.map(|name| (name, vec![error.reason.clone()])).collect())
            }
        }
    }

    async fn swap(&self, compiled: &compile::Compiled, set: &Texts) -> Result<(), SwapError> {
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
            tracing::warn!(routes = ?late, "exchanges of routes that were replaced did not end in time and were cut off");
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

    /// Notes which files are refused now, and tells what is new of it; all others are not refused any more.
    fn note_refused(&self, wanted: &Texts, refused: Reasons) {
        let at_ms = self.engine.core().surroundings.clock.now_ms();
        let mut state = self.state();
        for (_, file) in state.files.iter_mut().filter(|(name, _)| !refused.contains_key(*name)) {
            file.refused = None;
        }
        for (name, mut reasons) in refused {
            reasons.truncate(REASONS_MAX);
            let digest = wanted.get(&name).map(|text| digest(text)).unwrap_or_default();
            let file = state.files.entry(name.clone()).or_default();
            if file.refused.as_ref().is_some_and(|known| known.digest == digest && known.reasons == reasons) {
                continue;
            }
            tracing::error!(file = name, reasons = ?reasons, "route file is refused, what ran before goes on");
            file.refused = Some(Refused { digest, at_ms, reasons });
        }
        state.files.retain(|_, file| file.running.is_some() || file.refused.is_some());
    }
}

/// The wanted texts, but what runs where a text was refused.
fn settled(wanted: &Texts, running: &Texts, refused: &Reasons) -> Texts {
    let mut set = wanted.clone();
    for name in refused.keys() {
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

/// Which of the changed files are to blame for a route that cannot start: its own; else those on which it may depend.
fn unstarted(compiled: &compile::Compiled, route: &Text, changed: &BTreeSet<String>) -> BTreeSet<String> {
    let own = compiled.routes.iter().find(|known| known.id() == route).map(|route| route.plan.file.to_string());
    if let Some(own) = own.filter(|own| changed.contains(own)) {
        return BTreeSet::from([own]);
    }
    let shared: BTreeSet<_> = compiled.shared.iter().map(ToString::to_string).collect();
    let shared: BTreeSet<_> = shared.intersection(changed).cloned().collect();
    if shared.is_empty() { changed.clone() } else { shared }
}

/// What is wrong with a file; what is wrong with others where it is itself right.
fn reasons(problems: &[Problem], name: &str) -> Vec<String> {
    let own = |problem: &&Problem| &*problem.file == name;
    let has_own = problems.iter().any(|problem| own(&problem));
    problems.iter().filter(|problem| !has_own || own(problem)).map(ToString::to_string).collect()
}
