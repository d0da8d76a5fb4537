//! Functions on texts, with patterns.

use regex::{Captures, Regex};

use crate::exchange::{Map, Text, Value, parse_json, write_json};

use super::super::evaluate::{Flow, Machine, Out, fail};
use super::super::format;
use super::super::order::{self, described};
use super::super::syntax::Node;
use super::collections::{count, list};
use super::{Builtin, programs, values};

pub(super) static BUILTINS: &[Builtin] = &[
    values("tostring", 0, |machine, input, _| {
        machine.grow(input.weight())?;
        Ok(Value::from(format::text(input)))
    }),
    values("tojson", 0, |machine, input, _| {
        machine.grow(input.weight())?;
        Ok(Value::from(write_json(input)))
    }),
    values("fromjson", 0, |machine, input, _| {
        machine.grow(text(input)?.len())?;
        parse_json(input).or_else(|exception| fail(exception.to_string()))
    }),
    values("ascii_downcase", 0, |machine, input, _| {
        machine.grow(text(input)?.len())?;
        Ok(Value::from(text(input)?.to_ascii_lowercase()))
    }),
    values("ascii_upcase", 0, |machine, input, _| {
        machine.grow(text(input)?.len())?;
        Ok(Value::from(text(input)?.to_ascii_uppercase()))
    }),
    values("startswith", 1, |_, input, arguments| match (input, &arguments[0]) {
        (Value::Text(text), Value::Text(part)) => Ok(Value::Bool(text.starts_with(part.as_str()))),
        _ => fail("startswith() requires string inputs"),
    }),
    values("endswith", 1, |_, input, arguments| match (input, &arguments[0]) {
        (Value::Text(text), Value::Text(part)) => Ok(Value::Bool(text.ends_with(part.as_str()))),
        _ => fail("endswith() requires string inputs"),
    }),
    values("ltrimstr", 1, |_, input, arguments| {
        Ok(match (input, &arguments[0]) {
            (Value::Text(text), Value::Text(part)) => {
                Value::Text(text.part(text.strip_prefix(part.as_str()).unwrap_or(text)))
            }
            _ => input.clone(),
        })
    }),
    values("rtrimstr", 1, |_, input, arguments| {
        Ok(match (input, &arguments[0]) {
            (Value::Text(text), Value::Text(part)) => {
                Value::Text(text.part(text.strip_suffix(part.as_str()).unwrap_or(text)))
            }
            _ => input.clone(),
        })
    }),
    values("trim", 0, |_, input, _| text(input).map(|text| Value::Text(text.part(text.trim())))),
    values("ltrim", 0, |_, input, _| text(input).map(|text| Value::Text(text.part(text.trim_start())))),
    values("rtrim", 0, |_, input, _| text(input).map(|text| Value::Text(text.part(text.trim_end())))),
    values("explode", 0, |machine, input, _| {
        let text = text(input)?;
        machine.grow(text.len() * std::mem::size_of::<Value>())?;
        Ok(Value::list(text.chars().map(|char| Value::Integer(i64::from(u32::from(char)))).collect()))
    }),
    values("implode", 0, |machine, input, _| {
        machine.grow(list(input)?.len())?;
        let char = |value: &Value| value.to_integer().and_then(|code| char::from_u32(u32::try_from(code).ok()?));
        let chars: Option<String> = list(input)?.iter().map(char).collect();
        chars.map_or_else(|| fail("implode input must be an array of codepoints"), |text| Ok(Value::from(text)))
    }),
    values("split", 1, |machine, input, arguments| match (input, &arguments[0]) {
        (Value::Text(text), Value::Text(separator)) => {
            machine.spend(text.len())?;
            Ok(order::split(text, separator))
        }
        _ => fail("split input and separator must be strings"),
    }),
    values("split", 2, |machine, input, arguments| {
        let (pattern, _) = pattern(machine, &arguments[0], &arguments[1])?;
        let text = text(input)?;
        machine.spend(text.len())?;
        Ok(Value::list(pattern.split(text).map(|part| Value::Text(text.part(part))).collect()))
    }),
    programs("splits", 1, |machine, arguments, input, out| splits(machine, &arguments[0], None, input, out)),
    programs("splits", 2, |machine, arguments, input, out| {
        splits(machine, &arguments[0], Some(&arguments[1]), input, out)
    }),
    values("test", 1, |machine, input, arguments| test(machine, input, &arguments[0], &Value::Null)),
    values("test", 2, |machine, input, arguments| test(machine, input, &arguments[0], &arguments[1])),
    programs("match", 1, |machine, arguments, input, out| {
        matches(machine, &arguments[0], None, "", input, &mut |machine, found| out(machine, found.described))
    }),
    programs("match", 2, |machine, arguments, input, out| {
        matches(machine, &arguments[0], Some(&arguments[1]), "", input, &mut |machine, found| {
            out(machine, found.described)
        })
    }),
    programs("capture", 1, |machine, arguments, input, out| {
        matches(machine, &arguments[0], None, "", input, &mut |machine, found| out(machine, found.named))
    }),
    programs("capture", 2, |machine, arguments, input, out| {
        matches(machine, &arguments[0], Some(&arguments[1]), "", input, &mut |machine, found| out(machine, found.named))
    }),
    programs("scan", 1, |machine, arguments, input, out| {
        matches(machine, &arguments[0], None, "g", input, &mut |machine, found| out(machine, found.scanned))
    }),
    programs("scan", 2, |machine, arguments, input, out| {
        matches(machine, &arguments[0], Some(&arguments[1]), "g", input, &mut |machine, found| {
            out(machine, found.scanned)
        })
    }),
    programs("sub", 2, |machine, arguments, input, out| replaced(machine, arguments, "", input, out)),
    programs("sub", 3, |machine, arguments, input, out| replaced(machine, arguments, "", input, out)),
    programs("gsub", 2, |machine, arguments, input, out| replaced(machine, arguments, "g", input, out)),
    programs("gsub", 3, |machine, arguments, input, out| replaced(machine, arguments, "g", input, out)),
];

