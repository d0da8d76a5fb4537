//! `#[derive(Event)]`: the constants of an event, its upcasters and its key.

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Data, DeriveInput, Expr, Fields, GenericParam, Ident, LitInt, LitStr, Member, Path, Token, parenthesized};

use crate::args::{Names, read_list};
use crate::errors::Errors;
use crate::key::{self, Part};

const ARGUMENTS: &str = "`type`, `version`, `topic`, `key` and `upcast(…)`";

/// Turns a struct or an enum with its `#[event(…)]` into the implementations.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let args = EventArgs::read(&input, &mut errors);
    check_generics(&input, &mut errors);
    let key = args.key.as_ref().and_then(|literal| KeyTemplate::read(literal, &input.data, &mut errors));
    if let Data::Union(union) = &input.data {
        errors.at(union.union_token.span, "an event is a struct or an enum: a union cannot be written as JSON");
    }
    let (Some(event_type), Some(topic), true) = (&args.event_type, &args.topic, errors.is_empty()) else {
        return errors.into_tokens();
    };
    let event = event_impl(&input, event_type, topic, &args);
    let keyed = key.map(|key| key.implementation(&input));
    quote!(#event #keyed)
}

fn event_impl(input: &DeriveInput, event_type: &LitStr, topic: &Expr, args: &EventArgs) -> TokenStream {
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let version = args.version;
    let upcasters = args.upcasters.iter().map(|upcaster| {
        let Upcaster { from, apply } = upcaster;
        quote!(::eventkit::event::Upcaster { from: #from, apply: #apply })
    });
    quote! {
        #[automatically_derived]
        impl #impl_generics ::eventkit::Event for #name #type_generics #where_clause {
            const TYPE: &'static str = #event_type;
            const VERSION: u32 = #version;
            const TOPIC: &'static str = #topic;
            const UPCASTERS: &'static [::eventkit::event::Upcaster] = &[#(#upcasters),*];
        }
    }
}

fn check_generics(input: &DeriveInput, errors: &mut Errors) {
    for param in &input.generics.params {
        if let GenericParam::Lifetime(lifetime) = param {
            errors.on(
                lifetime,
                "an event owns its data, so that it can be read back from the wire: use owned \
                 fields instead of a lifetime",
            );
        }
    }
}

/// What `#[event(…)]` says.
struct EventArgs {
    event_type: Option<LitStr>,
    version: u32,
    topic: Option<Expr>,
    key: Option<LitStr>,
    upcasters: Vec<Upcaster>,
}

struct Upcaster {
    from: u32,
    apply: Path,
}

impl EventArgs {
    fn read(input: &DeriveInput, errors: &mut Errors) -> Self {
        let mut args = Self { event_type: None, version: 1, topic: None, key: None, upcasters: Vec::new() };
        let mut reader = Reader::default();
        for attr in input.attrs.iter().filter(|attr| attr.path().is_ident("event")) {
            let list = match attr.meta.require_list() {
                Ok(list) => list,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            let parser = |input: ParseStream<'_>| {
                read_list(input, errors, |input, errors| reader.argument(&mut args, input, errors));
                Ok(())
            };
            if let Err(error) = parser.parse2(list.tokens.clone()) {
                errors.push(error);
            }
        }
        for required in ["type", "topic"] {
            if !reader.names.has(required) {
                let example = match required {
                    "type" => "type = \"user.created\"",
                    _ => "topic = USER_EVENTS",
                };
                errors.at(input.ident.span(), format_args!("`{required}` is missing: write `#[event({example}, …)]`"));
            }
        }
        reader.check_upcasters(&args, errors);
        args.upcasters.sort_by_key(|upcaster| upcaster.from);
        args
    }
}

/// State that is needed only while the arguments are read.
#[derive(Default)]
struct Reader {
    names: Names,
    version_is_wrong: bool,
    /// Where `upcast` stands, when it was given.
    upcast_span: Option<Span>,
    /// The versions named in `upcast`, also those whose function could not be read.
    upcast_from: Vec<(u32, Span)>,
    upcast_is_wrong: bool,
}

impl Reader {
    fn argument(&mut self, args: &mut EventArgs, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        let name = input.call(Ident::parse_any)?;
        let text = name.unraw().to_string();
        let known = ["type", "version", "topic", "key", "upcast"].contains(&text.as_str());
        if !known {
            return Err(syn::Error::new(
                name.span(),
                format_args!("`{text}` is not an argument of `#[event]`; these are: {ARGUMENTS}"),
            ));
        }
        let first = self.names.first_use(&name, errors);
        if text == "upcast" {
            let content;
            parenthesized!(content in input);
            self.upcast_span = Some(name.span());
            read_list(&content, errors, |input, _| {
                let span = input.span();
                let from = read_version(input).inspect_err(|_| self.upcast_is_wrong = true)?;
                self.upcast_from.push((from, span));
                input.parse::<Token![=]>()?;
                let apply = input.parse()?;
                args.upcasters.push(Upcaster { from, apply });
                Ok(())
            });
            return Ok(());
        }
        input.parse::<Token![=]>()?;
        match text.as_str() {
            "type" => {
                let literal = input.parse::<LitStr>()?;
                check_type(&literal, errors);
                args.event_type = args.event_type.take().or(Some(literal));
            }
            "version" => {
                self.version_is_wrong = true;
                let version = read_version(input)?;
                if first {
                    args.version = version;
                    self.version_is_wrong = false;
                }
            }
            "topic" => args.topic = Some(input.parse()?),
            _ => args.key = Some(input.parse()?),
        }
        Ok(())
    }

    /// Upcasters lead from every older version to the next: a gap would strand old events.
    fn check_upcasters(&self, args: &EventArgs, errors: &mut Errors) {
        let Some(span) = self.upcast_span else { return };
        let mut seen = BTreeSet::new();
        for &(from, span) in &self.upcast_from {
            if !seen.insert(from) {
                errors.at(span, format_args!("version {from} is upcast twice"));
            } else if from >= args.version && !self.version_is_wrong {
                errors.at(
                    span,
                    format_args!("there is nothing to upcast version {from} to: the event is version {}", args.version),
                );
            }
        }
        if self.version_is_wrong || self.upcast_is_wrong {
            return;
        }
        for missing in (1..args.version).filter(|version| !seen.contains(version)) {
            errors.at(span, format_args!("the upcaster from version {missing} is missing"));
        }
    }
}

fn read_version(input: ParseStream<'_>) -> syn::Result<u32> {
    let literal = input.parse::<LitInt>()?;
    match literal.base10_parse::<u32>()? {
        0 => Err(syn::Error::new(literal.span(), "versions are counted from 1")),
        version => Ok(version),
    }
}

fn check_type(literal: &LitStr, errors: &mut Errors) {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
    };
    let value = literal.value();
    let words: Vec<&str> = value.split('.').collect();
    if words.len() != 2 || !words.iter().copied().all(is_word) {
        errors.at(
            literal.span(),
            "an event type is two lower-case words, what it is about and what happened: \
             `user.created`",
        );
    }
}

