//! Amounts of money: decimal, never a float; written as text so that no reader makes it one.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in Vietnamese đồng, zero or more, with at most two decimal places and fifteen digits before them.
///
/// JSON: written as text (`"15000000"`); read from text or from a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Money(Decimal);

/// The decimal places of an amount at the most.
const SCALE_MAX: u32 = 2;
/// One more than the largest amount.
const LIMIT: i64 = 1_000_000_000_000_000;

/// A text or a number that is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of money: 0 or more, two decimal places and fifteen digits before them at the most")]
pub struct NotMoney;

impl Money {
    /// A whole number of đồng.
    ///
    /// # Errors
    /// [`NotMoney`] when it is negative or too large.
    pub fn whole(amount: i64) -> Result<Self, NotMoney> {
        Self::checked(Decimal::from(amount))
    }

    fn checked(amount: Decimal) -> Result<Self, NotMoney> {
        let amount = amount.normalize();
        let fits = amount.scale() <= SCALE_MAX && !amount.is_sign_negative() && amount < Decimal::from(LIMIT);
        if fits { Ok(Self(amount)) } else { Err(NotMoney) }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        Self::checked(Decimal::from_str_exact(text).map_err(|_| NotMoney)?)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;

        impl Visitor<'_> for Amount {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money as text, for example \"15000000\", or as a whole number")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Money, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, amount: i64) -> Result<Money, E> {
                Money::whole(amount).map_err(|_| E::invalid_value(Unexpected::Signed(amount), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, amount: u64) -> Result<Money, E> {
                let whole = i64::try_from(amount).map_err(|_| NotMoney).and_then(Money::whole);
                whole.map_err(|_| E::invalid_value(Unexpected::Unsigned(amount), &self))
            }
        }

        deserializer.deserialize_any(Amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_from_text_and_whole_numbers_and_written_as_text() {
        for (json, written) in [("\"15000000\"", "15000000"), ("15000000", "15000000"), ("\"0.50\"", "0.5")] {
            let money: Money = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_value(money).unwrap(), written);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for json in ["1.5", "-1", "\"-1\"", "\"1.005\"", "\"1e3\"", "\"\"", "1000000000000000", "true", "null"] {
            assert!(serde_json::from_str::<Money>(json).is_err(), "{json}");
        }
    }
}
