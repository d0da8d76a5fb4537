//! Reads comma separated arguments so that a mistake in one does not hide those in the others.

use syn::Token;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Ident, token};

use crate::errors::Errors;

/// The names of arguments already seen in one list, right or wrong.
///
/// A wrong value counts as seen, so that it is not reported as missing as well.
#[derive(Default)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Notes a name; a second use is a mistake and is answered with `false`.
    pub(crate) fn first_use(&mut self, name: &Ident, errors: &mut Errors) -> bool {
        let text = name.unraw().to_string();
        if self.has(&text) {
            errors.at(name.span(), format_args!("`{text}` is given twice"));
            return false;
        }
        self.0.push(text);
        true
    }

    /// Whether the name was seen.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|seen| seen == name)
    }
}

/// Reads items separated by commas to the end of the input.
///
/// When `item` fails, its mistake is kept and reading goes on at the next argument that can be
/// told from the rest of the broken one.
pub(crate) fn read_list(
    input: ParseStream<'_>,
    errors: &mut Errors,
    mut item: impl FnMut(ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    while !input.is_empty() {
        match item(input, errors) {
            Err(error) => {
                errors.push(error);
                skip_to_next(input);
            }
            Ok(()) if !input.is_empty() && !input.peek(Token![,]) => {
                errors.push(input.error("expected `,` between arguments"));
                skip_to_next(input);
            }
            Ok(()) => {}
        }
        // After an item there is either nothing more or a comma: both branches above see to it.
        if input.parse::<Token![,]>().is_err() {
            break;
        }
    }
}

/// Whether the input goes on with `name =`, any keyword allowed as the name.
pub(crate) fn starts_named(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==])
}

/// Drops tokens up to the comma before the next argument, or all of them.
pub(crate) fn skip_to_next(input: ParseStream<'_>) {
    while !input.is_empty() && !at_next(input) {
        // A token tree can always be read from input that is not empty.
        if input.parse::<proc_macro2::TokenTree>().is_err() {
            break;
        }
    }
}

fn at_next(input: ParseStream<'_>) -> bool {
    if !input.peek(Token![,]) {
        return false;
    }
    let ahead = input.fork();
    if ahead.parse::<Token![,]>().is_err() {
        return false;
    }
    ahead.is_empty()
        || starts_named(&ahead)
        || (ahead.peek(Ident::peek_any) && ahead.peek2(token::Paren))
        || (ahead.peek(syn::LitInt) && ahead.peek2(Token![=]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;
    use syn::parse::Parser as _;

    fn read(tokens: proc_macro2::TokenStream) -> (Vec<String>, String) {
        let mut names = Vec::new();
        let mut errors = Errors::default();
        let parser = |input: ParseStream<'_>| {
            read_list(input, &mut errors, |input, _| {
                let name = input.call(Ident::parse_any)?;
                input.parse::<Token![=]>()?;
                input.parse::<syn::LitInt>()?;
                names.push(name.to_string());
                Ok(())
            });
            Ok(())
        };
        parser.parse2(tokens).expect("the parser itself never fails");
        (names, errors.into_tokens().to_string())
    }

    #[test]
    fn a_broken_argument_does_not_hide_the_next_one() {
        let (names, errors) = read(quote!(a = 1, b = "x", y, c = 3, d 4, type = 5));
        assert_eq!(names, ["a", "c", "type"]);
        assert_eq!(errors.matches("compile_error").count(), 2);
    }

    #[test]
    fn a_trailing_comma_is_no_argument() {
        let (names, errors) = read(quote!(a = 1,));
        assert_eq!(names, ["a"]);
        assert_eq!(errors, "");
    }

    #[test]
    fn a_missing_comma_is_said() {
        let (names, errors) = read(quote!(a = 1 b = 2, c = 3));
        assert_eq!(names, ["a", "c"]);
        assert!(errors.contains("expected `,` between arguments"));
    }
}
