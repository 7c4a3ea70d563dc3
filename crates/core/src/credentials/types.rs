//! The types that the installation itself knows, and reading them.

use chandler_model::credentials::{CredentialType, InputField, InputKind, InputSchema, Namespace, TypeKind};
use chandler_model::ids::Selector;
use chandler_model::kinds::{Action, Kind};
use chandler_model::paging::{Page, PageRequest};
use chandler_model::{Json, Word};
use chandler_store::Tx;
use chandler_store::credential_types::{self, BuiltIn};

use crate::Core;
use crate::authz;
use crate::cx::Cx;
use crate::error::Result;

impl Core {
    pub async fn get_credential_type(&self, cx: &Cx, selector: Selector<CredentialType>) -> Result<CredentialType> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// Types by id.
    pub async fn list_credential_types(&self, cx: &Cx, page: PageRequest) -> Result<Page<CredentialType>> {
        let rows = credential_types::page(self.db(), &authz::visible(cx, Kind::CredentialType), page).await?;
        Ok(Page::of_one_more(rows, page.limit, |row| row.id.get()))
    }
}

/// Makes the built-in types, in the order of their words.
pub(crate) async fn make_built_in(core: &Core, tx: &mut Tx, cx: &Cx) -> Result<()> {
    for namespace in all::<Namespace>() {
        let (name, kind) = called(*namespace);
        let inputs = Json(schema(*namespace));
        let new = BuiltIn { name, kind, namespace: *namespace, inputs: &inputs };
        credential_types::insert(tx, core.uid(), cx.now, &new).await?;
    }
    Ok(())
}

fn all<W: Word>() -> &'static [W] {
    W::VARIANTS
}

const fn called(namespace: Namespace) -> (&'static str, TypeKind) {
    match namespace {
        Namespace::Registry => ("Container Registry", TypeKind::Registry),
        Namespace::Scm => ("Source Control", TypeKind::Scm),
        Namespace::SshKey => ("SSH Key", TypeKind::Scm),
        Namespace::GitProvider => ("Git Provider", TypeKind::Token),
        Namespace::Generic => ("Generic Secret", TypeKind::Cloud),
        Namespace::Userpass => ("User and Password", TypeKind::Cloud),
    }
}

fn schema(namespace: Namespace) -> InputSchema {
    match namespace {
        Namespace::Registry => InputSchema {
            fields: vec![
                InputField { address: true, ..public("host", "Address of the registry") },
                public("username", "User name"),
                secret("password", "Password or token"),
                InputField { kind: InputKind::Boolean, ..public("verify_ssl", "Check the certificate") },
            ],
            required: required(&["host"]),
            any: false,
        },
        Namespace::Scm => InputSchema {
            fields: vec![
                public("username", "User name"),
                secret("password", "Password or token"),
                InputField { multiline: true, ..secret("ssh_key_data", "Private key") },
                secret("ssh_key_unlock", "Pass phrase of the private key"),
            ],
            ..InputSchema::default()
        },
        Namespace::SshKey => InputSchema {
            fields: vec![
                InputField { multiline: true, ..secret("private_key", "Private key") },
                public("ssh_type", "Kind of key"),
            ],
            required: required(&["private_key"]),
            any: false,
        },
        Namespace::GitProvider => InputSchema {
            fields: vec![
                public("client_id", "Id of the application"),
                secret("client_secret", "Secret of the application"),
                InputField { multiline: true, ..secret("private_key", "Private key of the application") },
                secret("access_token", "Access token"),
            ],
            ..InputSchema::default()
        },
        Namespace::Generic => InputSchema { any: true, ..InputSchema::default() },
        Namespace::Userpass => InputSchema {
            fields: vec![public("user", "User name"), secret("password", "Password")],
            required: required(&["user", "password"]),
            any: false,
        },
    }
}

fn public(id: &str, label: &str) -> InputField {
    InputField { id: id.to_owned(), label: label.to_owned(), ..InputField::default() }
}

fn secret(id: &str, label: &str) -> InputField {
    InputField { secret: true, ..public(id, label) }
}

fn required(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_inputs_are_inputs_and_an_address_is_public_text() {
        for namespace in all::<Namespace>() {
            let schema = schema(*namespace);
            for id in &schema.required {
                assert!(schema.field(id).is_some(), "{namespace:?} {id}");
            }
            for field in schema.fields.iter().filter(|field| field.address) {
                assert!(!field.secret && field.kind == InputKind::String, "{namespace:?} {}", field.id);
            }
        }
    }
}
