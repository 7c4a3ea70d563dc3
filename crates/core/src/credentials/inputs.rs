//! The inputs of a credential: what a request gives, checked against the type and split into public ones and secrets,
//! and the sealing of the latter. Nothing here is ever shown by `Debug`.

use std::collections::{BTreeMap, BTreeSet};

use chandler_model::credentials::{Input, InputField, InputKind, InputSchema, Inputs};
use chandler_model::errors::Code;
use chandler_model::{Uid, names};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::registry;
use crate::input::Check;
use crate::secrets::{DoesNotOpen, Sealer, Seat};

/// Longest public input, in characters.
pub const PUBLIC_MAX: usize = 1024;
/// Longest secret input, in bytes.
pub const SECRET_MAX: usize = 64 * 1024;
/// Most secrets of one's own naming.
pub const ANY_MAX: usize = 64;
/// Longest name of one's own, in characters.
pub const ANY_NAME_MAX: usize = 253;

/// One input as a request gives it; whether it is secret only its type knows.
#[derive(Clone, Debug)]
pub enum Given {
    Null,
    Flag(bool),
    Text(SecretString),
}

impl From<String> for Given {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// Inputs as a request gives them, by name.
pub type GivenInputs = BTreeMap<String, Given>;

/// Secrets by name.
pub(super) type Secrets = BTreeMap<String, SecretString>;

/// What a credential has, and then what it is to have.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) public: Inputs,
    /// Names of all secrets, sorted.
    pub(super) names: Vec<String>,
    /// Those that the request gives.
    pub(super) given: Secrets,
}

/// What the row has so far; `None` for a new one.
pub(super) type Before<'a> = Option<(&'a Inputs, &'a [String])>;

/// Lays what a request gives over what there is. An absent input stays as it is. Null, and an empty text, clear a public
/// one and keep a secret.
pub(super) fn merge(check: &mut Check, schema: &InputSchema, before: Before<'_>, given: &GivenInputs) -> Merged {
    let (had, held) = before.unwrap_or((const { &Inputs::new() }, &[]));
    let mut public = had.clone();
    let mut secrets = Secrets::new();
    for (id, value) in given {
        let path = format!("inputs.{}", shown(id));
        match schema.field(id) {
            Some(field) if field.secret => take_secret(check, &path, id, value, &mut secrets),
            Some(field) => take_public(check, &path, field, value, &mut public),
            None if schema.any && is_name(id) => take_secret(check, &path, id, value, &mut secrets),
            None if schema.any => check.require(false, path, Code::Format { rule: NAME_RULE }),
            None => check.require(false, path, Code::UnknownField),
        }
    }
    let names: BTreeSet<&String> = held.iter().chain(secrets.keys()).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    check.require(!schema.any || names.len() <= ANY_MAX, "inputs", Code::TooLong { max: ANY_MAX });
    for id in &schema.required {
        let there = public.contains_key(id) || names.contains(id);
        // What was not changed is not checked again.
        let asked = before.is_none() || given.contains_key(id);
        check.require(there || !asked, format!("inputs.{id}"), Code::Required);
    }
    if before.is_some() && addresses(schema, had) != addresses(schema, &public) {
        // A secret goes only where its giver sent it.
        for id in held.iter().filter(|id| !secrets.contains_key(*id)) {
            check.require(false, format!("inputs.{id}"), Code::Required);
        }
    }
    Merged { public, names, given: secrets }
}

const NAME_RULE: &str = "must be named by 1 to 253 letters, digits, `.`, `-` or `_`";

/// A client's own key as it may be repeated to it.
fn shown(id: &str) -> String {
    id.chars().take(64).collect()
}

fn is_name(id: &str) -> bool {
    let letters = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    letters && (1..=ANY_NAME_MAX).contains(&id.len())
}

