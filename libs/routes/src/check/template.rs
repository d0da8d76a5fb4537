//! Route templates and kamelets: routes with parameters, made where they are used.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::language::Properties;
use crate::parse::{Mark, Name, Node, NodeKind};

use super::file::{FROM, ROUTE, RouteFile, RouteSource, route};
use super::reader::Checker;
use super::spec::{OptionSpec, Spec, Takes};
use super::suggest::unknown;
use super::uri::EndpointText;

/// Most routes that `kamelet:` addresses make.
const KAMELETS_MAX: usize = 1_000;

/// `routeTemplate`.
pub(super) static TEMPLATE: Spec = Spec {
    name: "routeTemplate",
    about: "A route with parameters, which are placeholders in it",
    options: &[
        OptionSpec::new("parameters", Takes::Many(&PARAMETER), "its parameters"),
        OptionSpec::new("route", Takes::One(&ROUTE), "the route; or `from` alone"),
        OptionSpec::new("from", Takes::One(&FROM), "the route; or `route`"),
        OptionSpec::refused("beans", "declare them under `beans`"),
    ],
    ..Spec::EMPTY
};

static PARAMETER: Spec = Spec {
    name: "parameters",
    about: "A parameter",
    options: &[
        OptionSpec::required("name", Takes::Text, "its name"),
        OptionSpec::new("defaultValue", Takes::Text, "its value if none is given"),
        OptionSpec::new("required", Takes::Bool, "whether there has to be a value (true)"),
    ],
    ..Spec::EMPTY
};

/// `templatedRoute`.
pub(super) static TEMPLATED: Spec = Spec {
    name: "templatedRoute",
    about: "A route made from a template",
    options: &[
        OptionSpec::required("routeTemplateRef", Takes::Text, "the id of the template"),
        OptionSpec::new("routeId", Takes::Text, "the id of the route"),
        OptionSpec::new("parameters", Takes::Many(&VALUE), "values of the parameters"),
        OptionSpec::refused("beans", "declare them under `beans`"),
        OptionSpec::refused("prefixId", "use `routeId`"),
        OptionSpec::refused("group", "write it at the route of the template"),
    ],
    ..Spec::EMPTY
};

static VALUE: Spec = Spec {
    name: "parameters",
    about: "A value",
    options: &[
        OptionSpec::required("name", Takes::Text, "the name of the parameter"),
        OptionSpec::required("value", Takes::Text, "its value"),
    ],
    ..Spec::EMPTY
};

/// The templates of all files.
#[derive(Debug, Default)]
pub(super) struct Templates<'n>(BTreeMap<String, Template<'n>>);

#[derive(Debug)]
struct Template<'n> {
    file: &'n Arc<str>,
    /// Its `from` or `route`.
    route: (&'n Name, &'n Node),
    /// Parameters with their defaults.
    parameters: Vec<(String, Option<String>)>,
}

/// What `kamelet:` addresses ask for.
#[derive(Debug, Default)]
pub struct Kamelets {
    /// The routes to be made: template, values, instance, and where that is asked for.
    wanted: Vec<(String, Properties, String, Mark)>,
    made: usize,
    /// The instance whose route is being read.
    current: Option<String>,
}

impl Kamelets {
    /// Makes an address that asks for a template one of the instance.
    pub(super) fn address(&mut self, uri: &mut EndpointText) -> Result<(), String> {
        if let (Some(current), "source" | "sink") = (&self.current, uri.path.as_str()) {
            uri.path.clone_from(current);
            return Ok(());
        }
        if matches!(uri.path.as_str(), "source" | "sink") {
            return Err(format!("`kamelet:{}` stands only in templates", uri.path));
        }
        if self.made >= KAMELETS_MAX {
            return Err(format!("there are more than {KAMELETS_MAX} uses of kamelets: does one use itself?"));
        }
        self.made += 1;
        let (template, id) = uri.path.split_once('/').unwrap_or((&uri.path, ""));
        let instance = if id.is_empty() { format!("{template}-{}", self.made) } else { id.to_owned() };
        let values = std::mem::take(&mut uri.options).into_iter().collect();
        self.wanted.push((template.to_owned(), values, instance.clone(), uri.at));
        uri.path = instance;
        Ok(())
    }
}

