//! What stands between `${` and `}`: a function with its arguments and the path into its value, or a
//! condition.

use crate::exchange::{Kind, Text, Value};

use super::date;
use super::functions::{self, Function, Syntax};
use super::lexer::{self, Token};
use super::methods;
use super::operators;
use super::parse::{Operands, Parser, literal, quoted};
use super::refused;
use super::syntax::{Access, AccessKind, Argument, Call, Node};

/// Most steps into one value.
const PATH_MAX: usize = 64;

/// The node for what stands in the braces of a function.
pub(super) fn parse(parser: &mut Parser<'_>, tokens: &[Token], at: usize) -> Node {
    let written = lexer::raw(parser.text, tokens);
    if written.trim() != written {
        return parser.problem(at, format!("remove the spaces in the braces: ${{{}}}", written.trim()));
    }
    let (result, tokens) = result_type(parser.text, tokens);
    let name_length = tokens.iter().take_while(|token| is_name(token)).count();
    let name = lexer::raw(parser.text, &tokens[..name_length]);
    if name == "in" && tokens.get(name_length).is_some_and(|next| next.is('.')) {
        // the old way to say which message
        return parse(parser, &tokens[name_length + 1..], at);
    }
    let function = functions::find(name);
    let is_free_text = function.is_some_and(|function| matches!(function.syntax, Syntax::Colon(_)));
    if !is_free_text && let Some(node) = condition(parser, tokens) {
        return node;
    }
    let Some(function) = function else {
        let reason = refused::reason(lexer::raw(parser.text, tokens), name);
        return parser.problem(at, reason);
    };
    let rest = &tokens[name_length..];
    let mut call = Call { function, at, arguments: Vec::new(), path: Vec::new(), full: None, result };
    match function.syntax {
        Syntax::Word => call.path = path(parser, rest),
        Syntax::Key { alone } => keyed(parser, &mut call, rest, alone),
        Syntax::Colon(read) => {
            let text = rest.strip_prefix(&rest[..rest.len().min(1)]).unwrap_or(rest);
            if rest.first().is_some_and(|first| first.is(':') || first.is('.')) && !text.is_empty() {
                call.arguments = read(parser, text, at);
            } else {
                parser.problem(at, format!("{name} is written {}", function.usage()));
            }
        }
        Syntax::Arguments(forms) => called(parser, &mut call, forms, rest),
    }
    Node::Call(Box::new(call))
}

fn is_name(token: &Token) -> bool {
    token.char().is_some_and(|found| found.is_alphanumeric() || found == '-' || found == '_') && !token.is('.')
}

/// `int:`, `long:`, `boolean:`, `string:` before a function.
fn result_type<'t>(text: &str, tokens: &'t [Token]) -> (Option<Kind>, &'t [Token]) {
    let written = lexer::raw(text, tokens);
    for (prefix, kind) in [
        ("int:", Kind::Int),
        ("integer:", Kind::Int),
        ("long:", Kind::Long),
        ("boolean:", Kind::Bool),
        ("string:", Kind::Text),
    ] {
        if written.starts_with(prefix) {
            return (Some(kind), &tokens[prefix.len()..]);
        }
    }
    (None, tokens)
}

