//! The columns of a row as the types that entities are made of.

use contracts::Money;
use db::{FromValue, Row};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::de::DeserializeOwned;

use crate::entity::EntityError;

/// Reads the columns of one entity's row. What cannot be read is [`EntityError::Corrupt`] with the entity's number.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    row: &'a Row,
    entity: &'static str,
    /// The entity's number.
    pub id: i64,
}

/// What every table of entities has besides their own columns.
#[derive(Clone, Copy, Debug)]
pub struct Versioned {
    /// Whether it still exists.
    pub is_active: bool,
    /// How often it was changed, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl<'a> Reader<'a> {
    /// Reads a row of what `entity` says in words.
    pub fn new(row: &'a Row, entity: &'static str, id_column: &str) -> Result<Self, EntityError> {
        Ok(Self { row, entity, id: row.get(id_column)? })
    }

    /// The error that something in the row cannot be read.
    #[must_use]
    pub fn corrupt(self, reason: &'static str) -> EntityError {
        EntityError::Corrupt { entity: self.entity, id: self.id, reason }
    }

    /// A column as it is.
    pub fn get<T: FromValue>(self, column: &str) -> Result<T, EntityError> {
        Ok(self.row.get(column)?)
    }

    /// A time.
    pub fn time(self, column: &str) -> Result<Timestamp, EntityError> {
        self.time_opt(column)?.ok_or_else(|| self.corrupt("a time is missing"))
    }

    /// A time that may be absent.
    pub fn time_opt(self, column: &str) -> Result<Option<Timestamp>, EntityError> {
        let ms: Option<i64> = self.get(column)?;
        ms.map(|ms| Timestamp::from_millisecond(ms).map_err(|_| self.corrupt("a time is out of range"))).transpose()
    }

    /// A date that may be absent.
    pub fn date_opt(self, column: &str) -> Result<Option<Date>, EntityError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| self.corrupt("a date is none"))).transpose()
    }

    /// An amount of money that may be absent.
    pub fn money_opt(self, column: &str) -> Result<Option<Money>, EntityError> {
        let text: Option<String> = self.get(column)?;
        text.map(|text| text.parse().map_err(|_| self.corrupt("an amount of money is none"))).transpose()
    }

    /// A value of a closed list, stored as the word that JSON writes for it.
    pub fn word<T: DeserializeOwned>(self, column: &str) -> Result<T, EntityError> {
        self.word_opt(column)?.ok_or_else(|| self.corrupt("a word is missing"))
    }

    /// As [`Reader::word`], for what may be absent.
    pub fn word_opt<T: DeserializeOwned>(self, column: &str) -> Result<Option<T>, EntityError> {
        let word: Option<String> = self.get(column)?;
        let read = |word| serde_json::from_value(serde_json::Value::String(word));
        word.map(|word| read(word).map_err(|_| self.corrupt("a word is unknown"))).transpose()
    }

    /// A list of texts.
    pub fn texts(self, column: &str) -> Result<Vec<String>, EntityError> {
        let json: String = self.get(column)?;
        serde_json::from_str(&json).map_err(|_| self.corrupt("a list of texts is none"))
    }

    /// What every entity has, as the service describes it.
    pub fn record<T: From<Versioned>>(self) -> Result<T, EntityError> {
        let record = Versioned {
            is_active: self.get("is_active")?,
            version: self.get("version")?,
            created_at: self.time("created_at")?,
            updated_at: self.time("updated_at")?,
        };
        Ok(record.into())
    }
}
