//! Camel's own JSON schema of its YAML DSL, which a validator in Java judges files by (`compat/camel/schema`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

use crate::support;

/// The validator's process, and the schema that it has.
pub(super) struct Judge {
    pub(super) schema: Json,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    /// Starts it, if it has been prepared.
    pub(super) fn start() -> Option<Self> {
        let folder = support::camel_schema()?;
        let schema = std::fs::read_to_string(folder.join("camelYamlDsl.json")).unwrap();
        let path = format!("{}:{}/*", folder.join("classes").display(), folder.join("libraries").display());
        let mut child = Command::new("java")
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-cp", &path, "Schema"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (asks, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { schema: serde_json::from_str(&schema).unwrap(), child, asks, answers })
    }

    /// Why the schema refuses a file; nothing if it takes it.
    pub(super) fn refusal(&mut self, text: &str) -> Option<String> {
        writeln!(self.asks, "{}", Json::from(text)).unwrap();
        let mut answer = String::new();
        assert!(self.answers.read_line(&mut answer).unwrap() > 0, "the validator ended: it says why above");
        Some(answer.trim_end().to_owned()).filter(|answer| !answer.is_empty())
    }

    /// A part of the schema: what a `$ref` leads to, or the part itself.
    pub(super) fn resolved<'s>(&'s self, part: &'s Json) -> &'s Json {
        let Some(reference) = part.get("$ref").and_then(Json::as_str) else { return part };
        let found = self.schema.pointer(reference.trim_start_matches('#'));
        found.unwrap_or_else(|| panic!("the schema has no {reference}"))
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It has nothing that it could lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
