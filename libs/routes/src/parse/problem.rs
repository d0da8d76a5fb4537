//! What is wrong with a file: all of it at once, each with its place.

use std::fmt;
use std::sync::Arc;

use super::node::Mark;

/// Most problems that are collected of one file.
const PROBLEMS_MAX: usize = 100;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is not taken.
    Error,
    /// The file is taken; something in it has no effect here.
    Note,
}

/// Something about a file that its author should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The name of the file.
    pub file: Arc<str>,
    /// Where.
    pub at: Mark,
    /// How bad.
    pub severity: Severity,
    /// What, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Note => "note",
        };
        write!(f, "{}:{}:{}: {severity}: {}", self.file, self.at.line, self.at.column, self.message)
    }
}

/// The problems of files, as they are found.
#[derive(Debug, Clone, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds an error.
    pub fn error(&mut self, file: &Arc<str>, at: Mark, message: impl Into<String>) {
        self.push(file, at, Severity::Error, message.into());
    }

    /// Adds a note.
    pub fn note(&mut self, file: &Arc<str>, at: Mark, message: impl Into<String>) {
        self.push(file, at, Severity::Note, message.into());
    }

    /// Whether there is an error at this place.
    pub fn has_error_at(&self, file: &Arc<str>, at: Mark) -> bool {
        self.0.iter().any(|problem| problem.at == at && problem.file == *file && problem.severity == Severity::Error)
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// All of them in the order of the file; what was found twice at one place is there once.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.0.sort_by(|a, b| (&a.file, a.at, &a.message).cmp(&(&b.file, b.at, &b.message)));
        self.0.dedup();
        self.0
    }

    fn push(&mut self, file: &Arc<str>, at: Mark, severity: Severity, message: String) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem { file: Arc::clone(file), at, severity, message });
        }
    }
}
