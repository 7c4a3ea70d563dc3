//! Values that go into a statement, and how each engine wants them.
//!
//! PostgreSQL gets its own types (uuid, timestamptz, jsonb); SQLite gets blobs, integers of microseconds and text.

use std::error::Error as StdError;

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::{IsNull, ToSql, Type, WrongType, to_sql_checked};
use uuid::Uuid;

use super::error::{Error, Result};

/// 2000-01-01 in microseconds of the Unix epoch: where PostgreSQL's clock starts.
pub(super) const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// One argument of a statement. Made with `From`, usually through [`args!`](crate::args).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Uuid(Uuid),
    /// Stored as whole microseconds; the rest is cut off.
    Time(Timestamp),
    /// JSON text.
    Json(String),
    /// A value that could not be encoded. A statement with such an argument fails with this text.
    Invalid(String),
}

/// The arguments of a statement: `db.one(&GET, args![id, name])`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::seam::Value::from($value)),*] };
}

macro_rules! from {
    ($($type:ty => $variant:ident),* $(,)?) => { $(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )* };
}
from!(
    bool => Bool, i64 => Int, i32 => Int, u32 => Int, u16 => Int, f64 => Float, String => Text, &str => Text,
    Vec<u8> => Bytes, &[u8] => Bytes, Uuid => Uuid, Timestamp => Time,
);

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl<T: Clone + Into<Self>> From<&Option<T>> for Value {
    fn from(value: &Option<T>) -> Self {
        value.clone().into()
    }
}

impl Value {
    /// A list of integers for the token `{list:$n}`.
    pub fn list(values: impl IntoIterator<Item = i64>) -> Self {
        let mut text = String::from("[");
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(&value.to_string());
        }
        text.push(']');
        Self::Json(text)
    }

    /// Takes over an argument of a sea-query statement.
    pub(super) fn from_sea(value: sea_query::Value) -> Result<Self> {
        use sea_query::Value as Sea;
        Ok(match value {
            Sea::Bool(value) => value.into(),
            Sea::TinyInt(value) => value.map(i64::from).into(),
            Sea::SmallInt(value) => value.map(i64::from).into(),
            Sea::Int(value) => value.into(),
            Sea::BigInt(value) => value.into(),
            Sea::TinyUnsigned(value) => value.map(i64::from).into(),
            Sea::SmallUnsigned(value) => value.into(),
            Sea::Unsigned(value) => value.into(),
            Sea::BigUnsigned(value) => match value.map(i64::try_from).transpose() {
                Ok(value) => value.into(),
                Err(_) => return Err(Error::other("an integer argument is beyond 64 bits")),
            },
            Sea::Float(value) => value.map(f64::from).into(),
            Sea::Double(value) => value.into(),
            Sea::String(value) => value.into(),
            Sea::Char(value) => value.map(String::from).into(),
            Sea::Bytes(value) => value.into(),
            Sea::Uuid(value) => value.into(),
            Sea::JiffTimestamp(value) => value.map(|time| *time).into(),
            other => return Err(Error::other(format!("sea-query value without a column type: {other:?}"))),
        })
    }
}

/// PostgreSQL takes no NUL in text; refusing it here makes SQLite agree.
fn checked_text(text: &str) -> Result<&str, &'static str> {
    if text.as_bytes().contains(&0) { Err("a text argument contains a NUL byte") } else { Ok(text) }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let refuse = |text: &str| rusqlite::Error::ToSqlConversionFailure(text.into());
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Integer((*value).into()),
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Float(value) => ValueRef::Real(*value),
            Self::Text(value) | Self::Json(value) => ValueRef::Text(checked_text(value).map_err(refuse)?.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::Uuid(value) => ValueRef::Blob(value.as_bytes()),
            Self::Time(value) => ValueRef::Integer(value.as_microsecond()),
            Self::Invalid(why) => return Err(refuse(why)),
        }))
    }
}

type Encoded = Result<IsNull, Box<dyn StdError + Sync + Send>>;

/// Encodes through the driver, which itself does not check that the value fits the parameter.
fn encode<T: ToSql>(value: T, wanted: &Type, out: &mut BytesMut) -> Encoded {
    if T::accepts(wanted) { value.to_sql(wanted, out) } else { Err(Box::new(WrongType::new::<T>(wanted.clone()))) }
}

impl ToSql for Value {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Encoded {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(value) => encode(*value, wanted, out),
            Self::Int(value) => match *wanted {
                Type::INT4 => encode(i32::try_from(*value)?, wanted, out),
                Type::INT2 => encode(i16::try_from(*value)?, wanted, out),
                _ => encode(*value, wanted, out),
            },
            Self::Float(value) => encode(*value, wanted, out),
            Self::Text(value) => encode(checked_text(value)?, wanted, out),
            Self::Bytes(value) => encode(value.as_slice(), wanted, out),
            Self::Uuid(value) => encode(*value, wanted, out),
            Self::Time(value) => {
                if *wanted != Type::TIMESTAMPTZ {
                    return Err(Box::new(WrongType::new::<Timestamp>(wanted.clone())));
                }
                out.put_i64(value.as_microsecond() - POSTGRES_EPOCH);
                Ok(IsNull::No)
            }
            Self::Json(value) => {
                match *wanted {
                    // The leading byte is the version of the binary format.
                    Type::JSONB => out.put_u8(1),
                    Type::JSON => {}
                    _ => return Err(Box::new(WrongType::new::<serde_json::Value>(wanted.clone()))),
                }
                out.put_slice(checked_text(value)?.as_bytes());
                Ok(IsNull::No)
            }
            Self::Invalid(why) => Err(why.clone().into()),
        }
    }

    // Each variant checks for itself.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
