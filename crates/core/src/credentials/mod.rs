//! Credentials: secrets under a name, sealed as soon as they arrive, that jobs are given to show elsewhere
//! (`docs/core/model.md` 8). Only the runner of a job opens them; no answer, audit row or log has one.

mod inputs;
mod registry;
mod types;

use chandler_model::credentials::{Credential, Input, Inputs, Namespace};
use chandler_model::errors::Code;
use chandler_model::ids::Selector;
use chandler_model::kinds::{Action, Kind, Place};
use chandler_model::organizations::Organization;
use chandler_model::paging::{Page, PageRequest};
use chandler_model::{Id, Json, Patch, names};
use chandler_store::credentials::{self, NewCredential};
use chandler_store::{Tx, credential_types, environments};
use serde_json::Value;

pub use inputs::{ANY_MAX, ANY_NAME_MAX, Given, GivenInputs, PUBLIC_MAX, SECRET_MAX};
pub use registry::{JobPlace, registry_login};
pub(crate) use types::make_built_in;

use crate::Core;
use crate::authz::{self, Authorized};
use crate::cx::Cx;
use crate::environments::organization_vanished;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::input::{Check, expect_version, optional_text, patched_text};
use inputs::Merged;

/// Most environments that a refused deletion names.
const NAMED_MAX: i64 = 5;

/// What a new credential is made of.
#[derive(Clone, Debug)]
pub struct CredentialInput {
    /// None = global.
    pub organization: Option<Id<Organization>>,
    pub namespace: Namespace,
    pub name: String,
    pub description: Option<String>,
    /// For the actor alone.
    pub private: bool,
    pub inputs: GivenInputs,
}

/// What an edit changes. Inputs that it does not name stay as they are.
#[derive(Clone, Debug, Default)]
pub struct CredentialPatch {
    pub name: Option<String>,
    pub description: Patch<String>,
    pub inputs: GivenInputs,
}

/// Which credentials a list shows.
#[derive(Clone, Debug, Default)]
pub struct CredentialFilter {
    pub organization: Option<Id<Organization>>,
    pub namespace: Option<Namespace>,
    pub name: Option<String>,
}

impl Core {
    pub async fn create_credential(&self, cx: &Cx, input: CredentialInput) -> Result<Credential> {
        let place = match input.organization {
            None => Place::Global,
            Some(id) => Place::Organization(self.readable_organization(cx, id).await?),
        };
        let permit = authz::create_in(cx, input.namespace.kind(), place)?;
        let kind = credential_types::built_in(self.db(), input.namespace).await?;
        let kind = kind.ok_or_else(|| Error::internal("the installation lacks a built-in type of credentials"))?;
        let mut check = Check::default();
        let name = check.take("name", names::check_name(&input.name));
        let description = check.take("description", optional_text(input.description, names::DESCRIPTION_MAX));
        let merged = inputs::merge(&mut check, &kind.inputs, None, &input.inputs);
        check.done()?;
        let owner = match (input.private, cx.user_id()) {
            (false, _) => None,
            (true, Some(person)) => Some(person),
            (true, None) => return Err(Error::internal("a private credential of nobody")),
        };
        let uid = self.uid();
        let sealed = inputs::seal(self.sealer(), uid, &merged.given).map_err(Error::internal)?;
        let host = host_of(Some(input.namespace), &merged.public);
        let Merged { public, names: held, given } = merged;
        let (public, held) = (Json(public), Json(held));
        let new = NewCredential {
            by: cx.user_id(),
            place,
            owner,
            type_id: kind.id,
            name: &name,
            description: description.as_deref(),
            inputs: &public,
            secrets: &held,
            sealed: sealed.as_deref(),
            host: host.as_deref(),
        };
        self.write(cx, async |w| {
            let row = credentials::insert(w.tx, uid, cx.now, &new).await?.ok_or_else(vanished)?;
            w.created(&permit, &row)?;
            for id in given.keys() {
                w.more(&format!("inputs.{id}"), Value::Null, "hidden".into())?;
            }
            Ok(row)
        })
        .await
        .map_err(|error| organization_vanished(error, Kind::Credential))
    }

    pub async fn get_credential(&self, cx: &Cx, selector: Selector<Credential>) -> Result<Credential> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// Credentials by id. With an organization in the filter: only those that lie in it, not the global ones.
    pub async fn list_credentials(
        &self,
        cx: &Cx,
        filter: &CredentialFilter,
        page: PageRequest,
    ) -> Result<Page<Credential>> {
        let wanted = credentials::Wanted {
            unit: filter.organization.map(|id| Place::Organization(id).unit()),
            namespace: filter.namespace,
            name: filter.name.as_deref(),
        };
        let rows = credentials::page(self.db(), &authz::visible(cx, Kind::Credential), &wanted, page).await?;
        Ok(Page::of_one_more(rows, page.limit, |row| row.id.get()))
    }

