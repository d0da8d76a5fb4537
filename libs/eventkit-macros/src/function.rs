//! The function under `#[publish_event]`: what the macro needs to know of it.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, FnArg, Ident, Pat, PatType, ReturnType, Signature, Token, Type, Visibility, braced};

use crate::errors::Errors;

const UNIT_OF_WORK: &str = "UnitOfWork";

/// What an attribute is put on by mistake; told by its first word.
const NOT_FUNCTIONS: [fn(ParseStream<'_>) -> bool; 6] = [
    |input| input.peek(Token![struct]),
    |input| input.peek(Token![enum]),
    |input| input.peek(Token![impl]),
    |input| input.peek(Token![trait]),
    |input| input.peek(Token![mod]),
    |input| input.peek(Token![type]),
];

/// A function with a body. The body stays tokens: what stands in it is the compiler's matter.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// Attributes at the start of the body, which belong to the function.
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if NOT_FUNCTIONS.iter().any(|peek| peek(input)) {
            return Err(input.error("`#[publish_event]` goes on an `async fn`"));
        }
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            return Err(syn::Error::new_spanned(
                &sig,
                "`#[publish_event]` needs the body of the function: put it on the implementation",
            ));
        }
        let content;
        braced!(content in input);
        Ok(Self { attrs, vis, sig, inner_attrs: content.call(Attribute::parse_inner)?, body: content.parse()? })
    }
}

/// The parts of a signature that the expansion is built from.
pub(crate) struct Checked {
    /// The function's return type as an annotation inside it.
    pub(crate) returned: Type,
    /// Where the return type stands.
    pub(crate) returned_span: Span,
    /// The name of the unit of work.
    pub(crate) work: Ident,
}

impl Function {
    /// Checks the signature; `None` when something was wrong and reported.
    pub(crate) fn check(&self, work: Option<&Ident>, errors: &mut Errors) -> Option<Checked> {
        if self.sig.asyncness.is_none() {
            errors.at(
                self.sig.fn_token.span,
                "`#[publish_event]` goes on an `async fn`: storing the event waits for the database",
            );
        }
        let returned = self.check_return(errors);
        let work = match work {
            Some(name) => self.named_work(name, errors),
            None => self.typed_work(errors),
        };
        let mut returned = returned?;
        let returned_span = returned.span();
        InferImplTrait.visit_type_mut(&mut returned);
        Some(Checked { returned, returned_span, work: work? })
    }

    /// Takes `mut` off the unit of work in the signature, since the body gets its own binding, and
    /// says whether it was there.
    pub(crate) fn take_work_mutability(&mut self, work: &Ident) -> Option<Token![mut]> {
        self.sig.inputs.iter_mut().filter_map(typed_mut).find_map(|param| match &mut *param.pat {
            Pat::Ident(pat) if pat.ident == *work => pat.mutability.take(),
            _ => None,
        })
    }

    fn check_return(&self, errors: &mut Errors) -> Option<Type> {
        const MESSAGE: &str = "`#[publish_event]` publishes after `Ok` and not after `Err`: the function has to return \
             a `Result`";
        match &self.sig.output {
            ReturnType::Type(_, ty) if is_result(ty) => Some(Type::clone(ty)),
            ReturnType::Type(_, ty) => {
                errors.on(ty, MESSAGE);
                None
            }
            ReturnType::Default => {
                errors.at(self.sig.ident.span(), MESSAGE);
                None
            }
        }
    }

    fn named_work(&self, name: &Ident, errors: &mut Errors) -> Option<Ident> {
        let found = params(&self.sig.inputs).find(|param| param_name(param).is_some_and(|ident| ident == name));
        let Some(param) = found else {
            let names: Vec<String> =
                params(&self.sig.inputs).filter_map(param_name).map(|ident| format!("`{ident}`")).collect();
            let message = if names.is_empty() {
                format!("there is no parameter `{name}`: the function has none")
            } else {
                format!("there is no parameter `{name}`; there are {}", names.join(", "))
            };
            errors.at(name.span(), message);
            return None;
        };
        if mutable_target(&param.ty).is_none() {
            errors.on(&param.ty, "the unit of work has to be a `&mut` reference: the event is added to it");
            return None;
        }
        param_name(param).cloned()
    }

