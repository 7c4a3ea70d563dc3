//! Environments: what a job runs in. Global ones are the installation's, organization ones a tenant's.

use chandler_model::credentials::Credential;
use chandler_model::environments::{Environment, IMAGE_MAX, Pull};
use chandler_model::errors::Code;
use chandler_model::ids::Selector;
use chandler_model::kinds::{Action, Kind, Place};
use chandler_model::organizations::Organization;
use chandler_model::paging::{Page, PageRequest};
use chandler_model::run_spec::RunSpec;
use chandler_model::templates::TEXT_MAX;
use chandler_model::{Id, Json, Patch, names};
use chandler_store::environments::{self, NewEnvironment};

use crate::Core;
use crate::authz::{self, Authorized};
use crate::credentials;
use crate::cx::Cx;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::input::{Check, expect_version, optional_text, patched_text};

/// What a new environment is made of.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentInput {
    /// None = global.
    pub organization: Option<Id<Organization>>,
    pub name: String,
    pub description: Option<String>,
    /// None = a local process.
    pub image: Option<String>,
    pub pull: Option<Pull>,
    /// For a registry, and global or of the same organization.
    pub credential: Option<Id<Credential>>,
    pub spec: RunSpec,
}

/// What an edit changes.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentPatch {
    pub name: Option<String>,
    pub description: Patch<String>,
    pub image: Patch<String>,
    pub pull: Patch<Pull>,
    /// The only image that may run under this name.
    pub pinned_digest: Patch<String>,
    pub credential: Patch<Id<Credential>>,
    pub spec: Option<RunSpec>,
}

/// Which environments a list shows.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentFilter {
    pub organization: Option<Id<Organization>>,
    pub name: Option<String>,
}

impl Core {
    pub async fn create_environment(&self, cx: &Cx, input: EnvironmentInput) -> Result<Environment> {
        let place = match input.organization {
            None => Place::Global,
            Some(id) => Place::Organization(self.readable_organization(cx, id).await?),
        };
        let permit = authz::create_in(cx, Kind::Environment, place)?;
        let mut check = Check::default();
        let name = check.take("name", names::check_name(&input.name));
        let description = check.take("description", optional_text(input.description, names::DESCRIPTION_MAX));
        let image = check.take("image", input.image.as_deref().map(check_image).transpose());
        check_run(&mut check, "spec", &input.spec);
        check.done()?;
        let credential_id = match input.credential {
            Some(id) => Some(self.registry_credential(cx, id, place.organization()).await?),
            None => None,
        };
        let spec = Json(input.spec);
        let new = NewEnvironment {
            by: cx.user_id(),
            place,
            name: &name,
            description: description.as_deref(),
            image: image.as_deref(),
            pull: input.pull,
            credential_id,
            managed: false,
            spec: &spec,
        };
        self.write(cx, async |w| {
            credentials::keep(w.tx, credential_id).await?;
            let row = environments::insert(w.tx, self.uid(), cx.now, &new).await?;
            w.created(&permit, &row)?;
            Ok(row)
        })
        .await
        .map_err(|error| organization_vanished(error, Kind::Environment))
    }

    pub async fn get_environment(&self, cx: &Cx, selector: Selector<Environment>) -> Result<Environment> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// Environments by id. With an organization in the filter: only those that lie in it, not the global ones.
    pub async fn list_environments(
        &self,
        cx: &Cx,
        filter: &EnvironmentFilter,
        page: PageRequest,
    ) -> Result<Page<Environment>> {
        let wanted = environments::Wanted {
            unit: filter.organization.map(|id| Place::Organization(id).unit()),
            name: filter.name.as_deref(),
        };
        let rows = environments::page(self.db(), &authz::visible(cx, Kind::Environment), &wanted, page).await?;
        Ok(Page::of_one_more(rows, page.limit, |row| row.id.get()))
    }