/// The condition, if operators with spaces around them stand in the braces.
fn condition(parser: &mut Parser<'_>, tokens: &[Token]) -> Option<Node> {
    let top = lexer::top_level(tokens);
    let spaced = |index: usize, length: usize| {
        index > 0 && tokens[index - 1].is_space() && tokens.get(index + length).is_some_and(Token::is_space)
    };
    let question = top.iter().copied().find(|&index| tokens[index].is('?') && spaced(index, 1));
    if let Some(question) = question {
        let colon = top.iter().copied().find(|&index| index > question && tokens[index].is(':') && spaced(index, 1));
        let Some(colon) = colon else {
            return Some(
                parser.problem(tokens[question].at, "this ? needs a : with spaces around it, and a value behind it"),
            );
        };
        let condition = Box::new(parser.predicate(&tokens[..question], Operands::Bare));
        let yes = Box::new(operand(parser, &tokens[question + 1..colon]));
        let no = Box::new(operand(parser, &tokens[colon + 1..]));
        return Some(Node::Ternary { condition, yes, no });
    }
    let elvis = top.iter().copied().find(|&index| {
        tokens[index].is('?') && tokens.get(index + 1).is_some_and(|next| next.is(':')) && spaced(index, 2)
    });
    if let Some(elvis) = elvis {
        let left = lexer::trim(&tokens[..elvis]);
        let left = Box::new(parse(parser, left, left.first().map_or(0, |token| token.at)));
        return Some(Node::Elvis { left, right: Box::new(operand(parser, &tokens[elvis + 2..])) });
    }
    let has_operator = top.iter().any(|&index| {
        let text = lexer::raw(parser.text, &tokens[index..]);
        let is_logical = text.starts_with("&& ") || text.starts_with("|| ");
        index > 0 && tokens[index - 1].is_space() && (is_logical || operators::at_start(text).is_some())
    });
    let is_negated = tokens.first().is_some_and(|first| first.is('!'));
    (has_operator || is_negated).then(|| parser.predicate(tokens, Operands::Bare))
}

/// A value in a ternary: a quoted text, a number, a truth, null, or a function in braces.
fn operand(parser: &mut Parser<'_>, tokens: &[Token]) -> Node {
    let tokens = lexer::trim(tokens);
    let Some(first) = tokens.first() else {
        let at = tokens.last().map_or(parser.text.len(), |token| token.end);
        return parser.problem(at, "a value is missing here");
    };
    let is_whole_function = lexer::closing(tokens, 0) == Some(tokens.len() - 1);
    let is_quoted = first.is_quote() && lexer::closing_quote(tokens, 0) == Some(tokens.len() - 1);
    if is_quoted {
        return parser.template(&tokens[1..tokens.len() - 1]);
    }
    if first.char().is_none() && is_whole_function {
        return parser.template(tokens);
    }
    let word = lexer::plain(parser.text, tokens);
    literal(&word).unwrap_or_else(|| {
        parser.problem(first.at, format!("{word} is no value: write '{word}', a number, true, false, null or ${{…}}"))
    })
}

/// `.key`, `:key`, `[key]`, with the path behind it.
fn keyed(parser: &mut Parser<'_>, call: &mut Call, tokens: &[Token], alone: bool) {
    let tokens = if tokens.first().is_some_and(|first| first.is('?')) { &tokens[1..] } else { tokens };
    let usage = call.function.usage();
    let Some(first) = tokens.first() else {
        if !alone {
            parser.problem(call.at, format!("the name is missing: {usage}"));
        }
        return;
    };
    let (key, rest) = if first.is('[') {
        let Some(end) = closing_bracket(tokens, 0) else {
            parser.problem(first.at, "this [ has no ]");
            return;
        };
        (key(parser, &tokens[1..end]), &tokens[end + 1..])
    } else if first.is('.') || first.is(':') {
        let key = &tokens[1..];
        let length = key_length(key);
        let (key, rest) = (&key[..length], &key[length..]);
        if key.is_empty() {
            parser.problem(first.at, format!("the name is missing: {usage}"));
            return;
        }
        (parser.template(key), rest)
    } else {
        parser.problem(first.at, format!("written {usage}"));
        return;
    };
    let is_size = alone && rest.is_empty() && matches!(&key, Node::Constant(Value::Text(name)) if name == "size");
    if is_size {
        call.path = vec![Access { kind: AccessKind::Name("size".to_owned()), null_safe: false }];
        return;
    }
    call.arguments = vec![Some(Argument::Node(key))];
    call.path = path(parser, rest);
    let is_dotted = rest.iter().all(|token| token.char().is_some() && !"[]()".contains(token.char().unwrap_or(' ')));
    if !rest.is_empty() && is_dotted && !first.is('[') {
        call.full = Some(Text::from(lexer::plain(parser.text, &tokens[1..])));
    }
}

/// How long the name at the start is: to the next step of the path.
fn key_length(tokens: &[Token]) -> usize {
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        if let Some(end) = (token.char().is_none()).then(|| lexer::closing(tokens, index)).flatten() {
            index = end + 1;
            continue;
        }
        if token.is('.') || token.is('[') || token.is('?') {
            break;
        }
        index += 1;
    }
    index
}

