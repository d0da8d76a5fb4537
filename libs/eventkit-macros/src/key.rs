//! The key template of an event: text with the names of fields in braces.

/// A part of a key template.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// Text to be taken as it is, its braces no longer doubled.
    Text(String),
    /// The name of a field, or the index of one in a tuple struct.
    Field(String),
}

/// Splits a template into its parts, or says everything that is wrong with it.
pub(crate) fn parse(template: &str) -> Result<Vec<Part>, Vec<String>> {
    let mut parts = Vec::new();
    let mut mistakes = Vec::new();
    let mut text = String::new();
    let mut chars = template.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '{' | '}' if chars.peek() == Some(&char) => {
                chars.next();
                text.push(char);
            }
            '{' => {
                let mut name = String::new();
                let closed = loop {
                    match chars.next() {
                        Some('}') => break true,
                        Some(char) => name.push(char),
                        None => break false,
                    }
                };
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                match check_name(&name, closed) {
                    Ok(()) => parts.push(Part::Field(name)),
                    Err(mistake) => mistakes.push(mistake),
                }
            }
            '}' => mistakes.push("a `}` without its `{`; write `}}` for the character".to_owned()),
            other => text.push(other),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    if parts.is_empty() && mistakes.is_empty() {
        mistakes.push("the key is empty; name the fields that identify the entity".to_owned());
    }
    if mistakes.is_empty() { Ok(parts) } else { Err(mistakes) }
}

fn check_name(name: &str, closed: bool) -> Result<(), String> {
    if !closed {
        return Err("a `{` without its `}`; write `{{` for the character".to_owned());
    }
    if name.is_empty() {
        return Err("`{}` names no field; write the field's name between the braces".to_owned());
    }
    if let Some((field, _)) = name.split_once(':') {
        return Err(format!("a key writes fields plainly; `{{{name}}}` has to be `{{{field}}}`"));
    }
    if !name.chars().all(|char| char.is_alphanumeric() || char == '_') {
        return Err(format!("`{name}` is not the name of a field"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    fn field(name: &str) -> Part {
        Part::Field(name.to_owned())
    }

    #[test]
    fn text_and_fields_keep_their_order() {
        assert_eq!(
            parse("user-{employee_id}/{0}!"),
            Ok(vec![text("user-"), field("employee_id"), text("/"), field("0"), text("!")])
        );
    }

    #[test]
    fn doubled_braces_are_text() {
        assert_eq!(parse("{{{id}}}"), Ok(vec![text("{"), field("id"), text("}")]));
        assert_eq!(parse("a}}{{b"), Ok(vec![text("a}{b")]));
    }

    #[test]
    fn every_mistake_of_a_template_is_reported() {
        let mistakes = parse("{}-{id:04}-{a b}-}-{open").unwrap_err();
        assert_eq!(mistakes.len(), 5);
        assert!(mistakes[1].contains("has to be `{id}`"));
    }

    #[test]
    fn an_empty_template_is_refused() {
        assert_eq!(parse("").unwrap_err().len(), 1);
    }
}
