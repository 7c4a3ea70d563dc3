//! Templates: named work that is launched again and again. A changed content is a new revision; a job remembers which.
//!
//! What the content of each kind must be like stands in the file of that kind.

mod ansible;
mod bounds;
mod flow;
mod script;
mod workload;

use chandler_model::environments::Environment;
use chandler_model::errors::Code;
use chandler_model::ids::Selector;
use chandler_model::kinds::{Action, Kind, Place};
use chandler_model::organizations::Organization;
use chandler_model::paging::{Page, PageRequest};
use chandler_model::templates::{Template, TemplateKind, TemplateSpec};
use chandler_model::{Id, Json, Patch, names};
use chandler_store::templates::{self, NewRevision, NewTemplate};

use crate::Core;
use crate::authz::{self, Authorized};
use crate::cx::Cx;
use crate::environments::organization_vanished;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::input::{Check, expect_version, optional_text, patched_text};

pub use ansible::VERBOSITY_MAX;
pub use bounds::{ARG_MAX, RETRIES_MAX};
pub use flow::{FILES_MAX, PATH_MAX, STEPS_MAX};
pub use script::ARGS_MAX;

/// Most templates on one page: each may be some hundred kilobytes long.
pub const PAGE_MAX: u32 = 50;

/// What a new template is made of.
#[derive(Clone, Debug)]
pub struct TemplateInput {
    pub organization: Id<Organization>,
    pub name: String,
    pub description: Option<String>,
    pub environment: Option<Id<Environment>>,
    pub spec: TemplateSpec,
}

/// What an edit changes. A `spec` that differs makes a new revision.
#[derive(Clone, Debug, Default)]
pub struct TemplatePatch {
    pub name: Option<String>,
    pub description: Patch<String>,
    pub environment: Patch<Id<Environment>>,
    pub spec: Option<TemplateSpec>,
}

/// Which templates a list shows.
#[derive(Clone, Debug, Default)]
pub struct TemplateFilter {
    pub organization: Option<Id<Organization>>,
    pub name: Option<String>,
}

impl Core {
    pub async fn create_template(&self, cx: &Cx, input: TemplateInput) -> Result<Template> {
        let organization = self.readable_organization(cx, input.organization).await?;
        let permit = authz::create_in(cx, kind_of(input.spec.kind()), Place::Organization(organization))?;
        let mut check = Check::default();
        let name = check.take("name", names::check_name(&input.name));
        let description = check.take("description", optional_text(input.description, names::DESCRIPTION_MAX));
        check_spec(&mut check, &input.spec);
        check.done()?;
        let environment = match input.environment {
            Some(id) => Some(self.usable_environment(cx, id, organization).await?.id),
            None => None,
        };
        let spec = Json(input.spec);
        let new = NewTemplate {
            by: cx.user_id(),
            organization_id: organization,
            kind: spec.kind(),
            name: &name,
            description: description.as_deref(),
            environment_id: environment,
            spec: &spec,
        };
        self.write(cx, async |w| {
            let row = templates::insert(w.tx, (self.uid(), self.uid()), cx.now, &new).await?;
            w.created(&permit, &row)?;
            Ok(row)
        })
        .await
        .map_err(|error| organization_vanished(error, Kind::ScriptTemplate))
    }

    pub async fn get_template(&self, cx: &Cx, selector: Selector<Template>) -> Result<Template> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// Templates by id, at most [`PAGE_MAX`] on a page whatever is asked for.
    pub async fn list_templates(&self, cx: &Cx, filter: &TemplateFilter, page: PageRequest) -> Result<Page<Template>> {
        let page = PageRequest { limit: page.limit.min(PAGE_MAX), ..page };
        let wanted = templates::Wanted { organization: filter.organization, name: filter.name.as_deref() };
        let rows = templates::page(self.db(), &authz::visible(cx, Kind::ScriptTemplate), &wanted, page).await?;
        Ok(Page::of_one_more(rows, page.limit, |row| row.id.get()))
    }

