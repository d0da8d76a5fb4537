//! Decides who is told what: events in, notification events out, as the table of [`rules`] says.

mod incidents;
mod rules;

use contracts::NOTIFICATION_EVENTS;
use contracts::notification::{NotificationEmail, NotificationPush, NotificationSms, recipient_key};
use eventkit::envelope::{derived_id, format_millis};
use eventkit::{Envelope, Event, Handle, HandlerError, HandlerResult, Received, RecipientType, UnitOfWork};
use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

use crate::directory::{Directory, Lookup, Person};
use crate::error::Error;
use crate::metrics;
use crate::notify::Channel;
pub(crate) use incidents::Threshold;
use rules::{Audience, RULES, Rule, Source, When};

/// What notifications' ids are derived from besides the event's and the rule's.
const ROUTER: &str = "router";
/// The key of what administrators are told.
const ADMINISTRATORS_KEY: &str = "notification-administrators";
const MINUTE_MS: i64 = 60_000;

/// The rules that a router applies; two groups, so that somebody who is not known yet holds up nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those for which the event is enough.
    Told,
    /// Those that look somebody up in the directory.
    LookedUp,
}

/// Turns events into notifications; the notifications' ids follow from their causes, so twice routed is once told.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    part: Part,
    directory: Directory,
    administrators: Vec<String>,
    threshold: Threshold,
    subjects: Environment<'static>,
}

/// One event, while it is being routed.
struct News {
    event: Value,
    identity: String,
    time: Timestamp,
    /// How many incidents there were, where that was counted.
    incidents: i64,
}

/// Somebody to be told, and what was looked up on the way.
struct Recipient {
    who: Option<(RecipientType, i64)>,
    to: Option<String>,
    first_name: String,
    department: String,
}

impl Router {
    pub(crate) fn new(part: Part, directory: Directory, administrators: Vec<String>, threshold: Threshold) -> Self {
        let mut subjects = Environment::new();
        subjects.set_undefined_behavior(UndefinedBehavior::Strict);
        Self { part, directory, administrators, threshold, subjects }
    }

    fn rules(&self, event_type: &str) -> impl Iterator<Item = &'static Rule> {
        let is_looked_up = self.part == Part::LookedUp;
        RULES.iter().filter(move |rule| rule.event == event_type && rule.audience.is_looked_up() == is_looked_up)
    }

    async fn holds(&self, rule: &Rule, news: &mut News, work: &mut UnitOfWork) -> Result<bool, HandlerError> {
        let event = &news.event;
        Ok(match rule.when {
            When::Always => true,
            When::IsTrue(field) => at(event, field) == &Value::Bool(true),
            When::IsSet(field) => !at(event, field).is_null(),
            When::Is(field, text) => at(event, field) == text,
            When::ListsSet(list, name) => {
                let is_listed = at(event, list).as_array().is_some_and(|list| list.iter().any(|item| item == name));
                is_listed && !at(event, name).is_null()
            }
            When::TooMany => {
                let at_ms = news.time.as_millisecond();
                let crossed = self.threshold.crossed(event, at_ms, work).await?;
                news.incidents = crossed.unwrap_or(0);
                crossed.is_some()
            }
        })
    }

    /// Who is to be told, if anybody; an error where the directory does not know somebody yet.
    async fn recipients(&self, audience: &Audience, event: &Value) -> Result<Vec<Recipient>, HandlerError> {
        match *audience {
            Audience::Named { kind, id, email } => {
                let to = at(event, email).as_str().map(str::to_owned);
                let who = Some((kind, number(event, id)?));
                Ok(vec![Recipient { who, to, first_name: String::new(), department: String::new() }])
            }
            Audience::Employee(field) => self.employee(number(event, field)?, String::new()).await,
            Audience::DepartmentLeader { department, other_than } => {
                let id = number(event, department)?;
                let department = match self.directory.department(id).await? {
                    Lookup::Known(department) => department,
                    Lookup::Gone => return Ok(Vec::new()),
                    Lookup::Unknown => return Err(not_yet_known("department", id)),
                };
                match department.leader_id {
                    Some(leader) if leader != number(event, other_than)? => {
                        self.employee(leader, department.name).await
                    }
                    _ => Ok(Vec::new()),
                }
            }
            Audience::Administrators => {
                let administrators = self.administrators.iter();
                Ok(administrators
                    .map(|address| Recipient {
                        who: None,
                        to: Some(address.clone()),
                        first_name: String::new(),
                        department: String::new(),
                    })
                    .collect())
            }
        }
    }

    async fn employee(&self, id: i64, department: String) -> Result<Vec<Recipient>, HandlerError> {
        match self.directory.person(RecipientType::Employee, id).await? {
            // The address is looked up when the mail is sent: it may be another by then.
            Lookup::Known(Person { first_name, .. }) => {
                let who = Some((RecipientType::Employee, id));
                Ok(vec![Recipient { who, to: None, first_name, department }])
            }
            Lookup::Gone => Ok(Vec::new()),
            Lookup::Unknown => Err(not_yet_known("employee", id)),
        }
    }

    fn variables(&self, rule: &Rule, news: &News, recipient: &Recipient) -> Map<String, Value> {
        let value = |source: &Source| match source {
            Source::Event(field) => at(&news.event, field).clone(),
            Source::Time => Value::from(format_millis(news.time)),
            Source::RecipientFirstName => Value::from(recipient.first_name.as_str()),
            Source::DepartmentName => Value::from(recipient.department.as_str()),
            Source::Incidents => Value::from(news.incidents),
            Source::WindowMinutes => Value::from(self.threshold.window_ms.div_euclid(MINUTE_MS).max(1)),
        };
        rule.variables.iter().map(|(name, source)| ((*name).to_owned(), value(source))).collect()
    }

    fn notification(&self, rule: &Rule, news: &News, recipient: &Recipient) -> Result<Envelope, HandlerError> {
        let variables = self.variables(rule, news, recipient);
        let (to, template) = (recipient.to.clone(), rule.template.to_owned());
        let subject = self.subjects.render_str(rule.subject, Serde(&variables)).map_err(HandlerError::permanent)?;
        let envelope = match rule.channel {
            Channel::Email => Envelope::of(&NotificationEmail { to, subject, template, variables }),
            Channel::Sms => Envelope::of(&NotificationSms { to, template, variables }),
            Channel::Push => Envelope::of(&NotificationPush { title: subject, template, variables }),
        }?;
        Ok(match recipient.who {
            Some((kind, id)) => envelope.to_recipient(kind, id),
            None => envelope,
        })
    }
}

