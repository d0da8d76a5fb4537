//! Decides who is told what: events in, notification events out.

use contracts::NOTIFICATION_EVENTS;
use contracts::notification::{NotificationEmail, recipient_key};
use contracts::user::UserCreated;
use eventkit::{Envelope, Handle, HandlerResult, Received, RecipientType, UnitOfWork};
use serde_json::{Map, Value};

/// Turns events into notifications; the events' ids follow from their causes, so twice routed is once told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Router;

impl Handle<UserCreated> for Router {
    async fn handle(&self, received: &Received<UserCreated>, work: &mut UnitOfWork) -> HandlerResult {
        let user = &received.event;
        let variables = [
            ("firstName", Value::from(user.first_name.as_str())),
            ("lastName", Value::from(user.last_name.as_str())),
            ("employeeId", Value::from(user.employee_id)),
        ];
        let email = NotificationEmail {
            to: Some(user.email.clone()),
            subject: "Welcome to TechLeet".to_owned(),
            template: "user-welcome".to_owned(),
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>(),
        };
        let recipient = RecipientType::Employee;
        let key = recipient_key(recipient, user.employee_id);
        let envelope = Envelope::of(&email)?.to_recipient(recipient, user.employee_id);
        work.publish_event(NOTIFICATION_EVENTS, &key, envelope).await?;
        Ok(())
    }
}
