//! All files of an engine together.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::check::{Element, Parsed, RouteFile, check_files};
use crate::exchange::Text;
use crate::language::{self, Source};
use crate::parse::{Mark, Problem, Problems, Severity};
use crate::run::{Core, Route};

use super::Compiled;
use super::builder::Builder;
use super::route::{self, Outside};

/// Reads, checks and builds files.
///
/// # Errors
/// With everything that is wrong with them, and the notes.
pub fn compile(core: &Core, files: &[(String, String)]) -> Result<Compiled, Vec<Problem>> {
    compile_with(core, files, &HashSet::new())
}

/// The same; where two files want one route id, one that gives way is wrong and not one that does not.
///
/// # Errors
/// With everything that is wrong with them, and the notes.
pub fn compile_with(
    core: &Core,
    files: &[(String, String)],
    gives_way: &HashSet<String>,
) -> Result<Compiled, Vec<Problem>> {
    core.components.begin();
    let mut problems = Problems::default();
    let parsed: Vec<_> = files.iter().map(|(name, text)| Parsed::new(name, text, &mut problems)).collect();
    let checked = check_files(&parsed, &core.surroundings, &core.components, &mut problems);
    let mut routes = Vec::new();
    let mut ids = Ids { taken: HashMap::new(), gives_way };
    for file in &checked {
        let mut repositories = HashMap::new();
        let mut builder = Builder::new(core, &file.file, &file.beans, &mut repositories, &mut problems);
        for source in &file.routes {
            routes.extend(build(&source.element, file, &checked, &mut ids, &mut builder));
        }
    }
    if problems.has_errors() {
        return Err(problems.into_sorted());
    }
    let notes = problems.into_sorted().into_iter().filter(|problem| problem.severity == Severity::Note).collect();
    let shared = checked.iter().filter(|file| file.is_shared).map(|file| Arc::clone(&file.file)).collect();
    Ok(Compiled { routes, shared, notes })
}

fn build<'f>(
    source: &Element,
    file: &'f RouteFile,
    all: &'f [RouteFile],
    ids: &mut Ids<'_>,
    builder: &mut Builder<'f>,
) -> Option<Arc<Route>> {
    if !is_wanted(source, builder) {
        return None;
    }
    let id = match &source.id {
        Some(id) => id.clone(),
        None => free_id(ids, builder),
    };
    ids.take(&id, source.at, builder);
    let mut policies: Vec<_> = file.on_exceptions.iter().map(|policy| (&file.file, policy)).collect();
    let mut error_handler = file.error_handler.as_ref();
    for (file, configuration) in configurations(source, all, builder) {
        let own = configuration.many("onException").iter().filter_map(|entry| entry.one("onException"));
        policies.extend(own.map(|policy| (file, policy)));
        error_handler = error_handler.or_else(|| configuration.one("errorHandler"));
    }
    route::build(source, Text::from(id), Outside { policies: &policies, error_handler }, builder)
}

/// The configurations that a route names, or those without an id; each with its file.
fn configurations<'f>(
    source: &Element,
    all: &'f [RouteFile],
    builder: &mut Builder<'_>,
) -> Vec<(&'f Arc<str>, &'f Element)> {
    let every = all.iter().flat_map(|file| file.configurations.iter().map(move |element| (&file.file, element)));
    let Some(names) = source.text("routeConfigurationId") else {
        return every.filter(|(_, element)| element.id.is_none() && is_wanted(element, builder)).collect();
    };
    let mut found = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match every.clone().find(|(_, element)| element.id.as_deref() == Some(name)) {
            Some(one) => found.extend(is_wanted(one.1, builder).then_some(one)),
            None => {
                let at = source.mark_of("routeConfigurationId");
                builder.error(at, format!("there is no routeConfiguration `{name}`"));
            }
        }
    }
    found
}

/// Whether the precondition of an element is true.
fn is_wanted(element: &Element, builder: &mut Builder<'_>) -> bool {
    let Some(text) = element.text("precondition") else { return true };
    let at: Mark = element.mark_of("precondition");
    let Some(simple) = language::find("simple") else { return true };
    let source = Source { text: text.trim(), options: &[], surroundings: &builder.core.surroundings };
    let outcome = simple
        .predicate(&source)
        .map_err(|error| error.reason)
        .and_then(|predicate| predicate.matches(&builder.core.exchange(Default::default())).map_err(|e| e.to_string()));
    outcome.unwrap_or_else(|reason| {
        builder.error(at, format!("precondition: {reason}"));
        false
    })
}

/// The ids of routes, and where they stand.
struct Ids<'g> {
    taken: HashMap<String, (Arc<str>, Mark)>,
    /// The files that are wrong if another has their id too.
    gives_way: &'g HashSet<String>,
}

impl Ids<'_> {
    fn take(&mut self, id: &str, at: Mark, builder: &mut Builder<'_>) {
        let file = Arc::clone(builder.file);
        let stays = !self.gives_way.contains(&*file);
        let Some((first, first_at)) = self.taken.insert(id.to_owned(), (file, at)) else { return };
        let message = format!("there is a route `{id}` already: route ids are unique");
        if stays && self.gives_way.contains(&*first) {
            builder.problems.error(&first, first_at, message);
        } else {
            builder.error(at, message);
        }
    }
}

fn free_id(ids: &Ids<'_>, builder: &Builder<'_>) -> String {
    let stem = Path::new(&**builder.file).file_stem().and_then(|stem| stem.to_str());
    let prefix = match stem {
        Some(stem) if builder.core.names_by_file => format!("{stem}-"),
        _ => "route".to_owned(),
    };
    let first = if builder.core.names_by_file { 1 } else { ids.taken.len() + 1 };
    let mut numbers = (first..).map(|number| format!("{prefix}{number}"));
    numbers.find(|id| !ids.taken.contains_key(id)).unwrap_or(prefix)
}
