//! The arguments of `#[publish_event]`.

use proc_macro2::TokenStream;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, ExprClosure, Ident, Lit, Token, Type};

use crate::args::{Names, read_list, starts_named};
use crate::errors::Errors;

const ARGUMENTS: &str = "`event_type`, `topic`, `key_extractor`, `data_extractor` and `work`";

/// What `#[publish_event(…)]` says; what is missing comes from the event's own type.
#[derive(Default)]
pub(crate) struct PublishArgs {
    /// The event; `None` only when a mistake was reported.
    pub(crate) event_type: Option<Type>,
    /// Where the event goes.
    pub(crate) topic: Option<Expr>,
    /// Its key, from the value that the function returned.
    pub(crate) key: Option<Extractor>,
    /// The event, from the value that the function returned.
    pub(crate) data: Option<Extractor>,
    /// The name of the parameter that is the unit of work.
    pub(crate) work: Option<Ident>,
}

/// A function of the returned value.
pub(crate) enum Extractor {
    /// Written in place. Its parameter's type follows from where it is called.
    Closure(ExprClosure),
    /// The path of a function.
    Path(Expr),
}

impl PublishArgs {
    /// Reads all arguments and reports everything that is wrong with them.
    pub(crate) fn read(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let mut names = Names::default();
        let parser = |input: ParseStream<'_>| {
            read_list(input, errors, |input, errors| args.argument(&mut names, input, errors));
            Ok(())
        };
        if let Err(error) = parser.parse2(tokens) {
            errors.push(error);
        }
        if !names.has("event_type") {
            errors.at(
                proc_macro2::Span::call_site(),
                "which event is published? Write `#[publish_event(UserCreated)]` or \
                 `event_type = UserCreated`",
            );
        }
        args
    }

    fn argument(&mut self, names: &mut Names, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
        if !starts_named(input) {
            let name = Ident::new("event_type", input.span());
            names.first_use(&name, errors);
            self.event_type = Some(read_type(input)?);
            return Ok(());
        }
        let name = input.call(Ident::parse_any)?;
        let text = name.unraw().to_string();
        let known = ["event_type", "topic", "key_extractor", "data_extractor", "work"];
        if !known.contains(&text.as_str()) {
            return Err(syn::Error::new(
                name.span(),
                format_args!("`{text}` is not an argument of `#[publish_event]`; these are: {ARGUMENTS}"),
            ));
        }
        names.first_use(&name, errors);
        input.parse::<Token![=]>()?;
        match text.as_str() {
            "event_type" => self.event_type = Some(read_type(input)?),
            "topic" => self.topic = Some(input.parse()?),
            "key_extractor" => self.key = Extractor::read(input.parse()?, errors),
            "data_extractor" => self.data = Extractor::read(input.parse()?, errors),
            _ => self.work = Some(input.parse()?),
        }
        Ok(())
    }
}

impl Extractor {
    fn read(expr: Expr, errors: &mut Errors) -> Option<Self> {
        match expr {
            Expr::Group(group) => Self::read(*group.expr, errors),
            Expr::Paren(paren) => Self::read(*paren.expr, errors),
            Expr::Path(_) => Some(Self::Path(expr)),
            Expr::Closure(closure) => {
                if let Some(asyncness) = closure.asyncness {
                    errors
                        .at(asyncness.span, "an extractor only looks at the value and cannot wait: leave `async` out");
                    return None;
                }
                if closure.inputs.len() != 1 {
                    errors.on(&closure, "an extractor has one parameter, the value that the function returned");
                    return None;
                }
                Some(Self::Closure(closure))
            }
            other => {
                errors.on(other, "an extractor is a closure `|value| …` or the path of a function");
                None
            }
        }
    }
}

fn read_type(input: ParseStream<'_>) -> syn::Result<Type> {
    if input.peek(Lit) {
        return Err(input.error(
            "the event is named by its Rust type, such as `UserCreated`; the type knows its name \
             on the wire",
        ));
    }
    input.parse()
}