fn take_secret(check: &mut Check, path: &str, id: &str, value: &Given, secrets: &mut Secrets) {
    match value {
        Given::Null => {}
        Given::Flag(_) => check.require(false, path, Code::WrongType { want: "string" }),
        Given::Text(text) => {
            let clear = text.expose_secret();
            check.require(clear.len() <= SECRET_MAX, path, Code::TooLong { max: SECRET_MAX });
            check.require(!clear.contains('\0'), path, Code::Format { rule: "must not contain the character NUL" });
            if !clear.is_empty() {
                secrets.insert(id.to_owned(), text.clone());
            }
        }
    }
}

fn take_public(check: &mut Check, path: &str, field: &InputField, value: &Given, public: &mut Inputs) {
    let input = match (field.kind, value) {
        (_, Given::Null) => None,
        (InputKind::Boolean, Given::Flag(flag)) => Some(Input::Flag(*flag)),
        (InputKind::String, Given::Text(text)) => {
            let text = text.expose_secret();
            (!text.is_empty()).then(|| Input::Text(text.to_owned()))
        }
        (InputKind::Boolean, Given::Text(_)) => {
            return check.require(false, path, Code::WrongType { want: "boolean" });
        }
        (InputKind::String, Given::Flag(_)) => return check.require(false, path, Code::WrongType { want: "string" }),
    };
    if public.get(&field.id) == input.as_ref() {
        return;
    }
    match input {
        None => {
            public.remove(&field.id);
        }
        Some(input) => {
            if let Some(text) = input.text() {
                check.take(path, check_public(field, text));
            }
            public.insert(field.id.clone(), input);
        }
    }
}

fn check_public(field: &InputField, text: &str) -> Result<(), Code> {
    names::check_text(text, PUBLIC_MAX)?;
    if field.address && !registry::is_authority(text) {
        return Err(Code::Format { rule: "must be a host name, with a port if need be, and nothing else" });
    }
    if !field.multiline && text.chars().any(char::is_control) {
        return Err(Code::Format { rule: "must not contain control characters" });
    }
    Ok(())
}

/// Where the secrets are sent. Two ways to write one host are one address.
fn addresses<'a>(schema: &'a InputSchema, public: &Inputs) -> Vec<(&'a str, Option<String>)> {
    let text = |id: &str| public.get(id).and_then(Input::text).and_then(registry::host);
    schema.fields.iter().filter(|field| field.address).map(|field| (field.id.as_str(), text(&field.id))).collect()
}

const fn seat(row: Uid) -> Seat<'static> {
    Seat { table: "credentials", row, column: "sealed" }
}

/// Seals all secrets of a row; `None` if it has none.
pub(super) fn seal(sealer: &Sealer, row: Uid, secrets: &Secrets) -> Result<Option<Vec<u8>>, CannotSeal> {
    if secrets.is_empty() {
        return Ok(None);
    }
    let clear: BTreeMap<&str, &str> = secrets.iter().map(|(id, text)| (id.as_str(), text.expose_secret())).collect();
    let clear = serde_json::to_vec(&clear).map(Zeroizing::new).map_err(|_| CannotSeal)?;
    sealer.seal(seat(row), &clear).map(Some).map_err(|_| CannotSeal)
}

/// Opens what [`seal`] made for the same row.
pub(super) fn open(sealer: &Sealer, row: Uid, sealed: Option<&[u8]>) -> Result<Secrets, DoesNotOpen> {
    let Some(sealed) = sealed else { return Ok(Secrets::new()) };
    let clear = sealer.open(seat(row), sealed)?;
    // The text of serde's error could repeat a part of a secret.
    let secrets: BTreeMap<String, String> = serde_json::from_slice(&clear).map_err(|_| DoesNotOpen)?;
    Ok(secrets.into_iter().map(|(id, text)| (id, text.into())).collect())
}

/// Secrets could not be sealed. It says nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secrets of a credential could not be sealed")]
pub(super) struct CannotSeal;
