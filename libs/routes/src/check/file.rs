//! A whole file: what stands at its top.

use std::collections::HashMap;
use std::sync::Arc;

use crate::compile::{ERROR_HANDLER, ON_EXCEPTION};
use crate::components::{Components, Side};
use crate::language::Surroundings;
use crate::parse::{self, Mark, Name, Node, NodeKind, Problems};

use super::element::{Element, Given};
use super::known;
use super::placeholders::Scope;
use super::reader::Checker;
use super::spec::{OptionSpec, Spec, Takes};
use super::suggest::unknown;
use super::template::{Kamelets, TEMPLATE, TEMPLATED, Templates};

/// A checked file.
#[derive(Debug, Default)]
pub struct RouteFile {
    /// Its name.
    pub file: Arc<str>,
    /// Its routes, those made from templates included.
    pub routes: Vec<RouteSource>,
    /// What `onException` at the top says, for all routes of the file.
    pub on_exceptions: Vec<Element>,
    /// What `errorHandler` at the top says, for all routes of the file.
    pub error_handler: Option<Element>,
    /// Configurations that routes of all files may use.
    pub configurations: Vec<Element>,
    /// What `beans` declares.
    pub beans: HashMap<String, Bean>,
    /// Whether routes of other files may depend on it: it has configurations or templates.
    pub is_shared: bool,
}

/// A route of a file.
#[derive(Debug)]
pub struct RouteSource {
    /// What the file says of it; a `from` alone is one without options.
    pub element: Element,
}

/// A bean: only classes that are known here.
#[derive(Debug, Clone)]
pub struct Bean {
    /// Its Java class.
    pub class: String,
    /// Where it is declared.
    pub at: Mark,
}

/// `from`.
pub(crate) static FROM: Spec = Spec {
    name: "from",
    about: "Where a route takes its exchanges from",
    options: &[
        OptionSpec::required("uri", Takes::Uri(Side::From), "the address, for example `direct:start`"),
        OptionSpec::new("parameters", Takes::Parameters, "options of the address"),
        OptionSpec::required("steps", Takes::Steps, "what is done with each exchange"),
        OptionSpec::refused("variableReceive", "use `setVariable` as the first step"),
    ],
    ..Spec::EMPTY
};

/// `route`.
pub(crate) static ROUTE: Spec = Spec {
    name: "route",
    about: "A source and its steps",
    options: &[
        OptionSpec::required("from", Takes::One(&FROM), "the source, with the steps"),
        OptionSpec::new("group", Takes::Text, "a name for several routes together"),
        OptionSpec::new("autoStartup", Takes::Bool, "whether it starts with the others (true)"),
        OptionSpec::new("startupOrder", Takes::Integer(0, i64::MAX), "routes with smaller numbers start earlier"),
        OptionSpec::new("precondition", Takes::Text, "a condition in `simple`; the route exists only if it is true"),
        OptionSpec::new("routeConfigurationId", Takes::Text, "the configurations it uses, with commas"),
        OptionSpec::new("errorHandler", Takes::One(&ERROR_HANDLER), "what happens to exchanges that fail"),
        OptionSpec::meaningless("nodePrefixId", "ids are shown as they stand in the file"),
        OptionSpec::unused("streamCache", &Takes::Bool, "bodies can be read as often as needed"),
        OptionSpec::unused("trace", &Takes::Bool, "tracing is switched on while routes run"),
        OptionSpec::unused("logMask", &Takes::Bool, "logs show bodies only where a step says so"),
        OptionSpec::unused("messageHistory", &Takes::Bool, "tracing is switched on while routes run"),
        OptionSpec::unused(
            "shutdownRoute",
            &Takes::OneOf(&["Default", "Defer"]),
            "routes stop in the opposite order of their start",
        ),
        OptionSpec::unused(
            "shutdownRunningTask",
            &Takes::OneOf(&["CompleteCurrentTaskOnly", "CompleteAllTasks"]),
            "what is under way always ends",
        ),
        OptionSpec::refused("routePolicyRef", "start and stop routes with `techleet routes`"),
        OptionSpec::refused("inputType", "use `convertBodyTo`, `unmarshal` or `validate`"),
        OptionSpec::refused("outputType", "use `convertBodyTo`, `marshal` or `validate`"),
        OptionSpec::refused("errorHandlerRef", "write `errorHandler` with its options"),
    ],
    ..Spec::EMPTY
};

