//! Organizations: create, read, change, delete. Names follow `docs/core/model.md` 3: one title, a slug derived from it
//! once, a free display name.

use chandler_model::ids::Selector;
use chandler_model::kinds::{Action, Kind, Place};
use chandler_model::organizations::{Cluster, Organization};
use chandler_model::paging::{Page, PageRequest};
use chandler_model::{Id, Patch, names};
use chandler_store::organizations::{self, NewOrganization};
use chandler_store::{Tx, clusters};

use crate::Core;
use crate::authz::{self, Authorized};
use crate::cx::Cx;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::input::{Check, expect_version, optional_text, patched_text};

/// What a new organization is made of.
#[derive(Clone, Debug, Default)]
pub struct OrganizationInput {
    /// The title.
    pub name: String,
    pub display_name: Option<String>,
    pub description: Option<String>,
}

/// What an edit changes.
#[derive(Clone, Debug, Default)]
pub struct OrganizationPatch {
    pub name: Option<String>,
    pub display_name: Patch<String>,
    pub description: Patch<String>,
}

impl Core {
    pub async fn create_organization(&self, cx: &Cx, input: OrganizationInput) -> Result<Organization> {
        let permit = authz::create_in(cx, Kind::Organization, Place::Global)?;
        let mut check = Check::default();
        let name = check.take("name", names::check_name(&input.name));
        let display_name = check.take("display_name", optional_text(input.display_name, names::NAME_MAX));
        let description = check.take("description", optional_text(input.description, names::DESCRIPTION_MAX));
        check.done()?;
        let title = Title { name: &name, display_name: display_name.as_deref(), description: description.as_deref() };
        self.write(cx, async |w| {
            let cluster = default_cluster(w.tx).await?;
            let row = insert_with_slug(w.tx, self, cx, &title, cluster, false).await?;
            w.created(&permit, &row)?;
            Ok(row)
        })
        .await
    }

    pub async fn get_organization(&self, cx: &Cx, selector: Selector<Organization>) -> Result<Organization> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// The living organization of exactly that title, if the actor may see it.
    pub async fn organization_titled(&self, cx: &Cx, title: &str) -> Result<Option<Organization>> {
        let Some(found) = organizations::by_title(self.db(), title).await? else { return Ok(None) };
        match authz::find(self, cx, Action::Read, found.id).await {
            Ok(row) => Ok(Some(row.into_inner())),
            Err(Error { kind: ErrorKind::Denied { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Living organizations by id.
    pub async fn list_organizations(&self, cx: &Cx, page: PageRequest) -> Result<Page<Organization>> {
        let rows = organizations::page(self.db(), &authz::visible(cx, Kind::Organization), page).await?;
        Ok(Page::of_one_more(rows, page.limit, |row| row.id.get()))
    }

    /// Changes what the patch names. `version` is the caller's precondition, if it has one.
    pub async fn update_organization(
        &self,
        cx: &Cx,
        selector: Selector<Organization>,
        version: Option<i64>,
        patch: OrganizationPatch,
    ) -> Result<Organization> {
        let right: Authorized<Organization> = authz::find(self, cx, Action::Update, selector).await?;
        let mut check = Check::default();
        let name = check.take("name", patch.name.as_deref().map(names::check_name).transpose());
        check.patch("display_name", &patch.display_name, names::NAME_MAX);
        check.patch("description", &patch.description, names::DESCRIPTION_MAX);
        check.done()?;
        self.write(cx, async |w| {
            let before = organizations::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Update))?;
            expect_version(version, before.version)?;
            let mut row = before.clone();
            if let Some(name) = &name {
                row.name.clone_from(name);
                row.title.clone_from(name);
            }
            row.display_name = patched_text(&patch.display_name, row.display_name);
            row.description = patched_text(&patch.description, row.description);
            row.updated_at = cx.now;
            row.updated_by = cx.user_id();
            let after = organizations::update(w.tx, &row).await?;
            w.updated(&right, &before, &after);
            Ok(after)
        })
        .await
    }

    /// Deletes an organization on which nothing hangs.
    ///
    /// # Errors
    /// `Protected` for the default one; `InUse` with counts while environments, templates or unfinished jobs are in it.
    pub async fn delete_organization(&self, cx: &Cx, selector: Selector<Organization>) -> Result<()> {
        let right: Authorized<Organization> = authz::find(self, cx, Action::Delete, selector).await?;
        self.write(cx, async |w| {
            let row = organizations::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Delete))?;
            if row.is_default {
                return Err(ErrorKind::Protected { resource: Kind::Organization }.into());
            }
            let by = organizations::dependents(w.tx, row.id).await?;
            if !by.is_empty() {
                return Err(ErrorKind::InUse { resource: Kind::Organization, by }.into());
            }
            organizations::delete(w.tx, row.id, cx.now, cx.user_id()).await?;
            w.deleted(&right, &row);
            Ok(())
        })
        .await
    }
}

/// The texts of an organization that is made elsewhere than in Coder.
pub(crate) struct Title<'a> {
    pub(crate) name: &'a str,
    pub(crate) display_name: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
}

/// Makes the row under the first free slug: a derived one that collides is derived again, never reported, and nobody
/// waits for anybody but a creation that takes the same one.
pub(crate) async fn insert_with_slug(
    tx: &mut Tx,
    core: &Core,
    cx: &Cx,
    title: &Title<'_>,
    cluster: Id<Cluster>,
    is_default: bool,
) -> Result<Organization> {
    let derived = if is_default { DEFAULT_SLUG.to_owned() } else { names::derive_slug(title.name) };
    let uid = core.uid();
    let mut n = 1;
    loop {
        let slug = names::slug_candidate(&derived, n);
        let new = NewOrganization {
            uid,
            at: cx.now,
            by: cx.user_id(),
            name: title.name,
            title: title.name,
            slug: &slug,
            display_name: title.display_name,
            description: title.description,
            cluster_id: cluster,
            is_default,
        };
        match organizations::insert(tx, &new).await? {
            Some(row) => return Ok(row),
            None => n += 1,
        }
    }
}

/// Slug of the default organization, whatever its title.
const DEFAULT_SLUG: &str = "coder";

async fn default_cluster(tx: &mut Tx) -> Result<Id<Cluster>> {
    let name = chandler_model::organizations::DEFAULT_CLUSTER;
    let found = clusters::by_name(tx, name).await?;
    Ok(found.ok_or_else(|| Error::internal("the installation has no default cluster"))?.id)
}

fn gone(action: Action) -> Error {
    Error::absent(Kind::Organization, action)
}
