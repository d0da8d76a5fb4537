//! The texts of notifications: built-in templates, overlaid by the files of a folder.
//!
//! A file is read each time it is used, so a change counts from the next notification on.

use std::io;
use std::path::{Path, PathBuf};

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

use crate::error::Error;

/// The ending of a template's file name.
const ENDING: &str = "txt";
/// How much work a template may do; a runaway loop ends there.
const FUEL: u64 = 100_000;
/// The largest template file, in bytes.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;
/// What a first line begins with that is the subject and not a part of the text.
const SUBJECT: &str = "Subject:";

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../deploy/templates/", $name, ".txt")))),*]
    };
}

const BUILT_IN: &[(&str, &str)] = built_in![
    "application-for-manager",
    "application-hired",
    "application-interviewing",
    "application-offer",
    "application-received",
    "application-rejected",
    "application-screening",
    "application-withdrawn",
    "department-new-member",
    "interview-cancelled",
    "interview-scheduled",
    "login-new-device",
    "security-incidents",
    "user-invitation",
    "user-notification",
    "user-welcome",
];

/// Templates by name; a variable that a template asks for and an event lacks is an error.
#[derive(Debug)]
pub(crate) struct Templates {
    built_in: Environment<'static>,
    folder: Option<PathBuf>,
}

/// What a template makes of the variables.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// The subject, where the template has one.
    pub(crate) subject: Option<String>,
    /// The text.
    pub(crate) text: String,
}

impl Templates {
    /// The built-in templates, overlaid by those of `folder` if there is one; every file must be a template.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        for (name, text) in BUILT_IN {
            let wrong = |source| Error::Template { name: (*name).to_owned(), source };
            environment.add_template(name, text).map_err(wrong)?;
        }
        let templates = Self { built_in: environment, folder: folder.map(Path::to_owned) };
        templates.check_folder()?;
        Ok(templates)
    }

    /// Whether there is a template of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.built_in.get_template(name).is_ok() || self.file(name).is_some_and(|path| path.is_file())
    }

    /// The text, and the subject if there is one, that a template makes of the variables.
    pub(crate) fn render(&self, name: &str, variables: &Map<String, Value>) -> Result<Rendered, Error> {
        let failed = |source| Error::Template { name: name.to_owned(), source };
        let rendered = match self.read(name)? {
            Some(text) => self.built_in.render_str(&text, Serde(variables)),
            None => self.built_in.get_template(name).and_then(|template| template.render(Serde(variables))),
        };
        Ok(split(rendered.map_err(failed)?))
    }

    fn check_folder(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let unreadable = |source| Error::TemplatesUnreadable { path: folder.clone(), source };
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let is_template = path.extension().is_some_and(|ending| ending == ENDING);
            let Some(name) = name.filter(|_| is_template) else { continue };
            let Some(text) = self.read(name)? else { continue };
            let wrong = |source| Error::Template { name: name.to_owned(), source };
            self.built_in.template_from_str(&text).map_err(wrong)?;
        }
        Ok(())
    }

    /// The file that would hold a template; names come from events and must not lead elsewhere.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let folder = self.folder.as_ref().filter(|_| !name.is_empty() && name.chars().all(is_plain))?;
        Some(folder.join(format!("{name}.{ENDING}")))
    }

    fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(path) = self.file(name) else { return Ok(None) };
        let read = || -> io::Result<Option<String>> {
            if std::fs::metadata(&path)?.len() > TEMPLATE_BYTES_MAX {
                return Ok(None);
            }
            std::fs::read_to_string(&path).map(Some)
        };
        match read() {
            Ok(Some(text)) => Ok(Some(text)),
            Ok(None) => Err(Error::TemplateTooLarge { path, bytes_max: TEMPLATE_BYTES_MAX }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::TemplatesUnreadable { path, source }),
        }
    }
}

/// Takes the subject's line off a text that begins with one, and the empty line after it.
fn split(text: String) -> Rendered {
    let Some(rest) = text.strip_prefix(SUBJECT) else { return Rendered { subject: None, text } };
    let (subject, text) = rest.split_once('\n').unwrap_or((rest, ""));
    let text = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).unwrap_or(text);
    Rendered { subject: Some(subject.trim().to_owned()), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn the_template_of_the_seed_is_there() {
        let templates = Templates::load(None).unwrap();
        let rendered = templates.render("user-notification", variables(&json!({"message": "hi"}))).unwrap();
        assert!(rendered.text.contains("hi"), "{rendered:?}");
    }

    #[test]
    fn a_missing_variable_is_an_error_and_not_a_gap_in_the_text() {
        let templates = Templates::load(None).unwrap();
        let error = templates.render("user-notification", &Map::new()).unwrap_err();
        assert!(matches!(error, Error::Template { .. }), "{error:?}");
    }

    #[test]
    fn a_file_overlays_the_built_in_template_from_the_moment_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let templates = Templates::load(Some(folder.path())).unwrap();
        let hi = json!({"message": "hi"});
        assert!(templates.render("user-notification", variables(&hi)).unwrap().text.starts_with("Hello,"));
        for text in ["Xin chào: {{ message }}", "Chào: {{ message }}"] {
            std::fs::write(folder.path().join("user-notification.txt"), text).unwrap();
            let rendered = templates.render("user-notification", variables(&hi)).unwrap();
            assert_eq!(rendered.text, text.replace("{{ message }}", "hi"));
        }
    }

    #[test]
    fn a_subject_is_the_first_line_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let text = "Subject: Tin: {{ message }}\n\nXin chào\nSubject: no\n";
        std::fs::write(folder.path().join("news.txt"), text).unwrap();
        let templates = Templates::load(Some(folder.path())).unwrap();
        let rendered = templates.render("news", variables(&json!({"message": "hi"}))).unwrap();
        let expected = Rendered { subject: Some("Tin: hi".to_owned()), text: "Xin chào\nSubject: no".to_owned() };
        assert_eq!(rendered, expected);
    }

    #[test]
    fn a_file_that_is_no_template_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("news.txt"), "{{ message").unwrap();
        let error = Templates::load(Some(folder.path())).unwrap_err();
        assert!(matches!(error, Error::Template { ref name, .. } if name == "news"), "{error:?}");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
        let templates = Templates::load(Some(&inner)).unwrap();
        assert!(templates.render("../secret", &Map::new()).is_err());
        assert!(!templates.has("../secret"));
    }
}
