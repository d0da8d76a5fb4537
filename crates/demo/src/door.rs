//! How people get in: taken on, invited, with a password, logged in.

use contracts::audit::{Action, Actor, hex};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::invitations::Invitations;
use crate::ledger::{Ledger, Person};

/// Bytes of chance in a password.
const PASSWORD_BYTES: usize = 16;

/// A password that nobody can know: the same for everybody in one run, another one in each.
///
/// # Panics
/// When the operating system has no random numbers.
pub fn random_password() -> String {
    let mut bytes = [0; PASSWORD_BYTES];
    rand::fill(&mut bytes);
    // Digits in hexadecimal hold no name and no word that a password must not hold.
    hex(&bytes)
}

/// As audit records name an employee.
pub(crate) fn employee(employee_id: i64) -> Actor {
    Actor::Employee { employee_id }
}

/// What lets people in.
pub(crate) struct Door<'a> {
    pub(crate) users: &'a str,
    pub(crate) invitations: &'a Invitations,
    pub(crate) ledger: &'a Ledger,
    pub(crate) password: &'a str,
}

impl Door<'_> {
    /// Takes one person on; answers their number and their address.
    pub(crate) async fn take_on(&self, operator: &Client, run: &str, name: &str) -> Result<(i64, String), Error> {
        let email = format!("{name}-{run}@demo.example.com");
        let person = json!({"firstName": "Demo", "lastName": "Person", "email": email});
        let id = operator.post(&format!("{}/api/v1/users", self.users), person).await?.id("employeeId")?;
        let person = Person { first_name: "Demo".to_owned(), last_name: "Person".to_owned(), email: email.clone() };
        self.ledger.employed(id, person);
        self.ledger.user(id, "user.created");
        self.ledger.changed(format!("user-{id}"), Action::Create, &Actor::Operator);
        Ok((id, email))
    }

    /// Gives one person a role, or none, and logs them in.
    pub(crate) async fn let_in(
        &self,
        operator: &Client,
        (id, email): (i64, &str),
        role: Option<&str>,
    ) -> Result<Client, Error> {
        let roles: Vec<Value> = role.iter().map(|role| json!({"role": role, "scope": {"type": "all"}})).collect();
        operator.put(&format!("{}/api/v1/users/{id}/roles", self.users), Value::Array(roles)).await?;
        self.ledger.changed(format!("user-{id}"), Action::Update, &Actor::Operator);
        self.accept(operator, id).await?;
        self.log_in(operator, id, email).await
    }

    /// Accepts the invitation of an employee, who has a password from then on.
    pub(crate) async fn accept(&self, client: &Client, employee_id: i64) -> Result<(), Error> {
        let token = self.invitations.token(employee_id).await?;
        let body = json!({"token": token, "password": self.password});
        let sent = client.post_as_stranger(&format!("{}/api/v1/invitations/accept", self.users), body).await;
        match sent.answer {
            Ok(_) => {}
            // An invitation works once: the try whose answer was lost has used it up.
            Err(Error::Refused { status: 401, .. }) if sent.lost > 0 => {}
            Err(error) => return Err(error),
        }
        self.ledger.user(employee_id, "user.updated");
        self.ledger.changed(format!("user-{employee_id}"), Action::Update, &employee(employee_id));
        Ok(())
    }

    /// Logs an employee in.
    pub(crate) async fn log_in(&self, client: &Client, employee_id: i64, email: &str) -> Result<Client, Error> {
        let client = client.log_in(self.users, email, self.password).await?;
        self.ledger.user(employee_id, "user.login");
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use contracts::USER_EVENTS;

    use super::*;
    use crate::testing::{Service, answer, lost};

    #[test]
    fn a_password_is_another_one_in_each_run() {
        let (one, other) = (random_password(), random_password());
        assert_eq!(one.len(), 2 * PASSWORD_BYTES);
        assert_ne!(one, other);
    }

    async fn accepted(answers: Vec<Option<String>>) -> (Result<(), Error>, Ledger) {
        let service = Service::that_answers(answers).await;
        let (invitations, ledger) = (Invitations::of([(7, "token")]), Ledger::default());
        let door = Door { users: &service.url, invitations: &invitations, ledger: &ledger, password: "secret" };
        let client = Client::with_token("run", "operator", String::new(), Arc::default());
        let done = door.accept(&client, 7).await;
        (done, ledger)
    }

    #[tokio::test]
    async fn an_invitation_that_was_accepted_without_an_answer_is_accepted() {
        let (done, ledger) = accepted(vec![lost(), answer(401, "{}")]).await;
        done.unwrap();
        let place = (USER_EVENTS, "user-7".to_owned());
        assert_eq!(ledger.expected()[&place], ["user.updated"]);
    }

    #[tokio::test]
    async fn an_invitation_that_is_refused_at_once_is_an_error() {
        // A part that is not ready has not done it.
        for answers in [vec![answer(401, "{}")], vec![answer(503, r#"{"code":"unavailable"}"#), answer(401, "{}")]] {
            let (done, ledger) = accepted(answers).await;
            assert!(matches!(done, Err(Error::Refused { status: 401, .. })), "{done:?}");
            assert!(ledger.expected().is_empty());
        }
    }

    #[tokio::test]
    async fn a_login_whose_answer_was_lost_may_be_there_twice() {
        for (answers, more) in [
            (vec![lost(), answer(201, r#"{"accessToken":"t"}"#)], 1),
            (vec![answer(503, r#"{"code":"timeout"}"#), lost(), answer(201, r#"{"accessToken":"t"}"#)], 2),
            (vec![answer(503, r#"{"code":"unavailable"}"#), answer(201, r#"{"accessToken":"t"}"#)], 0),
        ] {
            let service = Service::that_answers(answers).await;
            let client = Client::with_token("run", "operator", String::new(), Arc::default());
            let client = client.log_in(&service.url, "a@example.com", "secret").await.unwrap();
            assert_eq!(client.logins_more(), more);
        }
    }
}