fn text(value: &Value) -> Flow<&Text> {
    match value {
        Value::Text(text) => Ok(text),
        other => fail(format!("{} cannot be matched, as it is not a string", described(other))),
    }
}

/// A pattern with flags, and whether it looks for all matches.
fn pattern(machine: &mut Machine<'_>, pattern: &Value, flags: &Value) -> Flow<(Regex, bool)> {
    let (pattern, flags) = match (pattern, flags) {
        (Value::List(both), _) => (both.first().cloned().unwrap_or_default(), both.get(1).cloned().unwrap_or_default()),
        (pattern, flags) => (pattern.clone(), flags.clone()),
    };
    let pattern = text(&pattern)?;
    let flags = if flags.is_null() { Text::EMPTY } else { text(&flags)?.clone() };
    let mut inline = String::new();
    let mut is_global = false;
    for flag in flags.chars() {
        match flag {
            'g' => is_global = true,
            'i' | 'x' | 's' => inline.push(flag),
            'n' | 'l' => {}
            'p' => inline.push_str("sm"),
            _ => return fail(format!("{flags} is not a valid modifier string")),
        }
    }
    let written = if inline.is_empty() { pattern.to_string() } else { format!("(?{inline}){pattern}") };
    match (machine.patterns)(&written) {
        Ok(regex) => Ok((regex, is_global)),
        Err(reason) => fail(format!("{pattern} (at offset 0) is not a valid regex: {reason}")),
    }
}

fn test(machine: &mut Machine<'_>, input: &Value, wanted: &Value, flags: &Value) -> Flow<Value> {
    let (pattern, _) = pattern(machine, wanted, flags)?;
    let text = text(input)?;
    machine.spend(text.len())?;
    Ok(Value::Bool(pattern.is_match(text)))
}

/// A match, in the forms in which functions put it out.
struct Found {
    described: Value,
    named: Value,
    scanned: Value,
    start: usize,
    end: usize,
}

