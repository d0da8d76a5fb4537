//! `notify:` asks for somebody to be told something, `audit:` for a record of what was done: events, published through
//! the outbox.

use std::sync::Arc;

use contracts::audit::{Action, Actor, AuditData};
use contracts::notification::{NotificationEmail, NotificationPush, NotificationSms, recipient_key};
use contracts::{AUDIT_EVENTS, NOTIFICATION_EVENTS};
use eventkit::envelope::derived_id;
use eventkit::{Envelope, EventPublisher, HandlerError, RecipientType};
use jiff::Timestamp;
use routes::check::Takes;
use routes::components::{Component, ComponentSpec, Endpoint, EndpointOption, Producer, Side};
use routes::exchange::{Exception, Exchange, Result, Value, class, write_json};
use routes::run::{Core, Cx, Sending};
use serde_json::{Map, Value as Json};

use super::work::{Counted, Publication, failed, publish};
use crate::incidents::Threshold;
use crate::metrics;
use crate::notify::Channel;

/// What ids of notifications are derived from besides the cause's and the name.
const ROUTER: &str = "router";
/// The key of what administrators are told.
const ADMINISTRATORS_KEY: &str = "notification-administrators";
const EMPLOYEE: &str = "notify.employee";
const CANDIDATE: &str = "notify.candidate";
const TO: &str = "notify.to";
const SUBJECT: &str = "notify.subject";
const INCIDENT: &str = "notify.incident";
const SUPPRESSED: &str = "notify.suppressed";

/// `notify:`.
pub(crate) static NOTIFY: ComponentSpec = ComponentSpec {
    name: "notify",
    about: "Has somebody told something; the body is what the template is filled with. The headers say whom: \
            `notify.employee` or `notify.candidate` is a number, `notify.to` an address where none has to be looked \
            up, `notify.subject` the subject of a mail or the title of a notice",
    path: "channel",
    side: Side::To,
    options: &[
        EndpointOption::new(
            "name",
            Takes::Text,
            Side::To,
            "what ids follow from: unique, and never changed; must be there",
        ),
        EndpointOption::new("template", Takes::Text, Side::To, "the template that makes the text; must be there"),
        EndpointOption::new(
            "administrators",
            Takes::Bool,
            Side::To,
            "whether those are told whom `container.administrators` names (false)",
        ),
        EndpointOption::new(
            "whenTooMany",
            Takes::Bool,
            Side::To,
            "whether incidents of the kind in the header `notify.incident` are counted (with `notify.suppressed` more \
             each), and it is told only when they are too many, once in a while (false)",
        ),
    ],
};

/// `audit:`.
pub(crate) static AUDIT: ComponentSpec = ComponentSpec {
    name: "audit",
    about: "Records on the audit trail that data was changed; the header `audit.entity` says which, as `order-7`, \
            `audit.employee` who did it, `audit.before` and `audit.after` may have digests of the states",
    path: "action",
    side: Side::To,
    options: &[],
};

/// What is needed to publish.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) publisher: EventPublisher,
    pub(crate) administrators: Arc<[String]>,
    pub(crate) threshold: Threshold,
}

/// `notify:` and `audit:` for an engine.
pub(crate) fn components(desk: &Desk) -> [Arc<dyn Component>; 2] {
    [Arc::new(Notify(desk.clone())), Arc::new(Audit(desk.publisher.clone()))]
}

#[derive(Debug)]
struct Notify(Desk);

impl Component for Notify {
    fn spec(&self) -> &'static ComponentSpec {
        &NOTIFY
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> std::result::Result<Arc<dyn Producer>, String> {
        let channel = match endpoint.text.path.as_str() {
            "email" => Channel::Email,
            "sms" => Channel::Sms,
            "push" => Channel::Push,
            other => return Err(format!("`notify:{other}` is no channel: there are email, sms and push")),
        };
        let needed = |name: &str| {
            let value = endpoint.word(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("`notify:` needs `{name}`"))
        };
        Ok(Arc::new(Teller {
            channel,
            name: needed("name")?,
            template: needed("template")?,
            tells_administrators: endpoint.flag("administrators").unwrap_or(false),
            counts: endpoint.flag("whenTooMany").unwrap_or(false),
            desk: self.0.clone(),
        }))
    }
}

