//! Invitations: a one-time link by mail, with which an employee sets a password and becomes active.

use chassis::{EntityError, Principal, Secret};
use contracts::NOTIFICATION_EVENTS;
use contracts::audit::{Actor, Incident};
use contracts::notification::{NotificationEmail, recipient_key};
use contracts::user::LogoutReason;
use eventkit::{Envelope, RecipientType, UnitOfWork};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::{Client, Service, UPDATE};
use crate::answers::Whose;
use crate::domain::employee::key;
use crate::domain::{Employee, Status, password};
use crate::error::Error;
use crate::store;
use crate::tokens::{hash_of, random_token};

/// The template of the mail, in `deploy/templates`.
const TEMPLATE: &str = "user-invitation";
const REFUSED: &str = "the invitation is not known, was used, or has expired";

impl Service {
    /// Sends a new invitation, which ends those before; for an active employee it is the way to a new password.
    pub(crate) async fn send_invitation(
        &self,
        work: &mut UnitOfWork,
        principal: &Principal,
        employee_id: i64,
    ) -> Result<(), Error> {
        work.lock_entity(&key(employee_id)).await?;
        let employee = store::employees::find(&mut *work, employee_id).await?;
        principal.allow_at(UPDATE, employee.place())?;
        self.require_not_above(work, principal, employee_id).await?;
        if !matches!(employee.status, Status::Invited | Status::Active) {
            let detail = "only an invited or an active employee can be invited; who has left is made invited first";
            return Err(EntityError::Conflict(detail.to_owned()).into());
        }
        self.invite(work, &employee).await
    }

    /// Stores an invitation and has it sent.
    pub(super) async fn invite(&self, work: &mut UnitOfWork, employee: &Employee) -> Result<(), Error> {
        let token = random_token()?;
        let expires_at_ms = self.clock.now_ms().saturating_add(self.limits.invitation_keep_ms);
        store::invitations::replace(work, employee.employee_id, &hash_of(&token), expires_at_ms).await?;
        let expires_at = jiff::Timestamp::from_millisecond(expires_at_ms).unwrap_or(jiff::Timestamp::MAX);
        let expires_at = TimeZone::UTC.to_datetime(expires_at).strftime("%Y-%m-%d %H:%M UTC").to_string();
        let link = format!("{}?token={token}", self.limits.invitation_url);
        let variables = [("firstName", employee.first_name.clone()), ("link", link), ("expiresAt", expires_at)];
        let email = NotificationEmail {
            to: Some(employee.email.clone()),
            subject: "Your invitation to TechLeet".to_owned(),
            template: TEMPLATE.to_owned(),
            variables: variables
                .into_iter()
                .map(|(name, text)| (name.to_owned(), Value::from(text)))
                .collect::<Map<_, _>>(),
        };
        let envelope = Envelope::of(&email)?.to_recipient(RecipientType::Employee, employee.employee_id);
        let recipient = recipient_key(RecipientType::Employee, employee.employee_id);
        work.publish_event(NOTIFICATION_EVENTS, &recipient, envelope).await?;
        Ok(())
    }

    /// Sets the password of whoever was invited, who is active from then on.
    pub(crate) async fn accept_invitation(
        &self,
        work: &mut UnitOfWork,
        client: &Client,
        token: &Secret,
        new_password: Secret,
    ) -> Result<(), Error> {
        let attempt = self.attempts.begin(client.address, None, self.clock.now_ms()).await?;
        let token_hash = hash_of(token.expose());
        let invited = store::invitations::find(&self.db, &token_hash, self.clock.now_ms()).await;
        let (attempt, invited) = self.attempts.judged(attempt, invited).await?;
        let Some(employee_id) = invited else {
            return Err(self.not_let_in(work, client, Incident::TokenRefused, None, REFUSED).await);
        };
        self.attempts.forgive(attempt).await;
        let employee = store::employees::find(&self.db, employee_id).await?;
        password::check(new_password.expose(), &[&employee.first_name, &employee.last_name, &employee.email])?;
        let hash = self.hasher.hash(new_password).await?;
        if employee.status != Status::Invited {
            // Who has a password already may be logged in.
            self.answers.before_change(Whose::Employee(employee_id)).await?;
        }
        work.lock_entity(&key(employee_id)).await?;
        let is_mine = store::invitations::use_up(work, &token_hash).await?;
        let before = store::employees::find(&mut *work, employee_id).await?;
        if !is_mine || !matches!(before.status, Status::Invited | Status::Active) {
            work.undo().await;
            let entity = Some(before.key());
            return Err(self.not_let_in(work, client, Incident::TokenRefused, entity, REFUSED).await);
        }
        let actor = Actor::Employee { employee_id };
        store::employees::set_password(work, employee_id, &hash).await?;
        self.end_sessions(work, employee_id, LogoutReason::Revoked, &actor).await?;
        let mut fields = before.fields();
        fields.status = Some(Status::Active);
        self.change(work, actor, &before, &fields, Status::Active).await?;
        Ok(())
    }
}
