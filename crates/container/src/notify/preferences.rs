//! What somebody wants to be told, and how. The only place that knows its table.

use std::collections::BTreeMap;

use chassis::entity::EntityError;
use db::{Db, Row, params};
use eventkit::{RecipientType, UnitOfWork};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Channel;
use super::log::recipient_name;

/// Templates that one recipient can have wishes about at the most.
const TEMPLATES_MAX: usize = 100;

/// Which ways of being told somebody wants; what is not said is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Channels {
    /// By mail.
    email: bool,
    /// By text message.
    sms: bool,
    /// On devices.
    push: bool,
}

impl Default for Channels {
    fn default() -> Self {
        Self { email: true, sms: true, push: true }
    }
}

impl Channels {
    fn has(self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.email,
            Channel::Sms => self.sms,
            Channel::Push => self.push,
        }
    }
}

/// What somebody wants to be told, and how; without any wishes, everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Wishes {
    /// Overall: a channel that is off here is off for everything.
    #[garde(skip)]
    channels: Channels,
    /// For single templates, by name.
    #[garde(length(max = TEMPLATES_MAX))]
    templates: BTreeMap<String, Channels>,
}

impl Wishes {
    /// Whether somebody wants to be told what `template` says through `channel`.
    pub(crate) fn wants(&self, channel: Channel, template: &str) -> bool {
        self.channels.has(channel) && self.templates.get(template).is_none_or(|channels| channels.has(channel))
    }

    /// The templates that they name.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }
}

/// Wishes and how often they were changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stored {
    /// 0 where nothing was ever stored.
    pub(crate) version: i64,
    pub(crate) wishes: Wishes,
}

/// Reads and writes wishes.
#[derive(Debug, Clone)]
pub(crate) struct Preferences(Db);

const SELECT: &str = "select version, wishes from preferences where recipient_type = $1 and recipient_id = $2";

impl Preferences {
    pub(crate) fn new(db: Db) -> Self {
        Self(db)
    }

    /// What this recipient wants.
    pub(crate) async fn of(&self, kind: RecipientType, id: i64) -> Result<Wishes, db::Error> {
        Ok(self.stored(kind, id).await?.wishes)
    }

    /// What this recipient wants, with its version.
    pub(crate) async fn stored(&self, kind: RecipientType, id: i64) -> Result<Stored, db::Error> {
        let row = self.0.query_opt(SELECT, &params![recipient_name(kind), id]).await?;
        row.map_or(Ok(Stored::default()), |row| read(&row))
    }

    /// The same as the unit sees it.
    pub(crate) async fn stored_in(work: &mut UnitOfWork, kind: RecipientType, id: i64) -> Result<Stored, EntityError> {
        let row = work.query_opt(SELECT, &params![recipient_name(kind), id]).await?;
        Ok(row.map_or(Ok(Stored::default()), |row| read(&row))?)
    }

    /// Stores what this recipient wants.
    pub(crate) async fn store(
        work: &mut UnitOfWork,
        kind: RecipientType,
        id: i64,
        stored: &Stored,
    ) -> Result<(), EntityError> {
        let wishes = serde_json::to_string(&stored.wishes).expect("plain data is always json");
        work.execute(
            "insert into preferences (recipient_type, recipient_id, version, wishes) values ($1, $2, $3, $4)
             on conflict (recipient_type, recipient_id) do update set
                 version = excluded.version, wishes = excluded.wishes",
            &params![recipient_name(kind), id, stored.version, wishes],
        )
        .await?;
        Ok(())
    }
}

fn read(row: &Row) -> Result<Stored, db::Error> {
    let wishes: String = row.get("wishes")?;
    let unreadable =
        |_| db::Error::Column { column: "wishes".to_owned(), expected: "wishes as json", found: "another text" };
    Ok(Stored { version: row.get("version")?, wishes: serde_json::from_str(&wishes).map_err(unreadable)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(json: &str) -> Wishes {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_not_said_is_wanted() {
        assert!(
            [Channel::Email, Channel::Sms, Channel::Push]
                .into_iter()
                .all(|channel| wishes("{}").wants(channel, "user-welcome"))
        );
    }

    #[test]
    fn a_channel_that_is_off_is_off_for_everything() {
        let wishes = wishes(r#"{"channels": {"sms": false}, "templates": {"user-welcome": {"sms": true}}}"#);
        assert!(!wishes.wants(Channel::Sms, "user-welcome"));
        assert!(wishes.wants(Channel::Email, "user-welcome"));
    }

    #[test]
    fn a_template_can_be_off_alone() {
        let wishes = wishes(r#"{"templates": {"user-welcome": {"email": false}}}"#);
        assert!(!wishes.wants(Channel::Email, "user-welcome"));
        assert!(wishes.wants(Channel::Push, "user-welcome"));
        assert!(wishes.wants(Channel::Email, "login-new-device"));
    }
}
