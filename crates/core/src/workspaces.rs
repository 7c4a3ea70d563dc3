//! Workspaces: what Terraform is applied to, with the versions of its state.

use chandler_model::ids::Selector;
use chandler_model::kinds::{Action, Kind, Place};
use chandler_model::organizations::Organization;
use chandler_model::paging::{Page, PageRequest};
use chandler_model::workspaces::{Flavour, LOCK_NOTE_MAX, StateVersion, Workspace};
use chandler_model::{Id, Patch, names};
use chandler_store::states;
use chandler_store::workspaces::{self, NewWorkspace};

use crate::Core;
use crate::authz::{self, Authorized};
use crate::cx::Cx;
use crate::environments::organization_vanished;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::input::{Check, expect_version, optional_text, patched_text};
use crate::jobs;

/// What a new workspace is made of.
#[derive(Clone, Debug)]
pub struct WorkspaceInput {
    pub organization: Id<Organization>,
    pub name: String,
    pub description: Option<String>,
}

/// What an edit changes.
#[derive(Clone, Debug, Default)]
pub struct WorkspacePatch {
    pub name: Option<String>,
    pub description: Patch<String>,
}

/// Which workspaces a list shows.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceFilter {
    pub organization: Option<Id<Organization>>,
    pub name: Option<String>,
}

impl Core {
    pub async fn create_workspace(&self, cx: &Cx, input: WorkspaceInput) -> Result<Workspace> {
        let organization = self.readable_organization(cx, input.organization).await?;
        let permit = authz::create_in(cx, Kind::SharedWorkspace, Place::Organization(organization))?;
        let mut check = Check::default();
        let name = check.take("name", names::check_name(&input.name));
        let description = check.take("description", optional_text(input.description, names::DESCRIPTION_MAX));
        check.done()?;
        let new = NewWorkspace {
            by: cx.user_id(),
            organization,
            flavour: Flavour::Shared,
            name: &name,
            description: description.as_deref(),
        };
        self.write(cx, async |w| {
            let row = workspaces::insert(w.tx, self.uid(), cx.now, &new).await?;
            w.created(&permit, &row)?;
            Ok(row)
        })
        .await
        .map_err(|error| organization_vanished(error, Kind::SharedWorkspace))
    }

    pub async fn get_workspace(&self, cx: &Cx, selector: Selector<Workspace>) -> Result<Workspace> {
        Ok(authz::find(self, cx, Action::Read, selector).await?.into_inner())
    }

    /// Workspaces by id.
    pub async fn list_workspaces(
        &self,
        cx: &Cx,
        filter: &WorkspaceFilter,
        page: PageRequest,
    ) -> Result<Page<Workspace>> {
        let wanted = workspaces::Wanted { organization: filter.organization, name: filter.name.as_deref() };
        let rows = workspaces::page(self.db(), &authz::visible(cx, Kind::SharedWorkspace), &wanted, page).await?;
        Ok(Page::of_one_more(rows, page.limit, |row| row.id.get()))
    }

