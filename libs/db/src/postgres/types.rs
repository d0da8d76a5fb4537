//! Values on their way to and from PostgreSQL, by the type the server asks for or sends.

use std::error::Error as StdError;
use std::fmt;

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::error::Reason;
use crate::value::Value;

type Fault = Box<dyn StdError + Sync + Send>;

/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A parameter. Its debug output hides the value, since the driver logs parameters at debug level.
pub(super) struct Param<'a>(pub(super) &'a Value);

impl fmt::Debug for Param<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind())
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        match (self.0, ty) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Bool(value), &Type::BOOL) => out.put_u8(u8::from(*value)),
            (Value::Int(value), &Type::INT8) => out.put_i64(*value),
            (Value::Int(value), &Type::INT4) => out.put_i32(i32::try_from(*value)?),
            (Value::Int(value), &Type::INT2) => out.put_i16(i16::try_from(*value)?),
            (Value::Int(value), &Type::OID) => out.put_u32(u32::try_from(*value)?),
            (Value::Int(value), &Type::FLOAT8) => out.put_f64(real(*value)),
            (Value::Real(value), &Type::FLOAT8) => out.put_f64(*value),
            #[allow(clippy::cast_possible_truncation, reason = "the column holds no more")]
            (Value::Real(value), &Type::FLOAT4) => out.put_f32(*value as f32),
            (Value::Bytes(value), &Type::BYTEA) => out.put_slice(value),
            (Value::Text(value), _) => return text_to_sql(value, ty, out),
            (value, _) => return Err(refused(value.kind(), ty)),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn text_to_sql(value: &str, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
    match *ty {
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
            out.put_slice(value.as_bytes());
        }
        Type::JSONB => {
            // the version of the binary form
            out.put_u8(1);
            out.put_slice(value.as_bytes());
        }
        Type::UUID => out.put_slice(Uuid::parse_str(value)?.as_bytes()),
        Type::TIMESTAMPTZ => {
            let at: Timestamp = value.parse()?;
            out.put_i64(at.as_microsecond() - POSTGRES_EPOCH_US);
        }
        _ if matches!(ty.kind(), Kind::Enum(_)) => out.put_slice(value.as_bytes()),
        _ => return Err(refused("text", ty)),
    }
    Ok(IsNull::No)
}

fn refused(kind: &str, ty: &Type) -> Fault {
    Box::new(Reason(format!("{kind} cannot be given as {ty}")))
}

#[allow(clippy::cast_precision_loss, reason = "the nearest real is what the column can hold")]
fn real(value: i64) -> f64 {
    value as f64
}

/// A column's value.
pub(super) struct Any(pub(super) Value);

