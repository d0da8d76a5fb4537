//! `#[publish_event]`: the function's body, and after it one call that publishes.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, Type};

use crate::errors::Errors;
use crate::function::{Checked, Function};
use crate::publish_args::{Extractor, PublishArgs};

/// Turns a function and the arguments of its attribute into the function that publishes.
///
/// When anything is wrong the function is emitted as it came, with the mistakes beside it: what
/// calls it then compiles, and no second wave of errors covers the first.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = PublishArgs::read(args, &mut errors);
    let function = errors.keep(syn::parse2::<Function>(item.clone()));
    let checked = function.as_ref().and_then(|function| function.check(args.work.as_ref(), &mut errors));
    match (function, checked, &args.event_type) {
        (Some(function), Some(checked), Some(event)) if errors.is_empty() => {
            publishing(function, &checked, event, &args)
        }
        _ => {
            let errors = errors.into_tokens();
            quote!(#item #errors)
        }
    }
}

fn publishing(mut function: Function, checked: &Checked, event: &Type, args: &PublishArgs) -> TokenStream {
    let Checked { returned, returned_span, work } = checked;
    let mutability = function.take_work_mutability(work);
    let Function { attrs, vis, sig, inner_attrs, body } = function;
    // Names of locals that the user's code neither sees nor hides.
    let result = Ident::new("result", Span::mixed_site());
    let typed = Ident::new("typed", Span::mixed_site());
    let describe = describe(event, args);
    // At the return type's place, so that an error type without `From<eventkit::Error>` is
    // reported there.
    let publish = quote_spanned! {Span::mixed_site().located_at(*returned_span)=>
        ::eventkit::publish::after_success(#work, #result, #describe).await
    };
    // The body gets the unit of work reborrowed, so that it may give its binding away, and the
    // other arguments moved, as in a function of its own. The pattern that never matches tells
    // the compiler the type of the block, which `?` and `return` in it need to know.
    quote! {
        #(#attrs)*
        #vis #sig {
            #(#inner_attrs)*
            let #result: #returned = {
                #[allow(unused_variables)]
                let #mutability #work = &mut *#work;
                async move {
                    if let ::std::option::Option::Some(#typed)
                        = ::std::option::Option::None::<#returned>
                    {
                        return #typed;
                    }
                    #body
                }
                .await
            };
            #publish
        }
    }
}

/// The closure that makes the publication from a reference to the returned value.
fn describe(event: &Type, args: &PublishArgs) -> TokenStream {
    // At the event's place, so that a trait it does not implement is reported there.
    let event_span = Span::mixed_site().located_at(event.span());
    let value = Ident::new("value", event_span);
    let data = Ident::new("data", event_span);
    let key = Ident::new("key", event_span);
    let topic = match &args.topic {
        Some(topic) => quote!(#topic),
        None => quote_spanned!(event_span=> <#event as ::eventkit::Event>::TOPIC),
    };
    let data_value = match &args.data {
        Some(extractor) => extract(extractor, &value),
        None => quote_spanned!(event_span=> <#event as ::std::convert::From<&_>>::from(#value)),
    };
    let key_value = match &args.key {
        Some(extractor) => extract(extractor, &value),
        None => quote_spanned!(event_span=> <#event as ::eventkit::event::Keyed>::key(&#data)),
    };
    let closures = [&args.key, &args.data];
    let helper =
        closures.into_iter().flatten().any(|extractor| matches!(extractor, Extractor::Closure(_))).then(|| {
            quote! {
                fn __publish_event_extract<T, R>(value: &T, extractor: impl FnOnce(&T) -> R) -> R {
                    extractor(value)
                }
            }
        });
    quote_spanned! {event_span=>
        |#value| {
            #helper
            let #data: #event = #data_value;
            let #key: ::std::string::String = #key_value;
            ::eventkit::publish::Publication::<#event> {
                topic: #topic,
                key: #key,
                data: #data,
            }
        }
    }
}

/// A closure goes through a helper, whose signature tells the type of its parameter; a function
/// has its own signature and is called. Both stand at the extractor's place, for its mistakes.
fn extract(extractor: &Extractor, value: &Ident) -> TokenStream {
    let at = |span: Span| Span::mixed_site().located_at(span);
    match extractor {
        Extractor::Closure(closure) => {
            let span = at(closure.body.span());
            quote_spanned!(span=> __publish_event_extract(#value, #closure))
        }
        Extractor::Path(path) => {
            let span = at(path.span());
            quote_spanned!(span=> #path(#value))
        }
    }
}
