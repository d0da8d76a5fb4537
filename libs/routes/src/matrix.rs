//! The support matrix: a page made from the tables of steps, components, languages and data formats.

use std::fmt::Write as _;

use crate::check::{
    DATA_FORMATS, Inline, LANGUAGES, OptionSpec, STEPS, Spec, TOP_LEVEL, Takes, Unsupported, top_level_specs,
};
use crate::components::{self, ComponentSpec, Side};
use crate::exchange::Class;
use crate::language::{self, Language, OptionValues};
use crate::run::Strategy;
use crate::{data_formats, repository, steps};

/// The page, in Markdown.
pub fn page() -> String {
    let mut out = String::from(INTRODUCTION);
    out.push_str("\n## Entries of a file\n\n");
    specs(&mut out, top_level_specs().iter().copied());
    refused(&mut out, TOP_LEVEL);
    out.push_str("\n## Steps\n\n");
    specs(&mut out, steps::all().iter().map(|kind| &kind.spec));
    refused(&mut out, STEPS);
    out.push_str("\n## Components\n\n");
    for spec in components::specs() {
        component(&mut out, spec);
    }
    out.push_str("\n## Languages\n\n");
    for language in language::all() {
        language_section(&mut out, *language);
    }
    refused(&mut out, LANGUAGES);
    out.push_str("\n## Data formats\n\n");
    specs(&mut out, data_formats::all().iter().map(|kind| &kind.spec));
    refused(&mut out, DATA_FORMATS);
    out.push_str("\n## Java names\n\nAggregation strategies:\n\n");
    list(&mut out, Strategy::class_names());
    out.push_str("\nRepositories of idempotent consumers:\n\n");
    list(&mut out, [repository::MEMORY]);
    out.push_str("\nException classes, each a kind of the one behind it:\n\n");
    for class in Class::all() {
        let parent = class.parent.map(|parent| format!(" ({})", parent.name)).unwrap_or_default();
        line(&mut out, format_args!("- `{}`{parent}", class.name));
    }
    out
}

const INTRODUCTION: &str = "# What routes may say

This page is made from the code (`cargo run -p routes --example matrix`), and a test compares it.
Routes are files in Apache Camel's YAML DSL, in its short and its canonical form.
What does not stand here is refused when a file is loaded, with its place and the nearest name that does.
Every element may also have `id`, `description` and `note`, and every step `disabled`.
";

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn list<'n>(out: &mut String, names: impl IntoIterator<Item = &'n str>) {
    for name in names {
        line(out, format_args!("- `{name}`"));
    }
}

fn specs(out: &mut String, specs: impl Iterator<Item = &'static Spec>) {
    for spec in specs {
        section(out, "###", spec);
    }
}

fn section(out: &mut String, level: &str, spec: &'static Spec) {
    line(out, format_args!("{level} `{}`\n\n{}.", spec.name, spec.about));
    if let Some(scalar) = spec.scalar {
        line(out, format_args!("A text alone is its `{scalar}`."));
    }
    match spec.inline {
        Inline::Nothing => {}
        Inline::Value => line(out, format_args!("It has an expression.")),
        Inline::OptionalValue => line(out, format_args!("It may have an expression.")),
        Inline::Condition => line(out, format_args!("It has a condition.")),
        Inline::Loop => line(out, format_args!("It has an expression, or with `doWhile` a condition.")),
        Inline::DataFormat => line(out, format_args!("It has a data format.")),
    }
    out.push('\n');
    let rows = spec.options.iter().map(|option| (option.name, option_words(option), option.about));
    table(out, rows);
    for option in spec.options {
        if let Takes::One(inner) | Takes::Many(inner) = option.takes {
            // What is an entry of its own has its own section.
            if !top_level_specs().iter().any(|known| known.name == inner.name) {
                section(out, "####", inner);
            }
        }
    }
}

