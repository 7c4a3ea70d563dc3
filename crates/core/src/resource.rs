//! What every audited row can say of itself: enough for authorization, audit, change events and tallies.

use chandler_model::environments::Environment;
use chandler_model::ids::Selector;
use chandler_model::jobs::Job;
use chandler_model::kinds::{Kind, Place, Unit};
use chandler_model::organizations::Organization;
use chandler_model::templates::Template;
use chandler_model::tokens::Token;
use chandler_model::users::User;
use chandler_model::{Id, Uid};
use chandler_store::Db;
use serde_json::{Map, Value};

/// A row that rights are asked about and changes are recorded of.
pub trait Resource: Sized + Send + Sync + 'static {
    const KIND: Kind;

    fn id(&self) -> i64;
    fn uid(&self) -> Uid;
    /// What a person calls it.
    fn title(&self) -> &str;
    /// The tenant it belongs to; the organization itself for an organization.
    fn organization_id(&self) -> Option<Id<Organization>>;
    /// The place it is counted in; `None` for kinds without tallies.
    fn unit(&self) -> Option<Unit>;
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

    fn id(&self) -> i64 {
        self.id.get()
    }
    fn uid(&self) -> Uid {
        self.uid
    }
    fn title(&self) -> &str {
        &self.title
    }
    fn organization_id(&self) -> Option<Id<Organization>> {
        Some(self.id)
    }
    fn unit(&self) -> Option<Unit> {
        Some(Place::Global.unit())
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

    fn id(&self) -> i64 {
        self.id.get()
    }
    fn uid(&self) -> Uid {
        self.uid
    }
    fn title(&self) -> &str {
        &self.name
    }
    fn organization_id(&self) -> Option<Id<Organization>> {
        self.organization_id
    }
    fn unit(&self) -> Option<Unit> {
        Some(self.place().unit())
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

    fn id(&self) -> i64 {
        self.id.get()
    }
    fn uid(&self) -> Uid {
        self.uid
    }
    fn title(&self) -> &str {
        &self.name
    }
    fn organization_id(&self) -> Option<Id<Organization>> {
        Some(self.organization_id)
    }
    fn unit(&self) -> Option<Unit> {
        in_organization(self.organization_id)
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::templates::find(db, selector).await
    }
}

impl Resource for Job {
    const KIND: Kind = Kind::ScriptJob;

    fn id(&self) -> i64 {
        self.id.get()
    }
    fn uid(&self) -> Uid {
        self.uid
    }
    fn title(&self) -> &str {
        &self.name
    }
    fn organization_id(&self) -> Option<Id<Organization>> {
        self.organization_id
    }
    fn unit(&self) -> Option<Unit> {
        self.organization_id.and_then(in_organization)
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

    fn id(&self) -> i64 {
        self.id.get()
    }
    fn uid(&self) -> Uid {
        self.uid
    }
    fn title(&self) -> &str {
        &self.login
    }
    fn organization_id(&self) -> Option<Id<Organization>> {
        None
    }
    fn unit(&self) -> Option<Unit> {
        None
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

    fn id(&self) -> i64 {
        self.id.get()
    }
    fn uid(&self) -> Uid {
        self.uid
    }
    fn title(&self) -> &str {
        self.name.as_deref().unwrap_or("token")
    }
    fn organization_id(&self) -> Option<Id<Organization>> {
        None
    }
    fn unit(&self) -> Option<Unit> {
        None
    }
    fn fields(&self) -> Map<String, Value> {
        fields_of(self)
    }
    async fn load(db: &Db, selector: Selector<Self>) -> chandler_store::Result<Option<Self>> {
        chandler_store::tokens::find(db, selector).await
    }
}