/// `routeConfiguration`.
pub(crate) static CONFIGURATION: Spec = Spec {
    name: "routeConfiguration",
    about: "Error handling for routes of all files",
    options: &[
        OptionSpec::new("onException", Takes::Many(&ON_EXCEPTION_ENTRY), "what is done with exceptions"),
        OptionSpec::new("errorHandler", Takes::One(&ERROR_HANDLER), "what happens to exchanges that fail"),
        OptionSpec::new("precondition", Takes::Text, "a condition in `simple`; it exists only if it is true"),
        OptionSpec::refused("intercept", "put the steps where they are needed"),
        OptionSpec::refused("interceptFrom", "put the steps at the beginning of the route"),
        OptionSpec::refused("interceptSendToEndpoint", "put the steps before the `to`"),
        OptionSpec::refused("onCompletion", "use `doTry` with `doFinally`, or `onException`"),
        OptionSpec::refused("errorHandlerRef", "write `errorHandler` with its options"),
    ],
    ..Spec::EMPTY
};

const CLASS_ONLY: &str = "a bean here is its class";

/// `beans`.
static BEANS: Spec = Spec {
    name: "beans",
    about: "Things with names: only those whose class stands at the end of this page",
    options: &[
        OptionSpec::required("name", Takes::Text, "the name"),
        OptionSpec::required("type", Takes::Text, "the class"),
        OptionSpec::refused("properties", CLASS_ONLY),
        OptionSpec::refused("constructors", CLASS_ONLY),
        OptionSpec::refused("builderClass", CLASS_ONLY),
        OptionSpec::refused("builderMethod", CLASS_ONLY),
        OptionSpec::refused("factoryBean", CLASS_ONLY),
        OptionSpec::refused("factoryMethod", CLASS_ONLY),
        OptionSpec::refused("initMethod", CLASS_ONLY),
        OptionSpec::refused("destroyMethod", CLASS_ONLY),
        OptionSpec::refused("script", CLASS_ONLY),
        OptionSpec::refused("scriptLanguage", CLASS_ONLY),
        OptionSpec::refused("scriptPropertyPlaceholders", CLASS_ONLY),
    ],
    ..Spec::EMPTY
};

/// What may stand at the top of a file.
pub fn top_level_specs() -> &'static [&'static Spec] {
    static SPECS: &[&Spec] =
        &[&FROM, &ROUTE, &ON_EXCEPTION, &ERROR_HANDLER, &CONFIGURATION, &BEANS, &TEMPLATE, &TEMPLATED];
    SPECS
}

/// An entry of the list in a configuration: `- onException: {…}`.
static ON_EXCEPTION_ENTRY: Spec = Spec {
    name: "onException",
    about: "What is done with exceptions",
    options: &[OptionSpec::required("onException", Takes::One(&ON_EXCEPTION), "what is done with exceptions")],
    ..Spec::EMPTY
};

/// A file that has been parsed.
#[derive(Debug)]
pub(crate) struct Parsed {
    file: Arc<str>,
    root: Option<Node>,
}

impl Parsed {
    /// Parses a file.
    pub(crate) fn new(name: &str, text: &str, problems: &mut Problems) -> Self {
        let file = Arc::from(name);
        let root = parse::read(&file, text, problems);
        Self { file, root }
    }

    /// Whether it has something that routes of other files may use.
    fn is_shared(&self) -> bool {
        let is_kamelet = matches!(self.root.as_ref().map(|root| &root.kind), Some(NodeKind::Map(_)));
        let names = ["routeConfiguration", "routeTemplate"];
        is_kamelet || self.entries().iter().any(|entry| names.iter().any(|name| entry.get(name).is_some()))
    }

    /// Its entries.
    fn entries(&self) -> &[Node] {
        match self.root.as_ref().map(|root| &root.kind) {
            Some(NodeKind::List(entries)) => entries,
            _ => &[],
        }
    }
}

/// Checks files; everything that is wrong with them is among the problems then.
pub(crate) fn check_files(
    parsed: &[Parsed],
    surroundings: &Surroundings,
    components: &Components,
    problems: &mut Problems,
) -> Vec<RouteFile> {
    let scope = Scope { own: None, properties: &surroundings.properties, is_open: false };
    let mut kamelets = Kamelets::default();
    let mut checkers = |file, work: &mut dyn FnMut(&mut Checker<'_>)| {
        let checker = Checker { file, problems, scope, surroundings, components, steps: 0, kamelets: &mut kamelets };
        work(&mut { checker });
    };
    let mut templates = Templates::default();
    for Parsed { file, root } in parsed {
        checkers(file, &mut |checker| {
            if let Some(root) = root {
                check_root(checker, root);
            }
        });
    }
    for parsed in parsed {
        checkers(&parsed.file, &mut |checker| {
            templates.collect(checker, &parsed.file, parsed.root.as_ref(), parsed.entries());
        });
    }
    let mut files = Vec::new();
    for parsed in parsed {
        let (file, is_shared) = (Arc::clone(&parsed.file), parsed.is_shared());
        let mut found = RouteFile { file, is_shared, ..RouteFile::default() };
        checkers(&parsed.file, &mut |checker| {
            for node in parsed.entries() {
                entry(checker, node, &templates, &mut found);
            }
            templates.make_kamelets(checker, &mut found);
        });
        files.push(found);
    }
    files
}