/// A key template whose fields all exist.
struct KeyTemplate {
    span: Span,
    parts: Vec<Part>,
    members: Vec<Member>,
}

impl KeyTemplate {
    fn read(literal: &LitStr, data: &Data, errors: &mut Errors) -> Option<Self> {
        let fields = match data {
            Data::Struct(data) => field_members(&data.fields),
            Data::Enum(_) => {
                errors.at(
                    literal.span(),
                    "an enum has no fields of its own: leave `key` out and implement \
                     `eventkit::event::Keyed`",
                );
                return None;
            }
            Data::Union(_) => return None,
        };
        let parts = match key::parse(&literal.value()) {
            Ok(parts) => parts,
            Err(mistakes) => {
                for mistake in mistakes {
                    errors.at(literal.span(), mistake);
                }
                return None;
            }
        };
        let mut members = Vec::new();
        let mut all_known = true;
        for part in &parts {
            let Part::Field(name) = part else { continue };
            match fields.iter().find(|(known, _)| known == name) {
                Some((_, member)) => members.push(member.clone()),
                None => {
                    all_known = false;
                    errors.at(literal.span(), unknown_field(name, &fields));
                }
            }
        }
        all_known.then(|| Self { span: literal.span(), parts, members })
    }

    fn implementation(&self, input: &DeriveInput) -> TokenStream {
        let name = &input.ident;
        let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
        // At the literal's place, so that a field that cannot be displayed is reported there.
        let span = Span::mixed_site().located_at(self.span);
        let members = &self.members;
        let format = self.format();
        let body = if members.is_empty() {
            let text = format.replace("{{", "{").replace("}}", "}");
            quote_spanned!(span=> ::std::string::String::from(#text))
        } else {
            quote_spanned!(span=> ::std::format!(#format, #(self.#members),*))
        };
        let method = quote_spanned! {span=>
            fn key(&self) -> ::std::string::String {
                #body
            }
        };
        quote! {
            #[automatically_derived]
            impl #impl_generics ::eventkit::event::Keyed for #name #type_generics #where_clause {
                #method
            }
        }
    }

    fn format(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.replace('{', "{{").replace('}', "}}"),
                Part::Field(_) => "{}".to_owned(),
            })
            .collect()
    }
}

fn field_members(fields: &Fields) -> Vec<(String, Member)> {
    fields
        .members()
        .map(|member| {
            let name = match &member {
                Member::Named(ident) => ident.unraw().to_string(),
                Member::Unnamed(index) => index.index.to_string(),
            };
            (name, member)
        })
        .collect()
}

fn unknown_field(name: &str, fields: &[(String, Member)]) -> String {
    if fields.is_empty() {
        return format!("there is no field `{name}`: the struct has none");
    }
    let known: Vec<String> = fields.iter().map(|(name, _)| format!("`{name}`")).collect();
    format!("there is no field `{name}`; the fields are {}", known.join(", "))
}