    pub async fn update_template(
        &self,
        cx: &Cx,
        selector: Selector<Template>,
        version: Option<i64>,
        patch: TemplatePatch,
    ) -> Result<Template> {
        let right: Authorized<Template> = authz::find(self, cx, Action::Update, selector).await?;
        let mut check = Check::default();
        let name = check.take("name", patch.name.as_deref().map(names::check_name).transpose());
        check.patch("description", &patch.description, names::DESCRIPTION_MAX);
        if let Some(spec) = &patch.spec {
            check.require(spec.kind() == right.kind, "spec.kind", Code::ReadOnly);
            check_spec(&mut check, spec);
        }
        check.done()?;
        // What is not changed is not checked again.
        if let Some(id) = patch.environment.as_set().filter(|id| right.environment_id != Some(**id)) {
            self.usable_environment(cx, *id, right.organization_id).await?;
        }
        self.write(cx, async |w| {
            let before = templates::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Update))?;
            expect_version(version, before.version)?;
            let mut row = before.clone();
            if let Some(name) = &name {
                row.name.clone_from(name);
            }
            row.description = patched_text(&patch.description, row.description);
            row.environment_id = patch.environment.clone().apply(row.environment_id);
            row.updated_at = cx.now;
            row.updated_by = cx.user_id();
            if let Some(spec) = patch.spec.as_ref().filter(|spec| **spec != before.spec.0) {
                let revision = NewRevision {
                    uid: self.uid(),
                    at: cx.now,
                    by: cx.user_id(),
                    template: row.id,
                    organization: row.organization_id,
                };
                templates::revise(w.tx, &revision, &Json(spec.clone())).await?;
            }
            let after = templates::update(w.tx, &row).await?;
            w.updated(&right, &before, &after);
            Ok(after)
        })
        .await
    }

    /// Deletes a template and its revisions. Jobs that came from it stay and keep its name.
    pub async fn delete_template(&self, cx: &Cx, selector: Selector<Template>) -> Result<()> {
        let right: Authorized<Template> = authz::find(self, cx, Action::Delete, selector).await?;
        self.write(cx, async |w| {
            let row = templates::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Delete))?;
            templates::delete(w.tx, row.id).await?;
            w.deleted(&right, &row);
            Ok(())
        })
        .await
    }

    /// The environment that a row of an organization names: readable, and global or of that organization.
    pub(crate) async fn usable_environment(
        &self,
        cx: &Cx,
        id: Id<Environment>,
        organization: Id<Organization>,
    ) -> Result<Environment> {
        let unknown = || Error::field("environment_id", Code::Unknown { resource: "environment" });
        match authz::find::<Environment>(self, cx, Action::Read, id).await {
            Ok(found) if found.organization_id.is_none_or(|of| of == organization) => Ok(found.into_inner()),
            Ok(_) | Err(Error { kind: ErrorKind::Denied { .. }, .. }) => Err(unknown()),
            Err(error) => Err(error),
        }
    }
}

/// What a template is to authorization.
pub(crate) const fn kind_of(kind: TemplateKind) -> Kind {
    match kind {
        TemplateKind::Script => Kind::ScriptTemplate,
        TemplateKind::Ansible => Kind::AnsibleTemplate,
        TemplateKind::Flow => Kind::Flow,
        TemplateKind::Workload => Kind::WorkloadTemplate,
    }
}

/// Checks the content of a template or of a launch.
pub(crate) fn check_spec(check: &mut Check, spec: &TemplateSpec) {
    match spec {
        TemplateSpec::Script(spec) => script::check(check, spec),
        TemplateSpec::Ansible(spec) => ansible::check(check, spec),
        TemplateSpec::Flow(spec) => flow::check(check, spec),
        TemplateSpec::Workload(spec) => workload::check(check, spec),
    }
}

fn gone(action: Action) -> Error {
    Error::absent(Kind::ScriptTemplate, action)
}