impl<'n> Templates<'n> {
    /// Takes in the templates of a file.
    pub(super) fn collect(
        &mut self,
        checker: &mut Checker<'_>,
        file: &'n Arc<str>,
        root: Option<&'n Node>,
        entries: &'n [Node],
    ) {
        if let Some(root) = root.filter(|root| root.get("kind").is_some()) {
            self.kamelet(checker, file, root);
        }
        for node in entries.iter().filter_map(|entry| entry.get("routeTemplate")) {
            self.template(checker, file, node);
        }
    }

    fn template(&mut self, checker: &mut Checker<'_>, file: &'n Arc<str>, node: &'n Node) {
        let Some(id) = node.get("id").and_then(|node| checker.text(node, "id")) else {
            return checker.error(node.at, "`routeTemplate` needs `id`");
        };
        let NodeKind::Map(entries) = &node.kind else { return };
        let mut route = None;
        let mut parameters = Vec::new();
        for (name, node) in entries {
            match name.text.as_str() {
                "from" | "route" => route = Some((name, node)),
                "parameters" => parameters = template_parameters(checker, node),
                "id" | "description" | "note" => {}
                other => {
                    let names: Vec<_> = TEMPLATE.options.iter().map(|option| option.name).collect();
                    let message = match TEMPLATE.option(other).map(|option| option.takes) {
                        Some(Takes::Refused(instead)) => {
                            format!("`{other}` of `routeTemplate` is not supported: {instead}")
                        }
                        _ => unknown("option of `routeTemplate`:", other, &names),
                    };
                    checker.error(name.at, message);
                }
            }
        }
        match route {
            Some(route) => self.add(checker, id, Template { file, route, parameters }, node.at),
            None => checker.error(node.at, "`routeTemplate` needs `from` or `route`"),
        }
    }

    /// A file of the kind `Kamelet`.
    fn kamelet(&mut self, checker: &mut Checker<'_>, file: &'n Arc<str>, root: &'n Node) {
        let Some(id) =
            root.get("metadata").and_then(|meta| meta.get("name")).and_then(|node| checker.text(node, "name"))
        else {
            return checker.error(root.at, "a kamelet needs `metadata` with `name`");
        };
        let Some(spec) = root.get("spec") else { return checker.error(root.at, "a kamelet needs `spec`") };
        let definition = spec.get("definition");
        let required = definition.and_then(|node| node.get("required"));
        let is_required = |name: &str| match required.map(|node| &node.kind) {
            Some(NodeKind::List(names)) => names.iter().filter_map(Node::scalar).any(|required| required.text == name),
            _ => false,
        };
        let mut parameters = Vec::new();
        if let Some(NodeKind::Map(entries)) = definition.and_then(|node| node.get("properties")).map(|node| &node.kind)
        {
            for (name, node) in entries {
                let default = node.get("default").and_then(Node::scalar).map(|default| default.text.clone());
                let default = default.or_else(|| (!is_required(&name.text)).then(String::new));
                parameters.push((name.text.clone(), default));
            }
        }
        let Some(template) = spec.get("template") else {
            return checker.error(spec.at, "a kamelet needs `template`");
        };
        let NodeKind::Map(entries) = &template.kind else {
            return checker.error(template.at, "`template` of a kamelet has `from` or `route`");
        };
        let mut route = None;
        for (name, node) in entries {
            match name.text.as_str() {
                "from" | "route" => route = Some((name, node)),
                "beans" => {
                    checker.error(name.at, "`beans` of kamelets are not supported: declare them in a route file");
                }
                "id" | "description" => {}
                other => {
                    let message = unknown("option of `template`:", other, &["from", "route"]);
                    checker.error(name.at, message);
                }
            }
        }
        match route {
            Some(route) => self.add(checker, id, Template { file, route, parameters }, root.at),
            None => checker.error(template.at, "`template` of a kamelet has `from` or `route`"),
        }
    }