#[derive(Debug)]
struct Teller {
    channel: Channel,
    name: String,
    template: String,
    tells_administrators: bool,
    counts: bool,
    desk: Desk,
}

/// Whom a notification is for.
struct Addressee {
    who: Option<(RecipientType, i64)>,
    to: Option<String>,
}

impl Producer for Teller {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Sending<'e> {
        Sending::Later(Box::pin(async move {
            let publication = self.publication(exchange, cx)?;
            let outcome = publish(&self.desk.publisher, exchange, publication).await;
            outcome.map_err(|error| failed(exchange, error))
        }))
    }
}

impl Teller {
    fn publication(&self, exchange: &mut Exchange, cx: &Cx<'_>) -> Result<Publication> {
        let variables = variables(exchange)?;
        let subject = exchange.message.header(SUBJECT).and_then(Value::to_text).unwrap_or_default().to_string();
        let counted = self.counts.then(|| self.counted(exchange, cx)).transpose()?;
        let mut events = Vec::new();
        for (index, addressee) in self.addressees(exchange)?.into_iter().enumerate() {
            let mut envelope = self.envelope(&addressee, &subject, variables.clone()).map_err(permanent)?;
            envelope.event_id = self.id(exchange, cx.route.id(), index);
            let key = addressee.who.map_or(ADMINISTRATORS_KEY.to_owned(), |(kind, id)| recipient_key(kind, id));
            events.push((key, envelope));
        }
        ::metrics::counter!(metrics::ROUTED_TOTAL, "rule" => self.name.clone()).increment(events.len() as u64);
        Ok(Publication { topic: NOTIFICATION_EVENTS, events, counted })
    }

    /// An id that follows from the cause and the name; among the parts of a split, from the part as well.
    fn id(&self, exchange: &mut Exchange, route: &str, index: usize) -> Option<String> {
        let part = exchange.next_id(route);
        let cause = exchange.cause()?.clone();
        let id = match exchange.is_copy() {
            false => derived_id(&cause, ROUTER, &self.name, index),
            true => derived_id(&part?.to_string(), ROUTER, &self.name, index),
        };
        Some(id.to_string())
    }

    fn addressees(&self, exchange: &Exchange) -> Result<Vec<Addressee>> {
        if self.tells_administrators {
            let administrators = self.desk.administrators.iter();
            return Ok(administrators.map(|to| Addressee { who: None, to: Some(to.clone()) }).collect());
        }
        let to = exchange.message.header(TO).and_then(Value::to_text).map(|to| to.to_string());
        let who = match (number(exchange, EMPLOYEE)?, number(exchange, CANDIDATE)?) {
            (Some(id), None) => (RecipientType::Employee, id),
            (None, Some(id)) => (RecipientType::Candidate, id),
            _ => return Err(wrong(format!("`notify:` needs one of the headers `{EMPLOYEE}` and `{CANDIDATE}`"))),
        };
        Ok(vec![Addressee { who: Some(who), to }])
    }

    fn envelope(
        &self,
        addressee: &Addressee,
        subject: &str,
        variables: Map<String, Json>,
    ) -> std::result::Result<Envelope, HandlerError> {
        let (to, template, subject) = (addressee.to.clone(), self.template.clone(), subject.to_owned());
        let envelope = match self.channel {
            Channel::Email => Envelope::of(&NotificationEmail { to, subject, template, variables }),
            Channel::Sms => Envelope::of(&NotificationSms { to, template, variables }),
            Channel::Push => Envelope::of(&NotificationPush { title: subject, template, variables }),
        }?;
        Ok(match addressee.who {
            Some((kind, id)) => envelope.to_recipient(kind, id),
            None => envelope,
        })
    }

