//! A whole file: what stands at its top.

use std::collections::HashMap;
use std::sync::Arc;

use crate::compile::{ERROR_HANDLER, ON_EXCEPTION};
use crate::components::{Components, Side};
use crate::language::{Properties, Surroundings};
use crate::parse::{self, Mark, Name, Node, NodeKind, Problems};

use super::element::{Element, Given};
use super::known;
use super::placeholders::Scope;
use super::reader::Checker;
use super::spec::{OptionSpec, Spec, Takes};
use super::suggest::unknown;

/// What may stand at the top of a file.
const ENTRIES: [&str; 8] =
    ["from", "route", "onException", "errorHandler", "routeConfiguration", "beans", "routeTemplate", "templatedRoute"];

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
        OptionSpec::meaningless("streamCache", "bodies can be read as often as needed"),
        OptionSpec::meaningless("trace", "tracing is switched on while routes run"),
        OptionSpec::meaningless("logMask", "logs show bodies only where a step says so"),
        OptionSpec::meaningless("messageHistory", "tracing is switched on while routes run"),
        OptionSpec::meaningless("delayer", "use the step `delay`"),
        OptionSpec::meaningless("shutdownRoute", "routes stop in the opposite order of their start"),
        OptionSpec::meaningless("shutdownRunningTask", "what is under way always ends"),
        OptionSpec::refused("routePolicy", "start and stop routes with `techleet routes`"),
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

/// An entry of the list in a configuration: `- onException: {…}`.
static ON_EXCEPTION_ENTRY: Spec = Spec {
    name: "onException",
    about: "What is done with exceptions",
    options: &[OptionSpec::required("onException", Takes::One(&ON_EXCEPTION), "what is done with exceptions")],
    ..Spec::EMPTY
};

/// Reads a file; everything that is wrong with it is among the problems then.
pub fn check_file(
    file: &Arc<str>,
    text: &str,
    surroundings: &Surroundings,
    components: &Components,
    problems: &mut Problems,
) -> RouteFile {
    let mut found = RouteFile { file: Arc::clone(file), ..RouteFile::default() };
    let Some(root) = parse::read(file, text, problems) else { return found };
    let scope = Scope { own: None, properties: &surroundings.properties, is_open: false };
    let mut checker = Checker { file, problems, scope, surroundings, components, steps: 0 };
    let entries = match &root.kind {
        NodeKind::List(entries) => entries,
        NodeKind::Map(map) => {
            let message = match map.iter().any(|(name, _)| name.text == "kind") {
                true => "files of a `kind` (Kamelet, Pipe, Integration) are not read yet: write a list of routes",
                false => "a route file is a list: put `- ` before the first line",
            };
            checker.error(root.at, message);
            return found;
        }
        NodeKind::Scalar(_) if root.is_null() => return found,
        NodeKind::Scalar(_) => {
            checker.error(root.at, "a route file is a list of routes, and here is a text");
            return found;
        }
    };
    let mut top = Top { templates: HashMap::new(), templated: Vec::new() };
    for entry in entries {
        top.entry(&mut checker, entry, &mut found);
    }
    top.make_routes(&mut checker, &mut found);
    found
}

/// What has to wait for the whole file to be read.
struct Top<'n> {
    templates: HashMap<String, Template<'n>>,
    templated: Vec<&'n Node>,
}

struct Template<'n> {
    /// Its `from` or `route`.
    route: (&'n Name, &'n Node),
    /// Parameters with their defaults.
    parameters: Vec<(String, Option<String>)>,
}