fn closing_bracket(tokens: &[Token], open: usize) -> Option<usize> {
    let top = lexer::top_level(&tokens[open + 1..]);
    let mut depth = 0usize;
    for index in top {
        let token = &tokens[open + 1 + index];
        if token.is('[') {
            depth += 1;
        } else if token.is(']') && depth == 0 {
            return Some(open + 1 + index);
        } else if token.is(']') {
            depth -= 1;
        }
    }
    None
}

/// The parenthesis that closes the one at `open`; with unbalanced ones inside it is the last of all.
fn closing_parenthesis(tokens: &[Token], open: usize) -> Option<usize> {
    let top = lexer::top_level(&tokens[open..]);
    let outside = top.iter().copied().find(|&index| index > 0);
    let close = match outside {
        Some(index) => open + index - 1,
        None => tokens.len() - 1,
    };
    if close > open && tokens[close].is(')') {
        return Some(close);
    }
    tokens.iter().rposition(|token| token.is(')')).filter(|&last| last > open)
}

fn key(parser: &mut Parser<'_>, tokens: &[Token]) -> Node {
    let written = lexer::raw(parser.text, tokens);
    match quoted(written) {
        Some(_) => parser.template(&tokens[1..tokens.len() - 1]),
        None => parser.template(tokens),
    }
}

/// The steps into a value.
pub(super) fn path(parser: &mut Parser<'_>, tokens: &[Token]) -> Vec<Access> {
    let mut steps = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if steps.len() == PATH_MAX {
            parser.problem(first.at, format!("a path of more than {PATH_MAX} steps"));
            break;
        }
        let null_safe = first.is('?');
        let step = if null_safe { &rest[1..] } else { rest };
        let Some((kind, next)) = access(parser, step) else {
            parser.problem(first.at, format!("unexpected {}", lexer::raw(parser.text, rest)));
            break;
        };
        steps.push(Access { kind, null_safe });
        rest = next;
    }
    steps
}

fn access<'t>(parser: &mut Parser<'_>, tokens: &'t [Token]) -> Option<(AccessKind, &'t [Token])> {
    let first = tokens.first()?;
    if first.is('[') {
        let end = closing_bracket(tokens, 0)?;
        let inner = lexer::trim(&tokens[1..end]);
        let written = lexer::raw(parser.text, inner);
        let kind = match from_end(written) {
            Some(back) => AccessKind::FromEnd(back),
            None => AccessKind::Key(key(parser, inner)),
        };
        return Some((kind, &tokens[end + 1..]));
    }
    if !first.is('.') {
        return None;
    }
    let name = &tokens[1..];
    let length =
        name.iter().take_while(|token| !(token.is('(') || token.is('.') || token.is('[') || token.is('?'))).count();
    if length == 0 {
        return None;
    }
    if name[..length].iter().any(|token| token.char().is_none()) {
        let length = key_length(name);
        return Some((AccessKind::Key(parser.template(&name[..length])), &name[length..]));
    }
    let written = lexer::plain(parser.text, &name[..length]);
    let rest = &name[length..];
    if !rest.first().is_some_and(|next| next.is('(')) {
        return Some((AccessKind::Name(written), rest));
    }
    let close = closing_parenthesis(rest, 0)?;
    let arguments: Vec<Node> = split(&rest[1..close]).into_iter().map(|tokens| argument_node(parser, tokens)).collect();
    if let Err(reason) = methods::check(&written, arguments.len()) {
        parser.problem(first.at, reason);
    }
    Some((AccessKind::Method { name: written, arguments }, &rest[close + 1..]))
}

/// `last` and `last-2`: how far from the end.
fn from_end(written: &str) -> Option<usize> {
    match written.strip_prefix("last")? {
        "" => Some(0),
        back => back.trim_start().strip_prefix('-')?.trim().parse().ok(),
    }
}

/// Arguments between parentheses: cut at the commas that stand at the top.
fn split(tokens: &[Token]) -> Vec<&[Token]> {
    if lexer::trim(tokens).is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut start = 0;
    for comma in lexer::top_level(tokens).into_iter().filter(|&index| tokens[index].is(',')) {
        found.push(&tokens[start..comma]);
        start = comma + 1;
    }
    found.push(&tokens[start..]);
    found
}

