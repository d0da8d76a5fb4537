//! `directory:` tells a route who somebody is: employees, candidates and departments, as events have told of them.

use std::sync::Arc;

use eventkit::{HandlerError, RecipientType};
use routes::components::{Component, ComponentSpec, Endpoint, Producer, Side};
use routes::exchange::{Body, Exchange, Map, Text, Value};
use routes::run::{Core, Cx, Sending};

use super::work::failed;
use crate::directory::{Directory, Lookup};
use crate::error::Error;

/// `directory:`.
pub(crate) static DIRECTORY: ComponentSpec = ComponentSpec {
    name: "directory",
    about: "Answers who somebody is: `directory:employee/7` has `firstName`, `lastName`, `email` and `departmentId`, \
            `directory:candidate/7` all but the last, `directory:department/7` has `name` and `leaderId`. Nothing of \
            who has left; who is not known yet fails the exchange, and may be known later",
    path: "kind/number",
    side: Side::To,
    options: &[],
};

/// `directory:` for an engine.
pub(crate) fn component(directory: &Directory) -> Arc<dyn Component> {
    Arc::new(Lookups(directory.clone()))
}

#[derive(Debug)]
struct Lookups(Directory);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Person(RecipientType),
    Department,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Person(RecipientType::Employee) => "employee",
            Self::Person(RecipientType::Candidate) => "candidate",
            Self::Department => "department",
        }
    }
}

impl Component for Lookups {
    fn spec(&self) -> &'static ComponentSpec {
        &DIRECTORY
    }

    fn producer(&self, endpoint: Endpoint, _: &Core) -> Result<Arc<dyn Producer>, String> {
        let path = &endpoint.text.path;
        let (kind, id) = path.split_once('/').ok_or("`directory:` is written as `directory:employee/7`")?;
        let kind = match kind {
            "employee" => Kind::Person(RecipientType::Employee),
            "candidate" => Kind::Person(RecipientType::Candidate),
            "department" => Kind::Department,
            other => return Err(format!("`{other}` is not in the directory: employee, candidate and department are")),
        };
        let id = id.parse().map_err(|_| format!("`{id}` is no number of a {}", kind.name()))?;
        Ok(Arc::new(Question { kind, id, directory: self.0.clone() }))
    }
}

#[derive(Debug)]
struct Question {
    kind: Kind,
    id: i64,
    directory: Directory,
}

impl Producer for Question {
    fn send<'s: 'e, 'e>(&'s self, exchange: &'e mut Exchange, _: &'e Cx<'e>) -> Sending<'e> {
        Sending::Later(Box::pin(async move {
            let answer = self.ask().await.map_err(|error| failed(exchange, error))?;
            exchange.message.body = answer;
            Ok(())
        }))
    }
}

impl Question {
    async fn ask(&self) -> Result<Body, HandlerError> {
        let text = |text: &str| Value::from(text);
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
        let fields: Vec<(&'static str, Value)> = match self.kind {
            Kind::Person(kind) => match self.directory.person(kind, self.id).await? {
                Lookup::Known(person) => vec![
                    ("firstName", text(&person.first_name)),
                    ("lastName", text(&person.last_name)),
                    ("email", text(&person.email)),
                    ("departmentId", number(person.department_id)),
                ],
                Lookup::Gone => return Ok(Body::NULL),
                Lookup::Unknown => return Err(self.unknown()),
            },
            Kind::Department => match self.directory.department(self.id).await? {
                Lookup::Known(department) => {
                    vec![("name", text(&department.name)), ("leaderId", number(department.leader_id))]
                }
                Lookup::Gone => return Ok(Body::NULL),
                Lookup::Unknown => return Err(self.unknown()),
            },
        };
        let map: Map = fields.into_iter().map(|(name, value)| (Text::fixed(name), value)).collect();
        Ok(Body::new(Value::json(Value::map(map))))
    }

    fn unknown(&self) -> HandlerError {
        HandlerError::transient(Error::NotYetKnown { kind: self.kind.name(), id: self.id })
    }
}