fn option_words(option: &OptionSpec) -> String {
    let words = match option.takes {
        Takes::Meaningless(_) | Takes::Unused(..) => "taken, without effect".to_owned(),
        Takes::Refused(_) => "refused".to_owned(),
        takes => takes.words(),
    };
    if option.is_required { format!("{words}; must be there") } else { words }
}

fn table(out: &mut String, rows: impl Iterator<Item = (&'static str, String, &'static str)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    out.push_str("| option | takes | about |\n|---|---|---|\n");
    for (name, takes, about) in rows {
        line(out, format_args!("| `{name}` | {} | {about} |", takes.replace('|', "\\|")));
    }
    out.push('\n');
}

fn component(out: &mut String, spec: &'static ComponentSpec) {
    let side = match spec.side {
        Side::From => "Only in `from`.",
        Side::To => "Only in `to` and the like.",
        Side::Both => "In `from` and in `to`.",
    };
    let address = if spec.path.is_empty() { format!("{}:", spec.name) } else { format!("{}:{}", spec.name, spec.path) };
    line(out, format_args!("### `{address}`\n\n{}.\n{side}\n", spec.about));
    let rows = spec.options.iter().map(|option| {
        let words = match option.takes {
            Takes::Meaningless(_) => "taken, without effect".to_owned(),
            Takes::Refused(_) => "refused".to_owned(),
            takes => takes.words(),
        };
        let side = match option.side {
            Side::Both => "",
            Side::From => " (`from`)",
            Side::To => " (`to`)",
        };
        (option.name, format!("{words}{side}"), option.about)
    });
    table(out, rows);
}

fn language_section(out: &mut String, language: &'static dyn Language) {
    line(out, format_args!("### `{}`\n", language.name()));
    let rows = language.options().iter().map(|option| {
        let words = match option.values {
            OptionValues::Text => "a text".to_owned(),
            OptionValues::Bool => Takes::Bool.words(),
            OptionValues::Integer => "a whole number".to_owned(),
            OptionValues::Kind => Takes::Kind.words(),
            OptionValues::OneOf(words) => format!("one of {}", words.join(", ")),
            OptionValues::Meaningless(_) => "taken, without effect".to_owned(),
            OptionValues::Refused(_) => "refused".to_owned(),
        };
        (option.name, words, option.about)
    });
    table(out, rows);
    match language.name() {
        "simple" => simple_functions(out),
        "jq" => {
            let names: Vec<_> = language::jq::functions().iter().map(|name| format!("`{name}`")).collect();
            line(out, format_args!("Functions, with the number of their arguments: {}.\n", names.join(", ")));
        }
        _ => {}
    }
}

fn simple_functions(out: &mut String) {
    out.push_str(SIMPLE);
    for family in language::simple::FAMILIES {
        line(out, format_args!("#### {}\n\n| function | Camel |\n|---|---|", family.title));
        for function in family.functions {
            line(out, format_args!("| `{}` | {} |", function.usage().replace('|', "\\|"), function.since));
        }
        out.push('\n');
    }
    out.push_str("#### Operators\n\n| operator | Camel |\n|---|---|\n");
    for (operator, since) in language::simple::operators() {
        line(out, format_args!("| `{}` | {since} |", operator.replace('|', "\\|")));
    }
    out.push('\n');
    refused(out, language::simple::refused());
}

const SIMPLE: &str = "The language of Camel 4.22, and what the documentation of the next version adds (4.23 below); 4.17 stands for that or an older one.
Where a value is wanted, operators outside of braces are text, as in Camel.
`libs/routes/tests/expressions/` has what Camel answered to 840 expressions, and the reason where the answer here is another one.

";

fn refused(out: &mut String, names: &[Unsupported]) {
    out.push_str("### Not supported\n\n| name | instead |\n|---|---|\n");
    for (name, instead) in names {
        line(out, format_args!("| `{name}` | {instead} |"));
    }
    out.push('\n');
}
