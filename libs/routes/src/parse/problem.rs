//! What is wrong with a file: all of it at once, each with its place.

use std::fmt;
use std::sync::Arc;

use super::node::Mark;

/// Most problems that are kept.
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

/// The problems of files, as they are found: the first ones, and how many more there are.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    /// Errors that were found when there were too many problems already.
    errors_beyond: usize,
    /// Notes of which this is so, or that made place for an error.
    notes_beyond: usize,
}

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
        self.kept.iter().any(|problem| problem.at == at && problem.file == *file && problem.severity == Severity::Error)
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.kept.iter().filter(|problem| problem.severity == Severity::Error).count() + self.errors_beyond
    }

    /// All that were kept in the order of the file; what was found twice at one place is there once.
    /// If there were too many, the last one says how many more there are.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.kept.sort_by(|a, b| (&a.file, a.at, &a.message).cmp(&(&b.file, b.at, &b.message)));
        self.kept.dedup();
        let beyond = self.errors_beyond + self.notes_beyond;
        if let (Some(last), true) = (self.kept.last(), beyond > 0) {
            let severity = if self.errors_beyond > 0 { Severity::Error } else { Severity::Note };
            let message = format!("… and {beyond} more");
            self.kept.push(Problem { file: Arc::clone(&last.file), at: last.at, severity, message });
        }
        self.kept
    }

    fn push(&mut self, file: &Arc<str>, at: Mark, severity: Severity, message: String) {
        let problem = Problem { file: Arc::clone(file), at, severity, message };
        if self.kept.len() < PROBLEMS_MAX {
            self.kept.push(problem);
            return;
        }
        if severity == Severity::Note {
            self.notes_beyond += 1;
            return;
        }
        // Errors matter more: the last note makes place.
        match self.kept.iter_mut().rev().find(|kept| kept.severity == Severity::Note) {
            Some(note) => {
                *note = problem;
                self.notes_beyond += 1;
            }
            None => self.errors_beyond += 1,
        }
    }
}
