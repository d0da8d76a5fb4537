//! Schemas that a derive cannot write: flattened structures as one object, and the body of a merge patch.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use utoipa::openapi::schema::{AllOf, ArrayItems, Object};
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What a reference to a schema begins with.
const SCHEMAS: &str = "#/components/schemas/";
/// How deep structures are flattened into each other.
const DEPTH_MAX: usize = 8;

/// The body of a [`crate::Patch`] of `T`, for the description: the same fields, of which none is required.
#[derive(Debug)]
pub struct PatchOf<T>(PhantomData<T>);

impl<T: ToSchema> PartialSchema for PatchOf<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.required.clear();
        }
        schema
    }
}

impl<T: ToSchema> ToSchema for PatchOf<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Patch", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

/// Writes structures with flattened ones in them as the single objects that they are in JSON. As `allOf` they could
/// never be valid, where one of the parts refuses unknown fields.
pub(super) fn flatten(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    let known = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        flatten_within(schema, &known, DEPTH_MAX);
    }
}

/// A page, say, holds the description of its items within its own.
fn flatten_within(schema: &mut RefOr<Schema>, known: &BTreeMap<String, RefOr<Schema>>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let RefOr::T(inner) = schema else { return };
    match inner {
        Schema::AllOf(parts) => {
            if let Some(object) = merged(parts, known, depth) {
                *inner = Schema::Object(object);
            }
        }
        Schema::Object(object) => {
            object.properties.values_mut().for_each(|property| flatten_within(property, known, depth));
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                flatten_within(items, known, depth);
            }
        }
        _ => {}
    }
}

/// The object that has the properties of all parts; `None` when a part is no object.
fn merged(parts: &AllOf, known: &BTreeMap<String, RefOr<Schema>>, depth: usize) -> Option<Object> {
    let mut whole = Object::new();
    whole.description.clone_from(&parts.description);
    for part in &parts.items {
        let object = object(part, known, depth.checked_sub(1)?)?;
        whole.properties.extend(object.properties);
        whole.required.extend(object.required);
    }
    Some(whole)
}

fn object(schema: &RefOr<Schema>, known: &BTreeMap<String, RefOr<Schema>>, depth: usize) -> Option<Object> {
    match schema {
        RefOr::T(Schema::Object(object)) => Some(object.clone()),
        RefOr::T(Schema::AllOf(parts)) => merged(parts, known, depth),
        RefOr::Ref(reference) => {
            let name = reference.ref_location.strip_prefix(SCHEMAS)?;
            object(known.get(name)?, known, depth.checked_sub(1)?)
        }
        RefOr::T(_) => None,
    }
}