impl<E: Event> Handle<E> for Router {
    async fn handle(&self, received: &Received<E>, work: &mut UnitOfWork) -> HandlerResult {
        let mut news = News {
            event: serde_json::to_value(&received.event).map_err(HandlerError::permanent)?,
            identity: received.identity.clone(),
            time: received.envelope.timestamp.unwrap_or_else(|| work.publisher().clock().now()),
            incidents: 0,
        };
        for rule in self.rules(E::TYPE) {
            if !self.holds(rule, &mut news, work).await? {
                continue;
            }
            let recipients = self.recipients(&rule.audience, &news.event).await?;
            for (index, recipient) in recipients.iter().enumerate() {
                let mut envelope = self.notification(rule, &news, recipient)?;
                envelope.event_id = Some(derived_id(&news.identity, ROUTER, rule.name, index).to_string());
                let key = recipient.who.map_or(ADMINISTRATORS_KEY.to_owned(), |(kind, id)| recipient_key(kind, id));
                work.publish_event(NOTIFICATION_EVENTS, &key, envelope).await?;
                ::metrics::counter!(metrics::ROUTED_TOTAL, "rule" => rule.name).increment(1);
            }
        }
        Ok(())
    }
}

/// The field at a path of names with dots between them; null where there is none.
fn at<'a>(event: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(event, |value, name| &value[name])
}

fn number(event: &Value, field: &'static str) -> Result<i64, HandlerError> {
    at(event, field).as_i64().ok_or_else(|| HandlerError::permanent(Error::NoNumber { field }))
}

fn not_yet_known(kind: &'static str, id: i64) -> HandlerError {
    HandlerError::transient(Error::NotYetKnown { kind, id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::Templates;

    #[test]
    fn every_rule_has_a_name_of_its_own_and_a_template_that_its_variables_fill() {
        let templates = Templates::load(None).unwrap();
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        for rule in RULES {
            for value in [Value::from("x"), Value::Null] {
                let variables = rule.variables.iter().map(|(name, _)| ((*name).to_owned(), value.clone())).collect();
                let rendered = templates.render(rule.template, &variables).unwrap();
                assert!(!rendered.text.is_empty(), "{}", rule.name);
                Environment::new().render_str(rule.subject, Serde(&variables)).unwrap();
            }
        }
    }
}
