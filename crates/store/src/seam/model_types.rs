//! How the types of `chandler-model` are stored: ids as integers, uids as uuids, JSON as jsonb or text, words as text.
//!
//! A new enum that is stored as a word is appended to the list at the end; nothing else is needed.

use chandler_model::jobs::JobKinds;
use chandler_model::{Id, Json, RawJson, Uid, Word};
use rusqlite::types::ValueRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_postgres::types::{FromSql, Type, accepts};
use uuid::Uuid;

use super::column::{Column, Integer, single_record};
use super::error::{Result, Source};
use super::value::Value;

impl<T> Column for Id<T> {
    type Wire = Integer;
    fn from_postgres(wire: Integer) -> Result<Self, Source> {
        i64::from_postgres(wire).map(Self::new)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        i64::from_sqlite(cell).map(Self::new)
    }
}
impl<T> From<Id<T>> for Value {
    fn from(id: Id<T>) -> Self {
        Self::Int(id.get())
    }
}
impl<T> From<&Id<T>> for Value {
    fn from(id: &Id<T>) -> Self {
        Self::Int(id.get())
    }
}
single_record!([T: 'static] Id<T>, [] Uid, [] RawJson);

impl Column for Uid {
    type Wire = Uuid;
    fn from_postgres(wire: Uuid) -> Result<Self, Source> {
        Ok(Self(wire))
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        Uuid::from_sqlite(cell).map(Self)
    }
}
impl From<Uid> for Value {
    fn from(uid: Uid) -> Self {
        Self::Uuid(uid.0)
    }
}

impl Column for JobKinds {
    type Wire = Integer;
    fn from_postgres(wire: Integer) -> Result<Self, Source> {
        i64::from_postgres(wire).map(Self)
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        i64::from_sqlite(cell).map(Self)
    }
}
impl From<JobKinds> for Value {
    fn from(kinds: JobKinds) -> Self {
        Self::Int(kinds.0)
    }
}

/// The text of a jsonb or json cell. Keys come back in PostgreSQL's order from jsonb.
#[derive(Debug)]
pub struct JsonText(String);

impl<'a> FromSql<'a> for JsonText {
    fn from_sql(found: &Type, raw: &'a [u8]) -> Result<Self, Source> {
        let text = match (found == &Type::JSONB, raw) {
            (true, [1, text @ ..]) => text,
            (true, _) => return Err("unknown version of jsonb".into()),
            (false, text) => text,
        };
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }
    accepts!(JSON, JSONB);
}

impl<T: DeserializeOwned> Column for Json<T> {
    type Wire = JsonText;
    fn from_postgres(wire: JsonText) -> Result<Self, Source> {
        Ok(Self(serde_json::from_str(&wire.0)?))
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        Ok(Self(serde_json::from_str(cell.as_str()?)?))
    }
}
impl<T: Serialize> From<&Json<T>> for Value {
    fn from(json: &Json<T>) -> Self {
        serde_json::to_string(&json.0).map_or_else(|error| Self::Invalid(error.to_string()), Self::Json)
    }
}
impl<T: Serialize> From<Json<T>> for Value {
    fn from(json: Json<T>) -> Self {
        (&json).into()
    }
}

impl Column for RawJson {
    type Wire = JsonText;
    fn from_postgres(wire: JsonText) -> Result<Self, Source> {
        Ok(Self(wire.0))
    }
    fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
        String::from_sqlite(cell).map(Self)
    }
}
impl From<RawJson> for Value {
    fn from(json: RawJson) -> Self {
        Self::Json(json.0)
    }
}
impl From<&RawJson> for Value {
    fn from(json: &RawJson) -> Self {
        Self::Json(json.0.clone())
    }
}

fn read_word<T: Word>(text: &str) -> Result<T, Source> {
    T::parse(text).ok_or_else(|| format!("{text:?} is not a {}", std::any::type_name::<T>()).into())
}

/// Stores enums as their words.
macro_rules! words {
    ($($type:ty),+ $(,)?) => { $(
        impl Column for $type {
            type Wire = String;
            fn from_postgres(wire: String) -> Result<Self, Source> {
                read_word(&wire)
            }
            fn from_sqlite(cell: ValueRef<'_>) -> Result<Self, Source> {
                read_word(cell.as_str()?)
            }
        }
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Text(value.word().to_owned())
            }
        }
        single_record!([] $type);
    )+ };
}
words!(
    chandler_model::audit::AuditAction,
    chandler_model::credentials::Namespace,
    chandler_model::credentials::TypeKind,
    chandler_model::environments::Pull,
    chandler_model::jobs::Canceled,
    chandler_model::jobs::Canceler,
    chandler_model::jobs::Fault,
    chandler_model::jobs::Hold,
    chandler_model::jobs::JobFamily,
    chandler_model::jobs::JobKind,
    chandler_model::jobs::KeyMode,
    chandler_model::jobs::LaunchType,
    chandler_model::jobs::StepKind,
    chandler_model::jobs::StepState,
    chandler_model::jobs::Success,
    chandler_model::jobs::Verdict,
    chandler_model::jobs::WaitingFor,
    chandler_model::kinds::Action,
    chandler_model::kinds::Dialect,
    chandler_model::kinds::Kind,
    chandler_model::kinds::Scope,
    chandler_model::logs::Level,
    chandler_model::logs::Stream,
    chandler_model::templates::TemplateKind,
    chandler_model::tokens::TokenKind,
    chandler_model::users::UserStatus,
    chandler_model::workspaces::Flavour,
    chandler_model::workspaces::Origin,
);
