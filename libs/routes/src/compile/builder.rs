//! What steps build themselves with.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::check::{Bean, Element, EndpointText, Step, nearest};
use crate::components::Producer;
use crate::data_formats::{self, DataFormat};
use crate::exchange::Text;
use crate::parse::{Mark, Problems};
use crate::pattern::Pattern;
use crate::repository::Repository;
use crate::run::{Block, Core, Entry, Route, Starts, Stats, StepInfo, Strategy};
use crate::state::Place;

/// Builds the steps of one file.
#[derive(Debug)]
pub struct Builder<'a> {
    /// The engine.
    pub core: &'a Core,
    /// The file whose routes are being built.
    home: &'a Arc<str>,
    /// The file of what is being built: for error handling that a route takes from elsewhere, another one.
    pub(super) file: &'a Arc<str>,
    pub(super) problems: &'a mut Problems,
    pub(super) beans: &'a HashMap<String, Bean>,
    pub(super) repositories: &'a mut HashMap<String, Arc<Repository>>,
    /// The route whose steps are being built.
    pub(super) route: Text,
    /// How many steps of the route keep state and have no id.
    pub(super) nameless: usize,
    /// The ids of those that have one.
    pub(super) named: HashSet<Text>,
    /// What the steps that have been built do whenever their route starts.
    pub(super) starts: Starts,
    /// The steps of the route that is being built, in the order of the file.
    pub(super) steps: Vec<Option<Arc<StepInfo>>>,
    names: HashSet<String>,
    depth: usize,
    /// The addresses of the step that is being built.
    sends_to: Vec<Text>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        core: &'a Core,
        file: &'a Arc<str>,
        beans: &'a HashMap<String, Bean>,
        repositories: &'a mut HashMap<String, Arc<Repository>>,
        problems: &'a mut Problems,
    ) -> Self {
        Self {
            core,
            home: file,
            file,
            problems,
            beans,
            repositories,
            route: Text::EMPTY,
            nameless: 0,
            named: HashSet::new(),
            starts: Starts::default(),
            steps: Vec::new(),
            names: HashSet::new(),
            depth: 0,
            sends_to: Vec::new(),
        }
    }

    /// Begins a route: the steps of the one before are forgotten.
    pub(super) fn begin_route(&mut self, id: Text) {
        self.route = id;
        self.nameless = 0;
        self.named.clear();
        self.steps.clear();
        self.names.clear();
        self.sends_to.clear();
        self.starts = Starts::default();
    }

    /// Adds an error, unless there is one at this place already, of which this one follows.
    pub fn error(&mut self, at: Mark, message: impl Into<String>) {
        if !self.problems.has_error_at(self.file, at) {
            self.problems.error(self.file, at, message);
        }
    }

    /// Notes something that has no effect here.
    pub fn note(&mut self, at: Mark, message: impl Into<String>) {
        self.problems.note(self.file, at, message);
    }

    /// Has something done whenever the route starts in which the step stands.
    pub fn at_start(&mut self, work: impl Fn(Arc<Core>, Arc<Route>) + Send + Sync + 'static) {
        self.starts.add(work);
    }

    /// Builds steps; those that cannot be built are left out, and the errors tell of them.
    pub fn block(&mut self, steps: &[Step]) -> Block {
        Block { entries: steps.iter().filter_map(|step| self.entry(step)).collect() }
    }

    fn entry(&mut self, step: &Step) -> Option<Entry> {
        let place = self.steps.len();
        self.steps.push(None);
        let name = StepInfo::names(step).find(|name| !self.names.contains(name))?;
        self.names.insert(name.clone());
        let around = std::mem::take(&mut self.sends_to);
        self.depth += 1;
        let built = (step.kind.build)(&step.element, self);
        self.depth -= 1;
        let info = Arc::new(StepInfo {
            name: Text::from(name),
            kind: step.kind.spec.name,
            file: Arc::clone(self.file),
            line: step.element.at.line,
            depth: self.depth,
            sends_to: std::mem::replace(&mut self.sends_to, around),
            stats: Stats::default(),
        });
        self.steps[place] = Some(Arc::clone(&info));
        Some(Entry { step: built?, info: Some(info) })
    }

    /// The data format that stands in an element.
    pub fn data_format(&mut self, element: &Element) -> Option<Arc<dyn DataFormat>> {
        let format = element.data_format.as_deref()?;
        let kind = data_formats::find(format.spec.name)?;
        match (kind.build)(format) {
            Ok(format) => Some(format),
            Err(message) => {
                self.error(format.at, message);
                None
            }
        }
    }

    /// The pattern of names that an option has.
    pub(crate) fn pattern(&mut self, element: &Element, option: &str) -> Option<Pattern> {
        element.text(option).map(Pattern::new)
    }

    /// What sends to an address.
    pub fn producer(&mut self, uri: &EndpointText) -> Option<Arc<dyn Producer>> {
        match self.core.components.producer(uri, self.core) {
            Ok(producer) => {
                self.sends_to.push(Text::from(uri.name()));
                Some(producer)
            }
            Err(message) => {
                self.error(uri.at, message);
                None
            }
        }
    }

    /// The aggregation strategy that an option names: a class, or a bean.
    pub fn strategy(&mut self, element: &Element, option: &str) -> Option<Strategy> {
        let name = element.text(option)?.trim();
        let class = match name.strip_prefix("#class:").or_else(|| name.strip_prefix("#type:")) {
            Some(class) => class.to_owned(),
            None => match self.beans.get(name.strip_prefix('#').unwrap_or(name)) {
                Some(bean) => bean.class.clone(),
                None => name.to_owned(),
            },
        };
        let found = Strategy::from_class(&class);
        if found.is_none() {
            let short = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
            let names: Vec<_> = Strategy::class_names().map(short).collect();
            let message = match nearest(&short(&class), names.iter().map(String::as_str)) {
                Some(near) => format!(
                    "unknown aggregation strategy `{name}`: did you mean \
                     `#class:org.apache.camel.processor.aggregate.{near}`?"
                ),
                None => format!("unknown aggregation strategy `{name}`: known are {}", names.join(", ")),
            };
            self.error(element.mark_of(option), message);
        }
        found
    }

    /// Where a step keeps its state: under its id, or without one under its place among such steps of the route.
    pub fn place(&mut self, element: &Element, kind: &'static str) -> Place {
        let name = match &element.id {
            Some(id) => {
                let id = Text::from(id.as_str());
                if !self.named.insert(id.clone()) {
                    self.error(element.at, format!("another step of the route keeps its state under the id `{id}`"));
                }
                id
            }
            None => {
                self.nameless += 1;
                Text::from(format!("{kind}-{}", self.nameless))
            }
        };
        Place { owner: self.route.clone(), name }
    }

    /// The repository that an option names.
    pub fn repository(&mut self, element: &Element, option: &str) -> Option<Arc<Repository>> {
        let name = element.text(option)?.trim();
        let name = name.strip_prefix('#').unwrap_or(name);
        if let Some(known) = self.repositories.get(name) {
            return Some(Arc::clone(known));
        }
        let class = match name.strip_prefix("class:") {
            Some(class) => Some(class.to_owned()),
            None => self.beans.get(name).map(|bean| bean.class.clone()),
        };
        let made = class.filter(|class| class == crate::repository::MEMORY).map(|_| {
            // Routes of a file share its beans, and nobody else does: also where a step of another file names them.
            let place = Place { owner: Text::from(&**self.home), name: Text::from(name) };
            Arc::new(Repository::new(self.core.state.keys(place, self.core.limits.keys_max)))
        });
        match made {
            Some(repository) => {
                self.repositories.insert(name.to_owned(), Arc::clone(&repository));
                Some(repository)
            }
            None => {
                let message = format!(
                    "there is no repository `{name}`: declare it under `beans` with the type `{}`",
                    crate::repository::MEMORY
                );
                self.error(element.mark_of(option), message);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use crate::state::{Groups, Keys, Memory, StateStore};
    use crate::{Engine, Setup};

    use super::*;

    /// Notes for which places keys are asked for.
    #[derive(Debug, Default)]
    struct Noted(Mutex<Vec<String>>);

    impl StateStore for Noted {
        fn keys(&self, place: Place, keys_max: usize) -> Box<dyn Keys> {
            let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            noted.push(format!("{} > {}", place.owner, place.name));
            Memory.keys(place, keys_max)
        }

        fn groups(&self, place: Place) -> Box<dyn Groups> {
            Memory.groups(place)
        }
    }

    #[test]
    fn files_that_share_error_handling_do_not_share_their_keys() {
        let route = |id: &str| {
            format!(
                "- beans: [ {{ name: seen, type: {} }} ]\n\
                 - route: {{ id: {id}, from: {{ uri: \"direct:{id}\", steps: [ {{ to: \"mock:{id}\" }} ] }} }}\n",
                crate::repository::MEMORY
            )
        };
        let shared = r#"
- routeConfiguration:
    onException:
      - onException:
          exception: [ java.lang.Exception ]
          steps:
            - idempotentConsumer: { header: id, idempotentRepository: seen, steps: [ { to: "mock:told" } ] }
"#;
        let noted = Arc::new(Noted::default());
        let engine = Engine::new(Setup { state: Some(noted.clone()), ..Setup::default() });
        let files = [("a.yaml", route("a")), ("b.yaml", route("b")), ("shared.yaml", shared.to_owned())];
        engine.load(&files.map(|(name, text)| (name.to_owned(), text))).unwrap();
        assert_eq!(*noted.0.lock().unwrap(), ["a.yaml > seen", "b.yaml > seen"]);
    }
}