/// Every match of what the programs for pattern and flags put out.
fn matches(
    machine: &mut Machine<'_>,
    wanted: &Node,
    flags: Option<&Node>,
    more_flags: &str,
    input: &Value,
    out: &mut dyn FnMut(&mut Machine<'_>, Found) -> Flow,
) -> Flow {
    let text = text(input)?.clone();
    for wanted in machine.all(wanted, input)? {
        machine.spend_on(input)?;
        let flags = match flags {
            Some(flags) => machine.first(flags, input)?.unwrap_or_default(),
            None => Value::Null,
        };
        let flags = Value::from(format!("{}{more_flags}", flags.to_text().unwrap_or_default()));
        let wanted = match (&wanted, more_flags) {
            (Value::List(both), "g") => Value::list(vec![
                both.first().cloned().unwrap_or_default(),
                Value::from(format!("{}g", both.get(1).and_then(Value::to_text).unwrap_or_default())),
            ]),
            _ => wanted,
        };
        let (pattern, is_global) = pattern(machine, &wanted, &flags)?;
        let mut place = Place::default();
        for captures in pattern.captures_iter(&text) {
            let whole = captures.get(0).map_or(0..0, |whole| whole.range());
            machine.spend(1 + whole.len() / 64 * captures.len())?;
            place.advance(&text, whole.start);
            out(machine, found(&pattern, &text, &captures, place))?;
            if !is_global {
                break;
            }
        }
    }
    Ok(())
}

/// A place in a text, in bytes and in characters.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    bytes: usize,
    chars: usize,
}

impl Place {
    fn advance(&mut self, text: &str, to: usize) {
        self.chars += text[self.bytes..to].chars().count();
        self.bytes = to;
    }
}

/// What a match is that begins at a place.
fn found(pattern: &Regex, text: &Text, captures: &Captures<'_>, place: Place) -> Found {
    let offset = |at: usize| count(place.chars + text[place.bytes..at].chars().count());
    let part = |part: &str| Value::Text(text.part(part));
    let mut groups = Vec::new();
    let mut named = Map::new();
    let mut scanned = Vec::new();
    for (index, name) in pattern.capture_names().enumerate().skip(1) {
        let group = captures.get(index);
        let value = group.map_or(Value::Null, |group| part(group.as_str()));
        let described = [
            (Text::fixed("offset"), group.map_or(Value::Integer(-1), |group| offset(group.start()))),
            (Text::fixed("length"), count(group.map_or(0, |group| group.as_str().chars().count()))),
            (Text::fixed("string"), value.clone()),
            (Text::fixed("name"), name.map_or(Value::Null, Value::from)),
        ];
        groups.push(Value::map(described.into_iter().collect()));
        if let Some(name) = name {
            named.insert(Text::from(name), value.clone());
        }
        scanned.push(value);
    }
    let whole = captures.get(0).map_or("", |whole| whole.as_str());
    let start = captures.get(0).map_or(0, |whole| whole.start());
    let described = [
        (Text::fixed("offset"), offset(start)),
        (Text::fixed("length"), count(whole.chars().count())),
        (Text::fixed("string"), part(whole)),
        (Text::fixed("captures"), Value::list(groups)),
    ];
    Found {
        described: Value::map(described.into_iter().collect()),
        named: Value::map(named),
        scanned: if scanned.is_empty() { part(whole) } else { Value::list(scanned) },
        start,
        end: start + whole.len(),
    }
}

fn splits(machine: &mut Machine<'_>, wanted: &Node, flags: Option<&Node>, input: &Value, out: &mut Out<'_>) -> Flow {
    let wanted = machine.first(wanted, input)?.unwrap_or_default();
    let flags = match flags {
        Some(flags) => machine.first(flags, input)?.unwrap_or_default(),
        None => Value::Null,
    };
    let (pattern, _) = pattern(machine, &wanted, &flags)?;
    let text = text(input)?;
    for part in pattern.split(text) {
        machine.spend(1)?;
        out(machine, Value::Text(text.part(part)))?;
    }
    Ok(())
}

/// `sub` and `gsub`: the replacement is a program on the named groups.
fn replaced(machine: &mut Machine<'_>, arguments: &[Node], more_flags: &str, input: &Value, out: &mut Out<'_>) -> Flow {
    let whole = text(input)?.clone();
    let mut written = String::new();
    let mut end = 0;
    matches(machine, &arguments[0], arguments.get(2), more_flags, input, &mut |machine, found| {
        let replacement = machine.first(&arguments[1], &found.named)?.unwrap_or(Value::Text(Text::EMPTY));
        let Value::Text(replacement) = &replacement else {
            return fail(format!("{} cannot be added to a string", described(&replacement)));
        };
        machine.grow(found.start - end + replacement.len())?;
        written.push_str(&whole[end..found.start]);
        written.push_str(replacement);
        end = found.end;
        Ok(())
    })?;
    written.push_str(&whole[end..]);
    machine.grow(written.len())?;
    out(machine, Value::from(written))
}