    fn add(&mut self, checker: &mut Checker<'_>, id: String, template: Template<'n>, at: Mark) {
        // A template is checked also if nobody uses it.
        let nothing = Properties::new();
        checker.kamelets.current = Some(id.clone());
        let before = checker.kamelets.wanted.len();
        route(&mut checker.with_scope(&nothing, true), template.route.0, template.route.1);
        checker.kamelets.current = None;
        checker.kamelets.wanted.truncate(before);
        if self.0.contains_key(&id) {
            return checker.error(at, format!("there is a template `{id}` already"));
        }
        self.0.insert(id, template);
    }

    /// The route that a `templatedRoute` asks for.
    pub(super) fn make(&self, checker: &mut Checker<'_>, node: &Node) -> Option<RouteSource> {
        let says = checker.element(&TEMPLATED, node)?;
        let values = says
            .many("parameters")
            .iter()
            .filter_map(|pair| Some((pair.text("name")?.to_owned(), pair.text("value")?.to_owned())))
            .collect();
        let mut made = self.instance(checker, says.text("routeTemplateRef")?, values, node.at)?;
        if let Some(id) = says.text("routeId") {
            made.element.id = Some(id.to_owned());
        }
        Some(made)
    }

    /// The routes that `kamelet:` addresses have asked for.
    pub(super) fn make_kamelets(&self, checker: &mut Checker<'_>, found: &mut RouteFile) {
        while let Some((template, values, instance, at)) = checker.kamelets.wanted.pop() {
            checker.kamelets.current = Some(instance.clone());
            let made = self.instance(checker, &template, values, at);
            checker.kamelets.current = None;
            found.routes.extend(made.map(|mut made| {
                made.element.id = Some(instance);
                made
            }));
        }
    }

    fn instance(&self, checker: &mut Checker<'_>, name: &str, mut values: Properties, at: Mark) -> Option<RouteSource> {
        let Some(template) = self.0.get(name) else {
            let names: Vec<_> = self.0.keys().map(String::as_str).collect();
            let message = unknown("route template", name, &names);
            checker.error(at, message);
            return None;
        };
        let names: Vec<_> = template.parameters.iter().map(|(name, _)| name.as_str()).collect();
        for given in values.keys().filter(|given| !names.contains(&given.as_str())) {
            let message = unknown("parameter", given, &names);
            checker.error(at, message);
        }
        for (parameter, default) in &template.parameters {
            match (values.contains_key(parameter), default) {
                (true, _) => {}
                (false, Some(default)) => {
                    values.insert(parameter.clone(), default.clone());
                }
                (false, None) => checker.error(at, format!("template `{name}` needs the parameter `{parameter}`")),
            }
        }
        // What is wrong in a template is wrong in its file.
        let mut inner = checker.with_scope(&values, false);
        inner.file = template.file;
        route(&mut inner, template.route.0, template.route.1)
    }
}

fn template_parameters(checker: &mut Checker<'_>, node: &Node) -> Vec<(String, Option<String>)> {
    let NodeKind::List(nodes) = &node.kind else {
        checker.error(node.at, "`parameters` of a template is a list of `name: …`");
        return Vec::new();
    };
    let read = |node: &Node| {
        let says = checker.element(&PARAMETER, node)?;
        let default = says.text("defaultValue").map(str::to_owned);
        let is_optional = says.flag("required") == Some(false);
        Some((says.text("name")?.to_owned(), default.or_else(|| is_optional.then(String::new))))
    };
    nodes.iter().filter_map(read).collect()
}