impl<'n> Top<'n> {
    fn entry(&mut self, checker: &mut Checker<'_>, entry: &'n Node, found: &mut RouteFile) {
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
            "routeTemplate" => self.template(checker, node),
            "templatedRoute" => self.templated.push(node),
            other => {
                let message = match known::instead(known::TOP_LEVEL, other) {
                    Some(instead) => format!("`{other}` is not supported: {instead}"),
                    None => unknown("entry", other, &ENTRIES),
                };
                checker.error(name.at, message);
            }
        }
    }

    fn template(&mut self, checker: &mut Checker<'_>, node: &'n Node) {
        let Some(id) = node.get("id").and_then(|node| checker.text(node, "id")) else {
            checker.error(node.at, "`routeTemplate` needs `id`");
            return;
        };
        let NodeKind::Map(entries) = &node.kind else { return };
        let mut route = None;
        let mut parameters = Vec::new();
        for (name, node) in entries {
            match name.text.as_str() {
                "from" | "route" => route = Some((name, node)),
                "parameters" => parameters = template_parameters(checker, node),
                "id" | "description" | "note" => {}
                "beans" | "templateBean" => {
                    checker.error(name.at, "beans of templates are not supported: declare them under `beans`");
                }
                other => {
                    let names = ["id", "description", "parameters", "from", "route"];
                    let message = unknown("option of `routeTemplate`:", other, &names);
                    checker.error(name.at, message);
                }
            }
        }
        let Some(route) = route else {
            checker.error(node.at, "`routeTemplate` needs `from` or `route`");
            return;
        };
        // A template is checked also if nobody uses it.
        let nothing = Properties::new();
        self::route(&mut checker.with_scope(&nothing, true), route.0, route.1);
        if self.templates.insert(id.clone(), Template { route, parameters }).is_some() {
            checker.error(node.at, format!("there is a template `{id}` already"));
        }
    }

    fn make_routes(&self, checker: &mut Checker<'_>, found: &mut RouteFile) {
        for node in &self.templated {
            let Some(name) = node.get("routeTemplateRef").and_then(|node| checker.text(node, "routeTemplateRef"))
            else {
                checker.error(node.at, "`templatedRoute` needs `routeTemplateRef`");
                continue;
            };
            let Some(template) = self.templates.get(&name) else {
                let names: Vec<_> = self.templates.keys().map(String::as_str).collect();
                let message = unknown("route template", &name, &names);
                checker.error(node.at, message);
                continue;
            };
            let mut values = Properties::new();
            for (name, value) in node.get("parameters").map(|node| pairs(checker, node)).unwrap_or_default() {
                if !template.parameters.iter().any(|(known, _)| *known == name) {
                    let names: Vec<_> = template.parameters.iter().map(|(name, _)| name.as_str()).collect();
                    let message = unknown("parameter", &name, &names);
                    checker.error(node.at, message);
                }
                values.insert(name, value);
            }
            for (parameter, default) in &template.parameters {
                match (values.contains_key(parameter), default) {
                    (true, _) => {}
                    (false, Some(default)) => {
                        values.insert(parameter.clone(), default.clone());
                    }
                    (false, None) => {
                        checker.error(node.at, format!("template `{name}` needs the parameter `{parameter}`"));
                    }
                }
            }
            let id = node.get("routeId").and_then(|node| checker.text(node, "routeId"));
            let made = route(&mut checker.with_scope(&values, false), template.route.0, template.route.1);
            found.routes.extend(made.map(|mut made| {
                made.element.id = id.or(made.element.id);
                made
            }));
        }
    }
}

/// A route, written as `route` or as `from` alone.
fn route(checker: &mut Checker<'_>, name: &Name, node: &Node) -> Option<RouteSource> {
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

fn template_parameters(checker: &mut Checker<'_>, node: &Node) -> Vec<(String, Option<String>)> {
    let NodeKind::List(nodes) = &node.kind else {
        checker.error(node.at, "`parameters` of a template is a list of `name: …`");
        return Vec::new();
    };
    let mut found = Vec::new();
    for node in nodes {
        let Some(name) = node.get("name").and_then(|node| checker.text(node, "name")) else {
            checker.error(node.at, "a parameter needs `name`");
            continue;
        };
        let is_optional = node.get("required").and_then(Node::scalar).is_some_and(|scalar| scalar.text == "false");
        let default = node.get("defaultValue").and_then(|node| checker.text(node, "defaultValue"));
        found.push((name, default.or_else(|| is_optional.then(String::new))));
    }
    found
}

/// A list of `{name, value}`, or a map.
fn pairs(checker: &mut Checker<'_>, node: &Node) -> Vec<(String, String)> {
    let NodeKind::List(nodes) = &node.kind else { return checker.parameters(node) };
    let mut found = Vec::new();
    for node in nodes {
        let name = node.get("name").and_then(|node| checker.text(node, "name"));
        let value = node.get("value").and_then(|node| checker.text(node, "value"));
        match (name, value) {
            (Some(name), Some(value)) => found.push((name, value)),
            _ => checker.error(node.at, "a parameter has `name` and `value`"),
        }
    }
    found
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
