//! What every audited row can say of itself: enough for authorization, audit, change events and tallies.

use chandler_model::credentials::{Credential, CredentialType};
use chandler_model::environments::Environment;
use chandler_model::ids::Selector;
use chandler_model::jobs::Job;
use chandler_model::kinds::{Kind, Place, Unit};
use chandler_model::organizations::Organization;
use chandler_model::templates::Template;
use chandler_model::tokens::Token;
use chandler_model::users::User;
use chandler_model::workspaces::Workspace;
use chandler_model::{Id, Uid};
use chandler_store::Db;
use serde_json::{Map, Value};

/// What a row says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub id: i64,
    pub uid: Uid,
    /// What a person calls it.
    pub title: &'a str,
    /// The tenant it belongs to; the organization itself for an organization.
    pub organization_id: Option<Id<Organization>>,
    /// The place it is counted in; `None` for kinds without tallies.
    pub unit: Option<Unit>,
}

/// A row that rights are asked about and changes are recorded of.
pub trait Resource: Sized + Send + Sync + 'static {
    /// The kind that a missing row is told as.
    const KIND: Kind;

    /// What this row is; another than `KIND` only where one table holds several kinds.
    fn kind(&self) -> Kind {
        Self::KIND
    }

    fn about(&self) -> About<'_>;
    /// The fields that audit compares, in core names, without secrets.
    fn fields(&self) -> Map<String, Value>;
    /// Reads the row that a selector names.
    fn load(db: &Db, selector: Selector<Self>) -> impl Future<Output = chandler_store::Result<Option<Self>>> + Send;
}

/// The unit of an organization's own rows.
fn in_organization(id: Id<Organization>) -> Option<Unit> {
    Some(Place::Organization(id).unit())
}

/// Fields of a serializable row, less those that every write moves.
fn fields_of(row: &impl serde::Serialize) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(row) else { return Map::new() };
    for moving in ["id", "uid", "created_at", "updated_at", "created_by", "updated_by", "version", "update_count"] {
        fields.remove(moving);
    }
    fields
}

impl Resource for Organization {
    const KIND: Kind = Kind::Organization;

    fn about(&self) -> About<'_> {
        About {
            id: self.id.get(),
            uid: self.uid,
            title: &self.title,
            organization_id: Some(self.id),
            unit: Some(Place::Global.unit()),
        }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::organizations::find(db, selector).await
    }
}

impl Resource for Environment {
    const KIND: Kind = Kind::Environment;

    fn about(&self) -> About<'_> {
        About {
            id: self.id.get(),
            uid: self.uid,
            title: &self.name,
            organization_id: self.organization_id,
            unit: Some(self.place().unit()),
        }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::environments::find(db, selector).await
    }
}

impl Resource for Template {
    const KIND: Kind = Kind::ScriptTemplate;

    fn kind(&self) -> Kind {
        crate::templates::kind_of(self.kind)
    }

    fn about(&self) -> About<'_> {
        About {
            id: self.id.get(),
            uid: self.uid,
            title: &self.name,
            organization_id: Some(self.organization_id),
            unit: in_organization(self.organization_id),
        }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::templates::find(db, selector).await
    }
}

impl Resource for Workspace {
    const KIND: Kind = Kind::SharedWorkspace;

    fn about(&self) -> About<'_> {
        About {
            id: self.id.get(),
            uid: self.uid,
            title: &self.name,
            organization_id: Some(self.organization_id),
            unit: in_organization(self.organization_id),
        }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::workspaces::find(db, selector).await
    }
}

impl Resource for Job {
    const KIND: Kind = Kind::ScriptJob;

    fn kind(&self) -> Kind {
        crate::jobs::kind_of(self.family)
    }

    fn about(&self) -> About<'_> {
        About {
            id: self.id.get(),
            uid: self.uid,
            title: &self.name,
            organization_id: self.organization_id,
            unit: self.organization_id.and_then(in_organization),
        }
    }
    fn fields(&self) -> Map<String, Value> {
        // What a job did is in its transitions; audit records that somebody launched or cancelled it, and what.
        let mut fields = Map::new();
        fields.insert("kind".into(), serde_json::to_value(self.kind).unwrap_or_default());
        fields.insert("template_id".into(), self.template_id.map(Id::get).into());
        fields.insert("environment_id".into(), self.environment_id.map(Id::get).into());
        fields.insert("cancel_requested".into(), self.cancel_requested_at.is_some().into());
        fields
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::jobs::rows::find(db, selector).await
    }
}

impl Resource for User {
    const KIND: Kind = Kind::User;

    fn about(&self) -> About<'_> {
        About { id: self.id.get(), uid: self.uid, title: &self.login, organization_id: None, unit: None }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::users::find(db, selector).await
    }
}

impl Resource for Token {
    const KIND: Kind = Kind::Token;

    fn about(&self) -> About<'_> {
        About {
            id: self.id.get(),
            uid: self.uid,
            title: self.name.as_deref().unwrap_or("token"),
            organization_id: None,
            unit: None,
        }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::tokens::find(db, selector).await
    }
}

impl Resource for Credential {
    const KIND: Kind = Kind::Credential;

    fn kind(&self) -> Kind {
        Self::kind(self)
    }

    fn about(&self) -> About<'_> {
        About {
            id: self.id.get(),
            uid: self.uid,
            title: &self.name,
            organization_id: self.organization_id,
            unit: Some(self.place().unit()),
        }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::credentials::find(db, selector).await
    }
}

impl Resource for CredentialType {
    const KIND: Kind = Kind::CredentialType;

    fn about(&self) -> About<'_> {
        About { id: self.id.get(), uid: self.uid, title: &self.name, organization_id: None, unit: None }
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::credential_types::find(db, selector).await
    }
}
