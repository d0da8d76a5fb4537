//! The administrator of a run: there for as long as the story is told, and no longer.

use std::time::Duration;

use contracts::audit::{Action, Actor};

use crate::client::Client;
use crate::error::Error;
use crate::ledger::Ledger;

/// How long an administrator is taken leave of when the story broke off: its services may be away.
const LEAVE_MAX: Duration = Duration::from_secs(15);

/// Who does what the story needs an administrator for.
#[derive(Debug)]
pub(crate) struct Administrator {
    pub(crate) operator: Client,
    /// Where the user-service is.
    pub(crate) users: String,
    pub(crate) employee_id: i64,
}

/// What became of a story's administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is removed.
    Removed,
    /// It is logged out and stays, because an installation does not let go of its only administrator. Its password is
    /// known to nobody.
    Alone {
        /// Its number.
        employee_id: i64,
    },
}

impl Administrator {
    /// Removes it, or at least ends its session; `client` is who is logged in as it.
    pub(crate) async fn leave(&self, client: Option<&Client>, ledger: &Ledger) -> Result<Left, Error> {
        let employee_id = self.employee_id;
        let end_session = || {
            if client.is_some() {
                ledger.user(employee_id, "user.logout");
            }
        };
        match self.operator.delete(&format!("{}/api/v1/users/{employee_id}", self.users)).await {
            Ok(()) => {
                end_session();
                ledger.user(employee_id, "user.deleted");
                ledger.changed(format!("user-{employee_id}"), Action::Delete, &Actor::Operator);
                Ok(Left::Removed)
            }
            Err(Error::Refused { status: 409, .. }) => {
                if let Some(client) = client {
                    client.log_out(&self.users).await?;
                }
                end_session();
                Ok(Left::Alone { employee_id })
            }
            Err(error) => Err(error),
        }
    }

    /// What is told of a story that broke off: why, and that its administrator is still there if it is.
    pub(crate) async fn left_after(&self, broken: Error, client: Option<&Client>, ledger: &Ledger) -> Error {
        let why = match tokio::time::timeout(LEAVE_MAX, self.leave(client, ledger)).await {
            Ok(Ok(Left::Removed)) => return broken,
            Ok(Ok(Left::Alone { .. })) => "it is the only administrator".to_owned(),
            Ok(Err(error)) => eventkit::chain(&error),
            Err(_) => format!("the user-service did not do it within {} s", LEAVE_MAX.as_secs()),
        };
        Error::AdministratorLeft { employee_id: self.employee_id, why, source: Box::new(broken) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use contracts::USER_EVENTS;

    use super::*;
    use crate::testing::{Service, answer};

    fn of(service: &Service) -> (Administrator, Client) {
        let client = |who| Client::with_token("run", who, who.to_owned(), Arc::default());
        let administrator = Administrator { operator: client("operator"), users: service.url.clone(), employee_id: 7 };
        (administrator, client("admin"))
    }

    fn events(events: &[&'static str]) -> BTreeMap<(&'static str, String), Vec<&'static str>> {
        BTreeMap::from([((USER_EVENTS, "user-7".to_owned()), events.to_vec())])
    }

    #[tokio::test]
    async fn an_administrator_is_removed_with_its_session() {
        let service = Service::that_answers(vec![answer(204, "")]).await;
        let ((administrator, client), ledger) = (of(&service), Ledger::default());
        assert_eq!(administrator.leave(Some(&client), &ledger).await.unwrap(), Left::Removed);
        assert_eq!(service.asked(), ["delete /api/v1/users/7"]);
        assert_eq!(ledger.expected(), events(&["user.logout", "user.deleted"]));
    }

    #[tokio::test]
    async fn the_only_administrator_stays_and_is_logged_out() {
        let service = Service::that_answers(vec![answer(409, "{}"), answer(204, "")]).await;
        let ((administrator, client), ledger) = (of(&service), Ledger::default());
        let left = administrator.leave(Some(&client), &ledger).await.unwrap();
        assert_eq!(left, Left::Alone { employee_id: 7 });
        assert_eq!(service.asked(), ["delete /api/v1/users/7", "delete /api/v1/sessions/current"]);
        assert_eq!(ledger.expected(), events(&["user.logout"]));
    }

    #[tokio::test]
    async fn a_story_that_broke_off_takes_its_administrator_with_it_or_says_that_it_is_left() {
        let broken = || Error::NoInvitation { employee_id: 7, seconds: 90 };
        for (status, said) in [
            (204, "no invitation for employee 7 came within 90 s"),
            (403, "its administrator, employee 7, is still there, with a password that nobody knows"),
            (409, "its administrator, employee 7, is still there, with a password that nobody knows"),
        ] {
            let service = Service::that_answers(vec![answer(status, "{}")]).await;
            let (administrator, _) = of(&service);
            let told = administrator.left_after(broken(), None, &Ledger::default()).await;
            assert!(told.to_string().starts_with(said), "{status}: {told}");
            assert!(eventkit::chain(&told).ends_with("no invitation for employee 7 came within 90 s"), "{told}");
        }
    }
}