    /// Changes what the patch names; of a managed environment only `pull`.
    pub async fn update_environment(
        &self,
        cx: &Cx,
        selector: Selector<Environment>,
        version: Option<i64>,
        patch: EnvironmentPatch,
    ) -> Result<Environment> {
        let right: Authorized<Environment> = authz::find(self, cx, Action::Update, selector).await?;
        let mut check = Check::default();
        let name = check.take("name", patch.name.as_deref().map(names::check_name).transpose());
        check.patch("description", &patch.description, names::DESCRIPTION_MAX);
        if let Some(image) = patch.image.as_set() {
            check.take("image", check_image(image));
        }
        if let Some(digest) = patch.pinned_digest.as_set() {
            check.take("pinned_digest", check_digest(digest));
        }
        if let Some(spec) = &patch.spec {
            check_run(&mut check, "spec", spec);
        }
        check.done()?;
        // What is not changed is not checked again.
        let credential = patch.credential.as_set().filter(|id| right.credential_id != Some(**id)).copied();
        if let Some(id) = credential {
            self.registry_credential(cx, id, right.organization_id).await?;
        }
        self.write(cx, async |w| {
            // Before the environment's row, as a deletion of the credential takes them.
            credentials::keep(w.tx, credential).await?;
            let before = environments::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Update))?;
            expect_version(version, before.version)?;
            let mut row = before.clone();
            if let Some(name) = &name {
                row.name.clone_from(name);
            }
            row.description = patched_text(&patch.description, row.description);
            row.image = patch.image.clone().apply(row.image);
            if row.image != before.image {
                // They were said of the other image.
                row.pinned_digest = None;
                row.seen_digest = None;
                row.seen_at = None;
            }
            row.pinned_digest = patch.pinned_digest.clone().apply(row.pinned_digest);
            if row.pinned_digest.is_some() && row.image.is_none() {
                return Err(Error::field("pinned_digest", Code::Format { rule: "needs image" }));
            }
            row.pull = patch.pull.clone().apply(row.pull);
            row.credential_id = patch.credential.clone().apply(row.credential_id);
            if let Some(spec) = &patch.spec {
                row.spec = Json(spec.clone());
            }
            let changed_but_pull = Environment { pull: before.pull, ..row.clone() } != before;
            if before.managed && changed_but_pull {
                return Err(ErrorKind::Protected { resource: Kind::Environment }.into());
            }
            row.updated_at = cx.now;
            row.updated_by = cx.user_id();
            let after = environments::update(w.tx, &row).await?;
            w.updated(&right, &before, &after);
            Ok(after)
        })
        .await
    }

    /// Deletes an environment, also one that is in use: what names it names nothing afterwards, and jobs keep its name
    /// in their snapshots. A managed one stays.
    pub async fn delete_environment(&self, cx: &Cx, selector: Selector<Environment>) -> Result<()> {
        let right: Authorized<Environment> = authz::find(self, cx, Action::Delete, selector).await?;
        self.write(cx, async |w| {
            let row = environments::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Delete))?;
            if row.managed {
                return Err(ErrorKind::Protected { resource: Kind::Environment }.into());
            }
            environments::delete(w.tx, row.id).await?;
            w.deleted(&right, &row);
            Ok(())
        })
        .await
    }

    /// The organization that a new row names, if the actor may read it; otherwise the field is wrong.
    pub(crate) async fn readable_organization(&self, cx: &Cx, id: Id<Organization>) -> Result<Id<Organization>> {
        match authz::find::<Organization>(self, cx, Action::Read, id).await {
            Ok(found) => Ok(found.id),
            Err(Error { kind: ErrorKind::Denied { .. }, .. }) => {
                Err(Error::field("organization_id", Code::Unknown { resource: "organization" }))
            }
            Err(error) => Err(error),
        }
    }
}

/// An organization that was deleted between the look and the write refuses its new children by foreign key.
pub(crate) fn organization_vanished(error: Error, made: Kind) -> Error {
    let by_foreign_key = error
        .cause
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<chandler_store::Error>())
        .is_some_and(|cause| matches!(cause, chandler_store::Error::ForeignKey { .. }));
    if by_foreign_key {
        let unknown = Error::field("organization_id", Code::Unknown { resource: "organization" });
        Error { kind: unknown.kind, cause: Some(format!("{made:?}: {error}").into()) }
    } else {
        error
    }
}

/// A container image reference is kept as given; only what no registry could mean is refused.
pub(crate) fn check_image(image: &str) -> Result<String, Code> {
    if image.is_empty() {
        return Err(Code::Blank);
    }
    names::check_text(image, IMAGE_MAX)?;
    if image.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Code::Format { rule: "must not contain spaces" });
    }
    Ok(image.to_owned())
}

/// Checks how a container is run; `at` is where the request says it.
pub(crate) fn check_run(check: &mut Check, at: &str, run: &RunSpec) {
    let nul = Code::Format { rule: "must not contain the character NUL" };
    let texts = [("command", &run.command), ("args", &run.args), ("working_dir", &run.working_dir)];
    for (name, text) in texts {
        let Some(text) = text else { continue };
        let path = format!("{at}.{name}");
        check.require(text.len() <= TEXT_MAX, path.as_str(), Code::TooLong { max: TEXT_MAX });
        check.require(!text.contains('\0'), path.as_str(), nul.clone());
        // Quotes and backslashes as a POSIX shell has them.
        let splits = name == "working_dir" || shlex::split(text).is_some();
        check.require(splits, path, Code::Format { rule: "has a quote or a backslash that is left open" });
    }
    for (i, var) in run.env.iter().enumerate() {
        let path = format!("{at}.env.{i}.name");
        check.require(!var.name.is_empty(), path.as_str(), Code::Blank);
        check.require(
            !var.name.contains(['=', '\0']),
            path.as_str(),
            Code::Format { rule: "must not contain `=` or NUL" },
        );
        let first = run.env.iter().position(|other| other.name == var.name);
        check.require(first == Some(i), path, Code::NotUnique);
        for (name, text) in [("value", &var.value), ("description", &var.description)] {
            let text = text.as_deref().unwrap_or_default();
            let path = format!("{at}.env.{i}.{name}");
            check.require(text.len() <= TEXT_MAX, path.as_str(), Code::TooLong { max: TEXT_MAX });
            check.require(!text.contains('\0'), path, nul.clone());
        }
    }
    if let Some(dir) = &run.working_dir {
        let rule = "must be an absolute path";
        check.require(dir.starts_with('/'), format!("{at}.working_dir"), Code::Format { rule });
    }
    let rule = "needs stdin";
    check.require(run.tty != Some(true) || run.stdin == Some(true), format!("{at}.tty"), Code::Format { rule });
}

/// The digest of an image as registries write it.
fn check_digest(digest: &str) -> Result<(), Code> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    let fits = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits { Ok(()) } else { Err(Code::Format { rule: "must be `sha256:` and 64 digits of 0-9 and a-f" }) }
}

fn gone(action: Action) -> Error {
    Error::absent(Kind::Environment, action)
}
