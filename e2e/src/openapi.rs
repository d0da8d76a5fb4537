//! Reads the descriptions that the parts give of their own APIs, for tests that walk every operation.

use anyhow::Context;
use serde_json::{Map, Value};

/// The methods that an operation can have.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Where a part describes what is for the operator, to the operator, and what is for users, to everybody.
const FOR_OPERATORS: &str = "operator/v1/openapi.json";
const FOR_USERS: &str = "openapi.json";

/// A described API.
#[derive(Debug)]
pub struct Described {
    document: Value,
}

/// One operation of it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// In capitals.
    pub method: String,
    /// With parameters in braces.
    pub path: String,
    /// `public`, `logged-in`, `operator` or a permission.
    pub access: String,
    /// Its path parameters: names, and the first of the words that it may be, where there are only some.
    pub path_parameters: Vec<(String, Option<String>)>,
    /// Its query parameters: names and schemas.
    pub query_parameters: Vec<(String, Value)>,
    /// The schema of its JSON body, references resolved; `None` without a body.
    pub body: Option<Value>,
}

impl Described {
    /// Asks a part for its descriptions: of what is for the operator, whose token this is, and of what is for users.
    ///
    /// # Errors
    /// It does not give both.
    pub async fn fetch_all(url: &str, token: &str) -> anyhow::Result<[Self; 2]> {
        Ok([Self::fetch(url, FOR_OPERATORS, Some(token)).await?, Self::fetch(url, FOR_USERS, None).await?])
    }

    async fn fetch(url: &str, path: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let mut request = chassis::net::client().get(format!("{url}/{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Ok(Self { document: request.send().await?.error_for_status()?.json().await? })
    }

    /// Every operation.
    ///
    /// # Errors
    /// The description lacks something.
    pub fn operations(&self) -> anyhow::Result<Vec<Operation>> {
        let mut operations = Vec::new();
        for (path, item) in self.document["paths"].as_object().context("paths")? {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    operations.push(self.operation(path, method, operation)?);
                }
            }
        }
        Ok(operations)
    }

    fn operation(&self, path: &str, method: &str, operation: &Value) -> anyhow::Result<Operation> {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let of_kind = |kind: &'static str| {
            let found = parameters.iter().filter(move |parameter| parameter["in"] == kind);
            found.map(|parameter| {
                (parameter["name"].as_str().unwrap_or_default().to_owned(), parameter["schema"].clone())
            })
        };
        let content = &operation["requestBody"]["content"];
        let schema = content.as_object().and_then(|content| content.values().next()).map(|media| &media["schema"]);
        Ok(Operation {
            method: method.to_uppercase(),
            path: path.to_owned(),
            access: operation["x-access"].as_str().with_context(|| format!("{method} {path}: x-access"))?.to_owned(),
            path_parameters: of_kind("path").map(|(name, schema)| (name, self.first_word(&schema))).collect(),
            query_parameters: of_kind("query").collect(),
            body: schema.map(|schema| self.resolve(schema).clone()),
        })
    }

    /// What a schema refers to, through any number of references.
    pub fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        while let Some(pointer) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            match self.document.pointer(pointer) {
                Some(target) => schema = target,
                None => return schema,
            }
        }
        schema
    }

    /// The properties of an object, or of the objects in a list; none where a schema says nothing of them.
    pub fn properties(&self, schema: &Value) -> Map<String, Value> {
        let schema = self.resolve(schema);
        let schema = if schema["type"] == "array" { self.resolve(&schema["items"]) } else { schema };
        schema["properties"].as_object().cloned().unwrap_or_default()
    }

    fn first_word(&self, schema: &Value) -> Option<String> {
        self.resolve(schema)["enum"][0].as_str().map(str::to_owned)
    }

    /// The JSON types that a schema takes; empty where it does not say.
    pub fn types(&self, schema: &Value) -> Vec<String> {
        let schema = self.resolve(schema);
        let mut types: Vec<String> = match &schema["type"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(several) => several.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        };
        for alternatives in ["oneOf", "anyOf", "allOf"] {
            for alternative in schema[alternatives].as_array().into_iter().flatten() {
                types.extend(self.types(alternative));
            }
        }
        types
    }
}

impl Operation {
    /// Its path with every parameter replaced by `value`, or by a word that it may be.
    pub fn path_with(&self, value: &str) -> String {
        self.path_parameters.iter().fold(self.path.clone(), |path, (name, word)| {
            path.replace(&format!("{{{name}}}"), word.as_deref().unwrap_or(value))
        })
    }
}