fn check_root(checker: &mut Checker<'_>, root: &Node) {
    match &root.kind {
        NodeKind::List(_) => {}
        NodeKind::Map(_) => match root.get("kind").and_then(Node::scalar).map(|kind| kind.text.as_str()) {
            Some("Kamelet") => {}
            Some(kind) => {
                let message = format!("files of the kind `{kind}` are not read yet: write a list of routes");
                checker.error(root.at, message);
            }
            None => checker.error(root.at, "a route file is a list: put `- ` before the first line"),
        },
        NodeKind::Scalar(_) if root.is_null() => {}
        NodeKind::Scalar(_) => checker.error(root.at, "a route file is a list of routes, and here is a text"),
    }
}

fn entry(checker: &mut Checker<'_>, entry: &Node, templates: &Templates<'_>, found: &mut RouteFile) {
    let NodeKind::Map(names) = &entry.kind else {
        checker.error(entry.at, format!("an entry is a map such as `from: …`, and here is {}", entry.word()));
        return;
    };
    let [(name, node)] = names.as_slice() else {
        let names: Vec<_> = names.iter().map(|(name, _)| name.text.as_str()).collect();
        let message = format!("an entry has one name, and here are: {}; is a `-` missing?", names.join(", "));
        checker.error(entry.at, message);
        return;
    };
    match name.text.as_str() {
        "from" | "route" => found.routes.extend(route(checker, name, node)),
        "onException" => found.on_exceptions.extend(checker.element(&ON_EXCEPTION, node)),
        "errorHandler" => {
            if found.error_handler.is_some() {
                checker.error(name.at, "`errorHandler` stands at the top of this file already");
            }
            found.error_handler = checker.element(&ERROR_HANDLER, node);
        }
        "routeConfiguration" => found.configurations.extend(checker.element(&CONFIGURATION, node)),
        "beans" => beans(checker, node, found),
        "routeTemplate" => {}
        "templatedRoute" => found.routes.extend(templates.make(checker, node)),
        other => {
            let message = match known::instead(known::TOP_LEVEL, other) {
                Some(instead) => format!("`{other}` is not supported: {instead}"),
                None => {
                    let names: Vec<_> = top_level_specs().iter().map(|spec| spec.name).collect();
                    unknown("entry", other, &names)
                }
            };
            checker.error(name.at, message);
        }
    }
}

/// A route, written as `route` or as `from` alone.
pub(super) fn route(checker: &mut Checker<'_>, name: &Name, node: &Node) -> Option<RouteSource> {
    let mut element = if name.text == "route" {
        checker.element(&ROUTE, node)?
    } else {
        let from = checker.element(&FROM, node)?;
        let id = from.id.clone();
        let values = vec![("from", node.at, Given::One(Box::new(from)))];
        Element { values, id, ..Element::empty(&ROUTE, node.at) }
    };
    element.at = name.at;
    Some(RouteSource { element })
}

fn beans(checker: &mut Checker<'_>, node: &Node, found: &mut RouteFile) {
    let NodeKind::List(nodes) = &node.kind else {
        checker.error(node.at, "`beans` is a list of `{name, type}`");
        return;
    };
    for node in nodes {
        let name = node.get("name").and_then(|node| checker.text(node, "name"));
        let class = node.get("type").and_then(|node| checker.text(node, "type"));
        let (Some(name), Some(class)) = (name, class) else {
            checker.error(node.at, "a bean has `name` and `type`");
            continue;
        };
        if let NodeKind::Map(entries) = &node.kind {
            for (option, _) in entries.iter().filter(|(option, _)| !["name", "type"].contains(&option.text.as_str())) {
                checker.error(option.at, format!("`{}` of a bean is not supported", option.text));
            }
        }
        let class = class.strip_prefix("#class:").unwrap_or(&class).to_owned();
        if class != crate::repository::MEMORY && crate::run::Strategy::from_class(&class).is_none() {
            let mut names: Vec<_> = crate::run::Strategy::class_names().collect();
            names.push(crate::repository::MEMORY);
            let message = unknown("type of a bean:", &class, &names);
            checker.error(node.at, message);
        }
        found.beans.insert(name, Bean { class, at: node.at });
    }
}