    pub async fn update_workspace(
        &self,
        cx: &Cx,
        selector: Selector<Workspace>,
        version: Option<i64>,
        patch: WorkspacePatch,
    ) -> Result<Workspace> {
        let right: Authorized<Workspace> = authz::find(self, cx, Action::Update, selector).await?;
        let mut check = Check::default();
        let name = check.take("name", patch.name.as_deref().map(names::check_name).transpose());
        check.patch("description", &patch.description, names::DESCRIPTION_MAX);
        check.done()?;
        self.write(cx, async |w| {
            let before = workspaces::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Update))?;
            expect_version(version, before.version)?;
            let mut row = before.clone();
            if let Some(name) = &name {
                row.name.clone_from(name);
            }
            row.description = patched_text(&patch.description, row.description);
            row.updated_at = cx.now;
            row.updated_by = cx.user_id();
            let after = workspaces::update(w.tx, &row).await?;
            w.updated(&right, &before, &after);
            Ok(after)
        })
        .await
    }

    /// Keeps every job of a workspace from beginning until it is unlocked. What runs goes on.
    ///
    /// # Errors
    /// `WrongState` if it is locked already.
    pub async fn lock_workspace(
        &self,
        cx: &Cx,
        selector: Selector<Workspace>,
        note: Option<String>,
    ) -> Result<Workspace> {
        let mut check = Check::default();
        let note = check.take("note", optional_text(note, LOCK_NOTE_MAX));
        check.done()?;
        self.set_lock(cx, selector, true, note).await
    }

    /// Lets the jobs of a workspace begin again.
    ///
    /// # Errors
    /// `WrongState` unless it is locked.
    pub async fn unlock_workspace(&self, cx: &Cx, selector: Selector<Workspace>) -> Result<Workspace> {
        self.set_lock(cx, selector, false, None).await
    }

    async fn set_lock(
        &self,
        cx: &Cx,
        selector: Selector<Workspace>,
        locked: bool,
        note: Option<String>,
    ) -> Result<Workspace> {
        let right: Authorized<Workspace> = authz::find(self, cx, Action::Update, selector).await?;
        self.write(cx, async |w| {
            // Its lane comes before the row, as in a submit.
            if locked {
                jobs::lock_workspace(w.tx, right.id).await?;
            } else {
                jobs::unlock_workspace(w.tx, right.id).await?;
            }
            let before = workspaces::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Update))?;
            if before.locked == locked {
                let state = if locked { "locked" } else { "unlocked" };
                return Err(ErrorKind::WrongState { resource: Kind::SharedWorkspace, state }.into());
            }
            let mut row = before.clone();
            row.locked = locked;
            row.lock_note.clone_from(&note);
            row.updated_at = cx.now;
            row.updated_by = cx.user_id();
            let after = workspaces::update(w.tx, &row).await?;
            w.updated(&right, &before, &after);
            Ok(after)
        })
        .await
    }

    /// Deletes a workspace. Its states and its jobs stay readable by their own ids.
    ///
    /// # Errors
    /// `WrongState` while a job of it has not ended.
    pub async fn delete_workspace(&self, cx: &Cx, selector: Selector<Workspace>) -> Result<()> {
        let right: Authorized<Workspace> = authz::find(self, cx, Action::Delete, selector).await?;
        self.write(cx, async |w| {
            let row = workspaces::lock(w.tx, right.id).await?.ok_or_else(|| gone(Action::Delete))?;
            if workspaces::has_unfinished_jobs(w.tx, row.id).await? {
                return Err(ErrorKind::WrongState { resource: Kind::SharedWorkspace, state: "in use" }.into());
            }
            workspaces::delete(w.tx, row.id, cx.now).await?;
            w.deleted(&right, &row);
            Ok(())
        })
        .await
    }

    /// The versions of a workspace's state, newest first, recovered ones included.
    pub async fn list_states(
        &self,
        cx: &Cx,
        selector: Selector<Workspace>,
        page: PageRequest,
    ) -> Result<Page<StateVersion>> {
        let workspace: Authorized<Workspace> = authz::find(self, cx, Action::Read, selector).await?;
        let before = page.after.unwrap_or(i64::MAX);
        let rows = states::list(self.db(), workspace.id, before, i64::from(page.limit)).await?;
        Ok(Page::of_one_more(rows, page.limit, |row| row.id.get()))
    }

    /// The content of a version.
    pub async fn state_content(
        &self,
        cx: &Cx,
        selector: Selector<Workspace>,
        version: Id<StateVersion>,
    ) -> Result<Vec<u8>> {
        let workspace: Authorized<Workspace> = authz::find(self, cx, Action::Read, selector).await?;
        authz::require(cx, Action::Secret, Kind::State)?;
        let absent = || Error::absent(Kind::State, Action::Read);
        let found = states::find(self.db(), version).await?.filter(|found| found.workspace_id == workspace.id);
        let blob = states::blob_of(self.db(), found.ok_or_else(absent)?.id).await?.ok_or_else(absent)?;
        jobs::open_blob(self, blob).await
    }
}

fn gone(action: Action) -> Error {
    Error::absent(Kind::SharedWorkspace, action)
}
