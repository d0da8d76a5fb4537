//! What people want to be told, over HTTP.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::entity::etag;
use chassis::{Checked, EntityError, IfMatch, Principal, Problem, ValidPath};
use contracts::access::{Action, Permission, Place, Resource};
use contracts::audit::{Action as Done, AuditData, digest};
use eventkit::{RecipientType, Work};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Desks;
use crate::directory::Lookup;
use crate::notify::{Preferences, Stored, Wishes, recipient_name};

const ENTITY: &str = "recipient";

/// Somebody who can be told something.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Path)]
pub(super) struct Recipient {
    /// What kind of person.
    #[param(inline)]
    recipient_type: Kind,
    /// The person's number.
    recipient_id: i64,
}

/// What kind of person.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Employee,
    Candidate,
}

impl Recipient {
    fn kind(self) -> RecipientType {
        match self.recipient_type {
            Kind::Employee => RecipientType::Employee,
            Kind::Candidate => RecipientType::Candidate,
        }
    }

    /// The employees themselves may, and whoever holds the permission for their department.
    async fn allow(self, desks: &Desks, principal: &Principal, action: Action) -> Result<(), Problem> {
        let (kind, id) = (self.kind(), self.recipient_id);
        if kind == RecipientType::Employee && principal.employee_id() == Some(id) {
            return Ok(());
        }
        let permission = Permission::new(Resource::Preferences, action);
        // Who may ask about nobody does not learn who is there.
        if !principal.may(permission) {
            principal.require_at(permission, Place::default())?;
        }
        let Lookup::Known(person) = desks.desk.directory.person(kind, id).await? else {
            return Err(EntityError::NotFound { entity: ENTITY, id }.into());
        };
        let mut place = Place { headquarter_id: None, department_id: person.department_id };
        if let Some(department_id) = person.department_id
            && let Lookup::Known(department) = desks.desk.directory.department(department_id).await?
        {
            place.headquarter_id = Some(department.headquarter_id);
        }
        principal.require_at(permission, place)
    }
}

/// What somebody wants to be told, and how.
#[utoipa::path(
    get, path = "/api/v1/preferences/{recipientType}/{recipientId}", tag = "preferences", params(Recipient),
    responses((status = 200, body = Wishes, headers(("ETag" = String, description = "The version"))))
)]
pub(super) async fn get_preferences(
    State(desks): State<Desks>,
    principal: Principal,
    ValidPath(recipient): ValidPath<Recipient>,
) -> Result<Response, Problem> {
    recipient.allow(&desks, &principal, Action::Read).await?;
    let stored = desks.desk.preferences.stored(recipient.kind(), recipient.recipient_id).await?;
    Ok(answer(stored))
}

/// Says what somebody wants to be told, and how; what is not said is wanted.
#[utoipa::path(
    put, path = "/api/v1/preferences/{recipientType}/{recipientId}", tag = "preferences",
    params(Recipient, ("If-Match" = Option<String>, Header, description = "The version that is meant")),
    request_body = Wishes,
    responses((status = 200, body = Wishes, headers(("ETag" = String, description = "The version"))))
)]
pub(super) async fn put_preferences(
    State(desks): State<Desks>,
    principal: Principal,
    ValidPath(recipient): ValidPath<Recipient>,
    if_match: IfMatch,
    mut work: Work,
    Checked(wishes): Checked<Wishes>,
) -> Result<Response, Problem> {
    recipient.allow(&desks, &principal, Action::Update).await?;
    if let Some(name) = wishes.templates().find(|name| !desks.desk.templates.has(name)) {
        return Err(EntityError::field("templates", format!("{name:?} is no template")).into());
    }
    let (kind, id) = (recipient.kind(), recipient.recipient_id);
    let key = format!("preferences-{}-{id}", recipient_name(kind));
    work.lock_entity(&key).await?;
    let before = Preferences::stored_in(&mut work, kind, id).await?;
    if_match.check("preferences of recipient", id, before.version)?;
    if before.wishes == wishes {
        return Ok(answer(before));
    }
    let after = Stored { version: before.version + 1, wishes };
    Preferences::store(&mut work, kind, id, &after).await?;
    work.publish(&AuditData {
        actor: principal.actor(),
        action: if before.version == 0 { Done::Create } else { Done::Update },
        entity: key,
        before: (before.version != 0).then(|| digest(&before.wishes)),
        after: Some(digest(&after.wishes)),
    })
    .await?;
    Ok(answer(after))
}

fn answer(stored: Stored) -> Response {
    (etag(stored.version), Json(stored.wishes)).into_response()
}
