//! Expansions as a reader would see them, kept in `tests/golden`: a change of what the macros
//! generate is a change of those files.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{event, publish};

fn pretty(tokens: TokenStream) -> String {
    let file = syn::parse2(tokens).expect("the expansion is a list of items");
    prettyplease::unparse(&file)
}

macro_rules! golden {
    ($name:literal, $tokens:expr) => {
        insta::with_settings!({
            snapshot_path => "../tests/golden",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!($name, pretty($tokens));
        });
    };
}

#[test]
fn an_event_with_key_and_upcasters() {
    golden!(
        "derive_full",
        event::expand(quote! {
            #[derive(Event)]
            #[event(type = "user.created", version = 3, topic = topics::USER_EVENTS)]
            #[event(key = "user-{employee_id}-{{{r}}}", upcast(2 = v2::to_v3, 1 = v1::to_v2))]
            struct UserCreated<T: Serialize, const N: usize> where T: Clone {
                employee_id: i64,
                r#r: T,
            }
        })
    );
}

#[test]
fn an_enum_with_the_defaults() {
    golden!(
        "derive_enum",
        event::expand(quote! {
            #[event(type = "audit.data", topic = AUDIT_EVENTS)]
            enum Audit { Written { id: i64 }, Read }
        })
    );
}

#[test]
fn the_short_form_on_a_method() {
    golden!(
        "publish_short",
        publish::expand(
            quote!(UserCreated),
            quote! {
                /// Creates a user.
                #[tracing::instrument(skip_all)]
                pub async fn create_user(
                    &self,
                    work: &mut UnitOfWork,
                    NewUser { name, .. }: NewUser,
                ) -> Result<User, Error> {
                    #![allow(clippy::needless_return)]
                    let user = self.store.insert(work, name).await?;
                    return Ok(user);
                }
            }
        )
    );
}

#[test]
fn the_long_form_on_a_function() {
    golden!(
        "publish_long",
        publish::expand(
            quote! {
                topic = USER_EVENTS,
                event_type = UserCreated,
                key_extractor = |user| format!("user-{}", user.employee_id),
                data_extractor = UserCreated::from_user,
                work = tx,
            },
            quote! {
                async fn create_user<'a, S: Store>(
                    store: &S,
                    mut tx: &'a mut Work<'_>,
                    labels: impl Iterator<Item = String> + Send,
                ) -> Result<User<impl Labels>, Error> where S: Sync {
                    store.insert(tx, labels.collect()).await
                }
            }
        )
    );
}