impl<'a> FromSql<'a> for Any {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self(match *ty {
            Type::BOOL => Value::Bool(bool::from_sql(ty, raw)?),
            Type::INT2 => Value::Int(i64::from(i16::from_sql(ty, raw)?)),
            Type::INT4 => Value::Int(i64::from(i32::from_sql(ty, raw)?)),
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::OID => Value::Int(i64::from(u32::from_sql(ty, raw)?)),
            Type::FLOAT4 => Value::Real(f64::from(f32::from_sql(ty, raw)?)),
            Type::FLOAT8 => Value::Real(f64::from_sql(ty, raw)?),
            Type::NUMERIC => numeric(raw)?,
            Type::BYTEA => Value::Bytes(raw.to_owned()),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => text(raw)?,
            Type::JSONB => text(raw.get(1..).unwrap_or_default())?,
            Type::UUID => Value::Text(Uuid::from_slice(raw)?.to_string()),
            Type::TIMESTAMPTZ => {
                let since = i64::from_be_bytes(raw.try_into()?);
                let at = since
                    .checked_add(POSTGRES_EPOCH_US)
                    .ok_or_else(|| Reason("a timestamp is out of range".to_owned()))?;
                Value::Text(Timestamp::from_microsecond(at)?.to_string())
            }
            // of no length, as functions that return nothing give it
            Type::VOID => Value::Null,
            _ if matches!(ty.kind(), Kind::Enum(_)) => text(raw)?,
            _ => {
                return Err(Box::new(Reason(format!("columns of type {ty} cannot be read"))));
            }
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Fault> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn text(raw: &[u8]) -> Result<Value, Fault> {
    Ok(Value::Text(std::str::from_utf8(raw)?.to_owned()))
}

/// `sum` over `bigint` is `numeric` on PostgreSQL and an integer on SQLite: whole numbers in range become integers,
/// everything else a real number.
///
/// The binary form: number of digits, weight of the first, sign, decimals shown, then digits to the base 10,000.
fn numeric(raw: &[u8]) -> Result<Value, Fault> {
    let mut words = raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let mut word = || words.next().ok_or_else(|| Reason("a number is cut off".to_owned()));
    let (digits, weight, sign) = (word()?, word()?, word()?);
    let _decimals_shown = word()?;
    let negative = match sign.cast_unsigned() {
        0x0000 => false,
        0x4000 => true,
        _ => return Ok(Value::Real(f64::NAN)),
    };
    let mut whole: Option<i64> = Some(0);
    let mut approximate = 0.0;
    for at in 0..digits {
        let digit = i64::from(word()?);
        let exponent = i32::from(weight) - i32::from(at);
        approximate += real(digit) * 10_000_f64.powi(exponent);
        let part = if digit == 0 {
            Some(0)
        } else {
            u32::try_from(exponent)
                .ok()
                .and_then(|exponent| 10_000_i64.checked_pow(exponent))
                .and_then(|place| place.checked_mul(digit))
        };
        whole = whole.zip(part).and_then(|(sum, part)| sum.checked_add(part));
    }
    Ok(match whole {
        Some(whole) => Value::Int(if negative { -whole } else { whole }),
        None => Value::Real(if negative { -approximate } else { approximate }),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn raw(words: &[i16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn whole_numerics_are_integers_and_others_real() {
        assert_eq!(numeric(&raw(&[0, 0, 0, 0])).unwrap(), Value::Int(0));
        assert_eq!(numeric(&raw(&[2, 1, 0, 0, 12, 3456])).unwrap(), Value::Int(123_456));
        assert_eq!(numeric(&raw(&[1, 1, 0x4000, 0, 7])).unwrap(), Value::Int(-70_000));
        assert_eq!(numeric(&raw(&[2, 0, 0, 1, 1, 5000])).unwrap(), Value::Real(1.5));
        assert_eq!(numeric(&raw(&[1, 6, 0, 0, 1])).unwrap(), Value::Real(1e24));
        assert!(numeric(&raw(&[2, 0, 0])).is_err());
    }

    #[test]
    fn integers_out_of_range_are_refused() {
        let mut out = BytesMut::new();
        assert!(Param(&Value::Int(70_000)).to_sql(&Type::INT2, &mut out).is_err());
        assert!(Param(&Value::Int(1)).to_sql(&Type::TEXT, &mut out).is_err());
        assert!(Param(&Value::Text("x".into())).to_sql(&Type::UUID, &mut out).is_err());
    }

    #[test]
    fn timestamps_and_uuids_travel_as_text() {
        for (ty, words) in [
            (Type::TIMESTAMPTZ, "2026-11-24T02:05:27.123Z"),
            (Type::TIMESTAMPTZ, "1969-12-31T23:59:59Z"),
            (Type::UUID, "01935c6e-7b1a-7c7e-9c1d-3f0d6a0f2b11"),
            (Type::JSONB, "{\"a\": 1}"),
        ] {
            let mut out = BytesMut::new();
            let value = Value::Text(words.to_owned());
            assert!(Param(&value).to_sql(&ty, &mut out).is_ok());
            assert_eq!(Any::from_sql(&ty, &out).unwrap().0, value);
        }
    }

    #[test]
    fn debug_output_of_a_parameter_hides_its_value() {
        let value = Value::Text("secret".into());
        assert_eq!(format!("{:?}", Param(&value)), "text");
    }
}