/// `name(…)`, with the path behind it.
fn called(parser: &mut Parser<'_>, call: &mut Call, forms: &'static [&'static str], tokens: &[Token]) {
    let (inner, rest): (&[Token], &[Token]) = match tokens.first() {
        Some(first) if first.is('(') => match closing_parenthesis(tokens, 0) {
            Some(close) => (&tokens[1..close], &tokens[close + 1..]),
            None => {
                parser.problem(first.at, r"this ( has no ); a closing brace } in a function is written \}");
                return;
            }
        },
        _ => (&[], tokens),
    };
    call.path = path(parser, rest);
    let names = Function::parameters(forms);
    if matches!(names.last(), Some(&"program")) {
        program(parser, call, inner);
        return;
    }
    let takes_all = forms.iter().all(|form| matches!(*form, "exp" | "predicate" | "constant" | ""));
    let found = if takes_all && !lexer::trim(inner).is_empty() { vec![inner] } else { split(inner) };
    let variadic = names.last().is_some_and(|name| name.ends_with("..."));
    if variadic {
        call.arguments = found.iter().map(|tokens| Some(Argument::Node(argument_node(parser, tokens)))).collect();
        return;
    }
    let Some(form) = forms.iter().find(|form| form.split(',').filter(|name| !name.is_empty()).count() == found.len())
    else {
        parser.problem(call.at, format!("{} is written {}", call.function.name, call.function.usage()));
        return;
    };
    call.arguments = names.iter().map(|_| None).collect();
    for (name, tokens) in form.split(',').zip(found) {
        let place = names.iter().position(|known| *known == name).expect("a shorter form has names of the longest");
        call.arguments[place] = argument(parser, call.function.name, name, tokens);
    }
}

/// Functions in whose arguments spaces count, quoted or not.
const SPACED: &[&str] =
    &["replace", "substringAfter", "substringBefore", "substringBetween", "contains", "join", "split"];

fn argument(parser: &mut Parser<'_>, function: &str, name: &str, spaced: &[Token]) -> Option<Argument> {
    let tokens = lexer::trim(spaced);
    let at = tokens.first().map_or(0, |token| token.at);
    let written = lexer::plain(parser.text, tokens);
    let plain = quoted(&written).unwrap_or(&written);
    if name == "type" {
        return match Kind::from_java_name(plain) {
            Some(kind) => Some(Argument::Kind(kind)),
            None => {
                parser.problem(at, unknown_type(plain));
                None
            }
        };
    }
    if let Some(allowed) = name.split_once('{').map(|(_, rest)| rest.trim_end_matches('}')) {
        if allowed.split('|').any(|word| word.eq_ignore_ascii_case(plain)) {
            return Some(Argument::Raw(plain.to_ascii_lowercase()));
        }
        parser.problem(at, format!("{plain} is none of {}", allowed.replace('|', ", ")));
        return None;
    }
    let is_quoted = quoted(lexer::raw(parser.text, tokens)).is_some();
    match name {
        // quotes stay, as in Camel
        "trueExp" | "falseExp" | "constant" => Some(Argument::Node(parser.template(tokens))),
        _ if SPACED.contains(&function) && !is_quoted && written != "$param" => {
            Some(Argument::Node(parser.template(spaced)))
        }
        "predicate" => Some(Argument::Node(parser.predicate(tokens, Operands::Bare))),
        _ => Some(Argument::Node(argument_node(parser, tokens))),
    }
}

fn unknown_type(name: &str) -> String {
    let nearest = Kind::java_names().min_by_key(|known| strsim::levenshtein(known, name)).unwrap_or("String");
    format!("{name} is no type that values can be turned into; the nearest is {nearest}")
}

/// A value: what stands in quotes, everything else as a template.
fn argument_node(parser: &mut Parser<'_>, tokens: &[Token]) -> Node {
    let tokens = lexer::trim(tokens);
    let Some(first) = tokens.first() else { return Node::text("") };
    if first.is_quote() && lexer::closing_quote(tokens, 0) == Some(tokens.len() - 1) {
        return parser.template(&tokens[1..tokens.len() - 1]);
    }
    if first.char().is_none() && lexer::closing(tokens, 0) == Some(tokens.len() - 1) {
        return parser.template(tokens);
    }
    let written = lexer::plain(parser.text, tokens);
    if written == "$param" { Node::Parameter } else { parser.template(tokens) }
}

/// A program of another language, with an input before it: `jq(.id)`, `jq(header:doc,.id)`.
fn program(parser: &mut Parser<'_>, call: &mut Call, tokens: &[Token]) {
    let tokens = lexer::trim(tokens);
    let comma = lexer::top_level(tokens).into_iter().find(|&index| tokens[index].is(','));
    let mut input = None;
    let mut program = tokens;
    if let Some(comma) = comma {
        let before = lexer::trim(&tokens[..comma]);
        let written = lexer::raw(parser.text, before);
        let is_named = ["header:", "exchangeProperty:", "variable:"].iter().any(|prefix| written.starts_with(prefix));
        let is_function = before.first().is_some_and(|first| first.char().is_none());
        if is_named {
            input = Some(parse(parser, before, before[0].at));
            program = &tokens[comma + 1..];
        } else if is_function {
            input = Some(parser.template(before));
            program = &tokens[comma + 1..];
        }
    }
    let program = lexer::trim(program);
    let at = program.first().map_or(call.at, |token| token.at);
    if program.iter().any(|token| token.char().is_none()) {
        parser.problem(at, format!("functions ${{…}} in the program of {} are not evaluated", call.function.name));
        return;
    }
    let text = lexer::plain(parser.text, program);
    if text.is_empty() {
        parser.problem(at, format!("{} is written {}", call.function.name, call.function.usage()));
        return;
    }
    match parser.program(call.function.name, &text) {
        Ok(compiled) => {
            call.arguments = vec![input.map(Argument::Node), Some(Argument::Program(compiled))];
        }
        Err(error) => {
            let at = (at + error.range.start).min(parser.text.len());
            parser.problem(at, error.reason);
        }
    }
}

/// `date:command`, `date:command:pattern`.
pub(super) fn read_date(parser: &mut Parser<'_>, tokens: &[Token], at: usize) -> Vec<Option<Argument>> {
    dated(parser, at, date::Date::parse(&lexer::plain(parser.text, tokens)))
}

/// `date-with-timezone:command:timezone:pattern`.
pub(super) fn read_zoned_date(parser: &mut Parser<'_>, tokens: &[Token], at: usize) -> Vec<Option<Argument>> {
    dated(parser, at, date::Date::parse_zoned(&lexer::plain(parser.text, tokens)))
}

fn dated(parser: &mut Parser<'_>, at: usize, date: Result<date::Date, String>) -> Vec<Option<Argument>> {
    match date {
        Ok(date) => vec![Some(Argument::Date(date))],
        Err(reason) => {
            parser.problem(at, reason);
            Vec::new()
        }
    }
}

/// `properties:key`, `properties:key:default`.
pub(super) fn read_property(parser: &mut Parser<'_>, tokens: &[Token], _at: usize) -> Vec<Option<Argument>> {
    let colon = lexer::top_level(tokens).into_iter().find(|&index| tokens[index].is(':'));
    let (key, default) = match colon {
        Some(colon) => (&tokens[..colon], Some(&tokens[colon + 1..])),
        None => (tokens, None),
    };
    let key = parser.template(key);
    let default = default.map(|default| Argument::Node(parser.template(default)));
    vec![Some(Argument::Node(key)), default]
}

/// `file:name` and the like.
pub(super) fn read_file(parser: &mut Parser<'_>, tokens: &[Token], at: usize) -> Vec<Option<Argument>> {
    let what = lexer::plain(parser.text, tokens);
    if !functions::FILE.contains(&what.as_str()) {
        parser.problem(at, format!("file:{what} is not supported: {}", functions::FILE.join(", ")));
    }
    vec![Some(Argument::Raw(what))]
}

/// A name alone: `propertiesExist:key`.
pub(super) fn read_name(parser: &mut Parser<'_>, tokens: &[Token], _at: usize) -> Vec<Option<Argument>> {
    vec![Some(Argument::Node(parser.template(tokens)))]
}