    /// Changes what the patch names. A changed address needs every secret again.
    pub async fn update_credential(
        &self,
        cx: &Cx,
        selector: Selector<Credential>,
        version: Option<i64>,
        patch: CredentialPatch,
    ) -> Result<Credential> {
        let right: Authorized<Credential> = authz::find(self, cx, Action::Update, selector).await?;
        self.write(cx, async |w| {
            let before = credentials::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Update))?;
            expect_version(version, before.version)?;
            if before.managed {
                return Err(ErrorKind::Protected { resource: before.kind() }.into());
            }
            let kind = credential_types::get(w.tx, before.type_id).await?.ok_or_else(vanished)?;
            let mut check = Check::default();
            let name = check.take("name", patch.name.as_deref().map(names::check_name).transpose());
            check.patch("description", &patch.description, names::DESCRIPTION_MAX);
            let had = Some((&before.inputs.0, before.secrets.as_slice()));
            let merged = inputs::merge(&mut check, &kind.inputs, had, &patch.inputs);
            check.done()?;
            let sealed = self.reseal(w.tx, &before, &merged).await?;
            let mut row = before.clone();
            row.name = name.unwrap_or(row.name);
            row.description = patched_text(&patch.description, row.description);
            if merged.public != before.inputs.0 {
                row.host = host_of(row.namespace, &merged.public);
            }
            row.inputs = Json(merged.public);
            row.secrets = Json(merged.names);
            row.updated_at = cx.now;
            row.updated_by = cx.user_id();
            let after = credentials::update(w.tx, &row, sealed.as_deref()).await?.ok_or_else(vanished)?;
            w.updated(&right, &before, &after);
            for id in merged.given.keys() {
                let old = if before.secrets.contains(id) { "hidden".into() } else { Value::Null };
                w.more(&format!("inputs.{id}"), old, "hidden".into())?;
            }
            Ok(after)
        })
        .await
    }

    /// Deletes a credential.
    ///
    /// # Errors
    /// `Attached` while environments name it, unless it is forced: then they name none afterwards.
    pub async fn delete_credential(&self, cx: &Cx, selector: Selector<Credential>, force: bool) -> Result<()> {
        let right: Authorized<Credential> = authz::find(self, cx, Action::Delete, selector).await?;
        self.write(cx, async |w| {
            let row = credentials::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Delete))?;
            if row.managed {
                return Err(ErrorKind::Protected { resource: row.kind() }.into());
            }
            let count = environments::count_with(w.tx, row.id).await?;
            if count > 0 && !force {
                let visible = authz::visible(cx, Kind::Environment);
                let names = environments::names_with(w.tx, &visible, row.id, NAMED_MAX).await?;
                return Err(ErrorKind::Attached { resource: row.kind(), to: Kind::Environment, count, names }.into());
            }
            if count > 0 {
                environments::detach(w.tx, row.id, cx.now, cx.user_id()).await?;
            }
            credentials::delete(w.tx, row.id).await?;
            w.deleted(&right, &row);
            if count > 0 {
                w.more("environments", count.into(), 0.into())?;
            }
            Ok(())
        })
        .await
    }

    /// What a row's secrets are sealed into after an edit; `None` if the edit gives none.
    async fn reseal(&self, tx: &mut Tx, row: &Credential, merged: &Merged) -> Result<Option<Vec<u8>>> {
        if merged.given.is_empty() {
            return Ok(None);
        }
        let mut all = merged.given.clone();
        // Whoever gives all of them again needs no old ones, which a lost master key may have locked away.
        if merged.names.iter().any(|id| !all.contains_key(id)) {
            let sealed = credentials::sealed(tx, row.id).await?.and_then(|row| row.sealed);
            let old = inputs::open(self.sealer(), row.uid, sealed.as_deref()).map_err(Error::internal)?;
            for (id, text) in old {
                all.entry(id).or_insert(text);
            }
        }
        inputs::seal(self.sealer(), row.uid, &all).map_err(Error::internal)
    }

    /// The credential with which an environment's image may be fetched: one for a registry that the actor may use, and
    /// global or of the environment's organization.
    pub(crate) async fn registry_credential(
        &self,
        cx: &Cx,
        id: Id<Credential>,
        organization: Option<Id<Organization>>,
    ) -> Result<Id<Credential>> {
        match authz::find::<Credential>(self, cx, Action::Use, id).await {
            Ok(found)
                if found.namespace == Some(Namespace::Registry)
                    && (found.organization_id.is_none() || found.organization_id == organization) =>
            {
                Ok(found.id)
            }
            Ok(_) | Err(Error { kind: ErrorKind::Denied { .. }, .. }) => Err(unusable()),
            Err(error) => Err(error),
        }
    }
}

/// Keeps the credential that a row names from being deleted before the transaction ends.
pub(crate) async fn keep(tx: &mut Tx, id: Option<Id<Credential>>) -> Result<()> {
    match id {
        Some(id) if !credentials::keep(tx, id).await? => Err(unusable()),
        _ => Ok(()),
    }
}

fn unusable() -> Error {
    Error::field("credential_id", Code::Unknown { resource: "registry credential" })
}

/// The host that a row's column has: of registries only.
fn host_of(namespace: Option<Namespace>, public: &Inputs) -> Option<String> {
    match namespace {
        Some(Namespace::Registry) => public.get("host").and_then(Input::text).and_then(registry::host),
        _ => None,
    }
}

fn vanished() -> Error {
    Error::internal("a row vanished inside the transaction that holds it")
}

fn gone(action: Action) -> Error {
    Error::absent(Kind::Credential, action)
}