    fn typed_work(&self, errors: &mut Errors) -> Option<Ident> {
        let found: Vec<&PatType> =
            params(&self.sig.inputs).filter(|param| mutable_target(&param.ty).is_some_and(is_unit_of_work)).collect();
        match found.as_slice() {
            [param] => {
                let name = param_name(param).cloned();
                if name.is_none() {
                    errors.on(&param.pat, "the unit of work needs a plain name: the event is added to it");
                }
                name
            }
            [] => {
                errors.at(
                    self.sig.ident.span(),
                    "no parameter is a `&mut UnitOfWork`, which the event is added to: add one, or \
                     name it with `work = …` if its type is called something else",
                );
                None
            }
            several => {
                for param in several {
                    errors.on(
                        param,
                        "more than one parameter is a `&mut UnitOfWork`: say which one gets the \
                         event with `work = …`",
                    );
                }
                None
            }
        }
    }
}

fn params(inputs: &Punctuated<FnArg, Token![,]>) -> impl Iterator<Item = &PatType> {
    inputs.iter().filter_map(|arg| match arg {
        FnArg::Typed(param) => Some(param),
        FnArg::Receiver(_) => None,
    })
}

fn typed_mut(arg: &mut FnArg) -> Option<&mut PatType> {
    match arg {
        FnArg::Typed(param) => Some(param),
        FnArg::Receiver(_) => None,
    }
}

fn param_name(param: &PatType) -> Option<&Ident> {
    match &*param.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(&pat.ident),
        _ => None,
    }
}

/// What a `&mut` type points to.
fn mutable_target(ty: &Type) -> Option<&Type> {
    match peel(ty) {
        Type::Reference(reference) if reference.mutability.is_some() => Some(&reference.elem),
        _ => None,
    }
}

fn is_unit_of_work(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| segment == UNIT_OF_WORK)
}

/// `Result` and aliases called after it, such as `ApiResult`.
fn is_result(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| segment.to_string().ends_with("Result"))
}

fn last_segment(ty: &Type) -> Option<&Ident> {
    match peel(ty) {
        Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        _ => None,
    }
}

/// The type without the invisible groups that macros put around it, and without parentheses.
fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        _ => ty,
    }
}

/// `impl Trait` cannot stand in an annotation inside the function; `_` means the same there.
struct InferImplTrait;

impl VisitMut for InferImplTrait {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(_) = ty {
            *ty = Type::Infer(syn::TypeInfer { attrs: Vec::new(), underscore_token: Token![_](ty.span()) });
            return;
        }
        visit_mut::visit_type_mut(self, ty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{ToTokens as _, quote};

    fn check(tokens: TokenStream, work: Option<&str>) -> (Option<Checked>, String) {
        let function: Function = syn::parse2(tokens).unwrap();
        let work = work.map(|name| Ident::new(name, Span::call_site()));
        let mut errors = Errors::default();
        let checked = function.check(work.as_ref(), &mut errors);
        (checked, errors.into_tokens().to_string())
    }

    #[test]
    fn the_unit_of_work_is_found_by_its_type_under_any_path() {
        let (checked, errors) = check(
            quote!(
                async fn f(&self, a: u8, tx: &'a mut db::UnitOfWork<'b>) -> io::Result<()> {}
            ),
            None,
        );
        assert_eq!(errors, "");
        assert_eq!(checked.unwrap().work, "tx");
    }

    #[test]
    fn a_shared_reference_is_no_unit_of_work() {
        let (_, errors) = check(
            quote!(
                async fn f(w: &UnitOfWork) -> Result<()> {}
            ),
            None,
        );
        assert!(errors.contains("no parameter is a"));
        let (_, errors) = check(
            quote!(
                async fn f(w: &W) -> Result<()> {}
            ),
            Some("w"),
        );
        assert!(errors.contains("has to be a `&mut` reference"));
    }

    #[test]
    fn mistakes_of_a_signature_are_found_together() {
        let (checked, errors) = check(
            quote!(
                fn f(a: u8) -> Option<u8> {}
            ),
            Some("b"),
        );
        assert!(checked.is_none());
        assert_eq!(errors.matches("compile_error").count(), 3);
    }

    #[test]
    fn impl_trait_in_the_return_type_is_left_to_inference() {
        let (checked, _) = check(
            quote!(
                async fn f(w: &mut UnitOfWork) -> Result<Vec<impl Copy>, Error> {}
            ),
            None,
        );
        let returned = checked.unwrap().returned.to_token_stream().to_string();
        assert_eq!(returned, quote!(Result<Vec<_>, Error>).to_string());
    }

    #[test]
    fn an_alias_that_ends_in_result_is_a_result() {
        let (checked, errors) = check(
            quote!(
                async fn f(w: &mut UnitOfWork) -> crate::ApiResult<User> {}
            ),
            None,
        );
        assert_eq!(errors, "");
        assert!(checked.is_some());
    }
}
