//! What to say about a function that is not here: why, and what to write instead.

use super::functions;

/// Functions of Camel that are left out, with what to use.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("a2a", "agent tasks are not supported"),
    ("attachment", ATTACHMENTS),
    ("attachmentContent", ATTACHMENTS),
    ("attachmentContentAs", ATTACHMENTS),
    ("attachmentContentAsText", ATTACHMENTS),
    ("attachmentHeader", ATTACHMENTS),
    ("attachmentHeaderAs", ATTACHMENTS),
    ("attachments", ATTACHMENTS),
    ("attachmentsKeys", ATTACHMENTS),
    ("setAttachment", ATTACHMENTS),
    ("clearAttachments", ATTACHMENTS),
    ("bean", "there are no Java beans; use the step process with a bundle"),
    ("camelContext", "there is no Java context; ${camelId} and ${routeId} are here"),
    ("env", ENVIRONMENT),
    ("sysenv", ENVIRONMENT),
    ("sys", ENVIRONMENT),
    (
        "exchange",
        "name what you need: ${exchangeId}, ${exchangeProperty.NAME}, ${body}, ${header.NAME}, ${variable.NAME}",
    ),
    ("function", "custom functions are not supported; use the step process with a bundle"),
    ("hostname", "the name of the machine is not shown to routes; use a placeholder {{NAME}}"),
    ("htmlClean", HTML),
    ("htmlDecode", HTML),
    ("htmlParse", HTML),
    ("load", "files are not read by expressions; put the text into the route"),
    ("logExchange", HISTORY),
    ("messageHistory", HISTORY),
    ("messageAs", "a message has no Java type; use ${bodyAs(type)}"),
    ("originalBody", "keep the body in a variable with the step setVariable at the start of the route"),
    ("ref", "there is no Java registry"),
    ("setHeader", "an expression changes nothing; use the step setHeader"),
    ("setVariable", "an expression changes nothing; use the step setVariable"),
    ("simpleJsonpath", "use ${jsonpath($.a.b)}"),
    ("threadId", THREADS),
    ("threadName", THREADS),
    ("type", "there are no Java types; write the value itself"),
    ("xpath", "XML is not supported; nearest are ${jsonpath(…)} and ${jq(…)} on JSON"),
];

const ATTACHMENTS: &str = "attachments are not supported; nearest are headers";
const ENVIRONMENT: &str = "the environment is not shown to expressions; use a placeholder {{NAME}}";
const HTML: &str = "HTML is not supported; use the step process with a bundle";
const HISTORY: &str = "there is no history of a message; nearest are ${exchangeId} and ${routeId}";
const THREADS: &str = "exchanges are not bound to threads; nearest is ${exchangeId}";

/// Names of other languages and old versions, with the one of today.
const FORMER: &[(&str, &str)] = &[
    ("property", "exchangeProperty"),
    ("in", "body"),
    ("out", "body"),
    ("var", "variable"),
    ("prop", "exchangeProperty"),
    ("json", "jsonpath(…)"),
    ("upper", "uppercase()"),
    ("lower", "lowercase()"),
    ("padding", "pad(…)"),
    ("now", "date:now:yyyy-MM-dd"),
    ("timestamp", "messageTimestamp"),
    ("count", "size()"),
];

/// Languages that cannot stand in braces.
const LANGUAGES: &[&str] = &[
    "simple", "groovy", "xquery", "mvel", "ognl", "spel", "js", "python", "java", "joor", "constant", "tokenize",
    "method",
];

/// Why `name`, with which `written` begins, is no function.
pub(super) fn reason(written: &str, name: &str) -> String {
    let unknown = format!("${{{written}}} is not supported");
    if let Some((_, why)) = REFUSED.iter().find(|(known, _)| *known == name) {
        return format!("{unknown}: {why}");
    }
    if let Some((_, now)) = FORMER.iter().find(|(former, _)| *former == name) {
        return format!("unknown function {name}: did you mean ${{{now}}}?");
    }
    if LANGUAGES.contains(&name) {
        return format!("{name} is a language and not a function of simple; give it a key of its own: {name}: \"…\"");
    }
    if written.contains([' ']) && written.contains(['+', '-', '*', '/', '%']) {
        return format!("{unknown}: simple has no arithmetic; use ${{sum(…)}} or the language jq");
    }
    match nearest(name) {
        Some(nearest) => format!("unknown function {name}: the nearest is {}", nearest),
        None => format!("unknown function {name}: text outside of functions needs no braces"),
    }
}

fn nearest(name: &str) -> Option<String> {
    let known = functions::names()
        .map(|known| (strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().min(name.len()) / 2)?
        .1;
    functions::find(known).map(functions::Function::usage)
}