    fn counted(&self, exchange: &Exchange, cx: &Cx<'_>) -> Result<Counted> {
        let incident = exchange.message.header(INCIDENT).and_then(Value::to_text);
        let incident = incident.ok_or_else(|| wrong(format!("`whenTooMany` needs the header `{INCIDENT}`")))?;
        let at_ms = exchange.message.header("kafka.TIMESTAMP").and_then(Value::to_integer);
        Ok(Counted {
            incident: incident.to_string(),
            suppressed: number(exchange, SUPPRESSED)?.unwrap_or(0),
            at_ms: at_ms.unwrap_or_else(|| cx.core.surroundings.clock.now_ms()),
            threshold: self.desk.threshold,
        })
    }
}

/// The body as what a template is filled with.
fn variables(exchange: &Exchange) -> Result<Map<String, Json>> {
    let body = exchange.message.body.json()?;
    let json: Json = serde_json::from_str(&write_json(body)).map_err(|error| wrong(error.to_string()))?;
    match json {
        Json::Object(variables) => Ok(variables),
        Json::Null => Ok(Map::new()),
        _ => Err(wrong("the body of `notify:` is an object with what the template is filled with".to_owned())),
    }
}

fn number(exchange: &Exchange, header: &str) -> Result<Option<i64>> {
    let Some(value) = exchange.message.header(header) else { return Ok(None) };
    let number = value.plain().to_integer().or_else(|| value.to_text()?.trim().parse().ok());
    number.map(Some).ok_or_else(|| wrong(format!("the header `{header}` is no number")))
}

fn wrong(message: String) -> Exception {
    Exception::new(&class::ILLEGAL_ARGUMENT, message)
}

fn permanent(error: HandlerError) -> Exception {
    wrong(eventkit::chain(&error))
}

#[derive(Debug)]
struct Audit(EventPublisher);

impl Component for Audit {
    fn spec(&self) -> &'static ComponentSpec {
        &AUDIT
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> std::result::Result<Arc<dyn Producer>, String> {
        let action = match endpoint.text.path.as_str() {
            "create" => Action::Create,
            "update" => Action::Update,
            "delete" => Action::Delete,
            other => return Err(format!("`audit:{other}` is no action: there are create, update and delete")),
        };
        Ok(Arc::new(Recorder { action, publisher: self.0.clone() }))
    }
}

#[derive(Debug)]
struct Recorder {
    action: Action,
    publisher: EventPublisher,
}

impl Producer for Recorder {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, cx: &'e Cx<'e>) -> Sending<'e> {
        Sending::Later(Box::pin(async move {
            let publication = self.publication(exchange, cx)?;
            let outcome = publish(&self.publisher, exchange, publication).await;
            outcome.map_err(|error| failed(exchange, error))
        }))
    }
}

impl Recorder {
    fn publication(&self, exchange: &mut Exchange, cx: &Cx<'_>) -> Result<Publication> {
        let id = exchange.next_id(cx.route.id());
        let text = |name: &str| exchange.message.header(name).and_then(Value::to_text).map(|text| text.to_string());
        let entity = text("audit.entity").filter(|entity| !entity.is_empty());
        let entity = entity.ok_or_else(|| wrong("`audit:` needs the header `audit.entity`".to_owned()))?;
        let actor = match number(exchange, "audit.employee")? {
            Some(employee_id) => Actor::Employee { employee_id },
            None => Actor::Service { name: format!("route {}", cx.route.id()) },
        };
        let (before, after) = (text("audit.before"), text("audit.after"));
        let record = AuditData { actor, action: self.action, entity: entity.clone(), before, after };
        let mut envelope = Envelope::of(&record).map_err(|error| wrong(eventkit::chain(&error)))?;
        envelope.event_id = id.map(|id| id.to_string());
        envelope.timestamp = Timestamp::from_millisecond(cx.core.surroundings.clock.now_ms()).ok();
        Ok(Publication { topic: AUDIT_EVENTS, events: vec![(entity, envelope)], counted: None })
    }
}
