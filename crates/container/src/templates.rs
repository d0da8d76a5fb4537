//! The texts of notifications: built-in templates, or those of a folder.

use std::path::Path;

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

const BUILT_IN: &[(&str, &str)] = &[
    ("user-notification", include_str!("../../../deploy/templates/user-notification.txt")),
    ("user-welcome", include_str!("../../../deploy/templates/user-welcome.txt")),
];

/// Templates by name; a variable that a template asks for and an event lacks is an error.
#[derive(Debug)]
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    /// The built-in templates, overlaid by those of `folder` if there is one.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        for (name, text) in BUILT_IN {
            add(&mut environment, (*name).to_owned(), (*text).to_owned())?;
        }
        if let Some(folder) = folder {
            let unreadable = |source| Error::TemplatesUnreadable { path: folder.to_owned(), source };
            for entry in std::fs::read_dir(folder).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                let name = path.file_stem().and_then(|name| name.to_str());
                let is_template = path.extension().is_some_and(|ending| ending == ENDING);
                let Some(name) = name.filter(|_| is_template) else { continue };
                if path.metadata().map_err(unreadable)?.len() > TEMPLATE_BYTES_MAX {
                    return Err(Error::TemplateTooLarge { path, bytes_max: TEMPLATE_BYTES_MAX });
                }
                let text = std::fs::read_to_string(&path).map_err(unreadable)?;
                add(&mut environment, name.to_owned(), text)?;
            }
        }
        Ok(Self(environment))
    }

    /// The text that a template makes of the variables.
    pub(crate) fn render(&self, name: &str, variables: &Map<String, Value>) -> Result<String, Error> {
        let failed = |source| Error::Template { name: name.to_owned(), source };
        self.0.get_template(name).map_err(failed)?.render(Serde(variables)).map_err(failed)
    }
}

fn add(environment: &mut Environment<'static>, name: String, text: String) -> Result<(), Error> {
    environment.add_template_owned(name.clone(), text).map_err(|source| Error::Template { name, source })
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
        let text = templates.render("user-notification", variables(&json!({"message": "hi"}))).unwrap();
        assert!(text.contains("hi"), "{text}");
    }

    #[test]
    fn a_missing_variable_is_an_error_and_not_a_gap_in_the_text() {
        let templates = Templates::load(None).unwrap();
        let error = templates.render("user-notification", &Map::new()).unwrap_err();
        assert!(matches!(error, Error::Template { .. }), "{error:?}");
    }

    #[test]
    fn a_folder_overlays_the_built_in_templates() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("user-notification.txt"), "Xin chào: {{ message }}").unwrap();
        let templates = Templates::load(Some(folder.path())).unwrap();
        let text = templates.render("user-notification", variables(&json!({"message": "hi"}))).unwrap();
        assert_eq!(text, "Xin chào: hi");
    }
}
