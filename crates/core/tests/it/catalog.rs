//! Organizations, environments and templates: names, versions, walls, and what each write leaves behind.

use anyhow::{Context, Result, ensure};
use chandler_core::environments::{EnvironmentInput, EnvironmentPatch};
use chandler_core::organizations::{OrganizationInput, OrganizationPatch};
use chandler_core::templates::{TemplateInput, TemplatePatch};
use chandler_core::{Cx, ErrorKind};
use chandler_model::audit::AuditAction;
use chandler_model::kinds::{Kind, Place, Unit};
use chandler_model::organizations::Organization;
use chandler_model::templates::{ScriptSpec, Template, TemplateSpec};
use chandler_model::{Id, Patch};
use chandler_store::{audit, changes};
use chandler_testkit::installation::{Installation, on_both_engines};

async fn organization(on: &Installation, cx: &Cx, name: &str) -> Result<Organization> {
    let input = OrganizationInput { name: name.to_owned(), ..OrganizationInput::default() };
    Ok(on.core.create_organization(cx, input).await?)
}

fn script(text: &str) -> TemplateSpec {
    let spec = ScriptSpec { script: text.to_owned(), args: Vec::new(), may_repeat: false, retries: 0, timeout_s: None };
    TemplateSpec::Script(spec)
}

async fn template(on: &Installation, cx: &Cx, organization: Id<Organization>, name: &str) -> Result<Template> {
    let input = TemplateInput {
        organization,
        name: name.to_owned(),
        description: None,
        environment: None,
        spec: script("true"),
    };
    Ok(on.core.create_template(cx, input).await?)
}

#[tokio::test]
async fn slugs_are_derived_apart_and_stay_when_the_title_changes() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let first = organization(&on, &cx, "Net Ops").await?;
        let second = organization(&on, &cx, "Net-Ops").await?;
        ensure!((first.slug.as_str(), second.slug.as_str()) == ("net-ops", "net-ops-2"));
        let taken = organization(&on, &cx, "Net Ops").await.err().context("a title is unique")?;
        let taken = taken.downcast::<chandler_core::Error>()?;
        ensure!(taken.kind == ErrorKind::Conflict { resource: Kind::Organization, field: "name" });

        let patch = OrganizationPatch { name: Some("Network".to_owned()), ..OrganizationPatch::default() };
        let renamed = on.core.update_organization(&cx, first.id.into(), Some(first.version), patch.clone()).await?;
        ensure!((renamed.title.as_str(), renamed.slug.as_str()) == ("Network", "net-ops"));
        ensure!(renamed.version == first.version + 1);
        let stale = on.core.update_organization(&cx, first.id.into(), Some(first.version), patch).await;
        ensure!(stale.err().context("stale")?.kind == ErrorKind::Precondition);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn many_at_once_derive_slugs_without_a_conflict() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..16 {
            let (core, cx) = (on.core.clone(), cx.clone());
            // Sixteen titles that all transliterate to one slug.
            let name = format!("Team{}", "!".repeat(n));
            tasks.spawn(async move {
                core.create_organization(&cx, OrganizationInput { name, ..OrganizationInput::default() }).await
            });
        }
        let mut slugs = Vec::new();
        while let Some(made) = tasks.join_next().await {
            slugs.push(made??.slug);
        }
        slugs.sort();
        slugs.dedup();
        ensure!(slugs.len() == 16, "{slugs:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_organization_is_deleted_only_when_nothing_hangs_on_it() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let default = on.organization().await?;
        let refused = on.core.delete_organization(&cx, default.id.into()).await.err().context("default")?;
        ensure!(refused.kind == ErrorKind::Protected { resource: Kind::Organization });

        let made = organization(&on, &cx, "Net").await?;
        let script = template(&on, &cx, made.id, "t").await?;
        let refused = on.core.delete_organization(&cx, made.id.into()).await.err().context("in use")?;
        let by = vec![(Kind::ScriptTemplate, 1)];
        ensure!(refused.kind == ErrorKind::InUse { resource: Kind::Organization, by });
        on.core.delete_template(&cx, script.id.into()).await?;
        on.core.delete_organization(&cx, made.id.into()).await?;
        ensure!(on.core.get_organization(&cx, made.uid.into()).await.is_err());
        // Its names are free at once, and nothing can be made under it.
        let again = organization(&on, &cx, "Net").await?;
        ensure!(again.slug == "net" && again.id != made.id);
        let orphan = template(&on, &cx, made.id, "orphan").await.err().context("no orphan")?;
        ensure!(matches!(orphan.downcast::<chandler_core::Error>()?.kind, ErrorKind::Invalid(_)));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_creation_under_an_organization_that_is_being_deleted_leaves_no_orphan() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        for round in 0..10 {
            let made = organization(&on, &cx, &format!("Net {round}")).await?;
            let input =
                EnvironmentInput { organization: Some(made.id), name: "e".to_owned(), ..EnvironmentInput::default() };
            let (created, deleted) =
                tokio::join!(on.core.create_environment(&cx, input), on.core.delete_organization(&cx, made.id.into()));
            ensure!(created.is_ok() != deleted.is_ok(), "one of them: {created:?} {deleted:?}");
            let living = on.core.get_organization(&cx, made.id.into()).await.is_ok();
            ensure!(living == created.is_ok());
            if let Err(error) = created {
                ensure!(!matches!(error.kind, ErrorKind::Internal), "{error}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn environments_are_unique_in_their_place_and_managed_ones_are_kept() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let here = on.organization().await?.id;
        let input = |organization| EnvironmentInput {
            organization,
            name: "py".to_owned(),
            image: Some("python:3".to_owned()),
            ..EnvironmentInput::default()
        };
        let global = on.core.create_environment(&cx, input(None)).await?;
        let own = on.core.create_environment(&cx, input(Some(here))).await?;
        ensure!(global.place() == Place::Global && own.place() == Place::Organization(here));
        let twice = on.core.create_environment(&cx, input(Some(here))).await.err().context("twice")?;
        ensure!(twice.kind == ErrorKind::Conflict { resource: Kind::Environment, field: "name" });

        let patch = EnvironmentPatch { image: Patch::Clear, ..EnvironmentPatch::default() };
        let edited = on.core.update_environment(&cx, own.uid.into(), None, patch).await?;
        ensure!(edited.image.is_none() && edited.update_count == 2);

        let all = on.core.list_environments(&cx, &Default::default(), Default::default()).await?;
        let managed = all.rows.iter().find(|row| row.managed).context("the control plane's")?.id;
        let rename = EnvironmentPatch { name: Some("mine".to_owned()), ..EnvironmentPatch::default() };
        let refused = on.core.update_environment(&cx, managed.into(), None, rename).await.err().context("kept")?;
        ensure!(refused.kind == ErrorKind::Protected { resource: Kind::Environment });
        ensure!(on.core.delete_environment(&cx, managed.into()).await.is_err());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_changed_script_is_a_new_revision_and_an_unchanged_one_is_not() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let made = template(&on, &cx, on.organization().await?.id, "t").await?;
        let same = TemplatePatch { spec: Some(script("true")), ..TemplatePatch::default() };
        let same = on.core.update_template(&cx, made.id.into(), None, same).await?;
        ensure!(same.active_revision_id == made.active_revision_id);
        let other = TemplatePatch { spec: Some(script("false")), ..TemplatePatch::default() };
        let other = on.core.update_template(&cx, made.id.into(), None, other).await?;
        ensure!(other.active_revision_id != made.active_revision_id && other.spec.0 == script("false"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_write_leaves_audit_change_and_tally_and_a_refused_one_leaves_nothing() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let count = async |kind, unit| chandler_store::tallies::get(on.core.db(), kind, unit).await;
        let before = changes::after(on.core.db(), 0, 100).await?.len();
        let made = organization(&on, &cx, "Net").await?;
        ensure!(count(Kind::Organization, Unit::ALL).await? == 2);
        template(&on, &cx, made.id, "t").await?;
        ensure!(template(&on, &cx, made.id, "t").await.is_err());
        ensure!(count(Kind::ScriptTemplate, Place::Organization(made.id).unit()).await? == 1);
        let patch = OrganizationPatch { description: Patch::Set("new".to_owned()), ..OrganizationPatch::default() };
        on.core.update_organization(&cx, made.id.into(), None, patch).await?;
        ensure!(changes::after(on.core.db(), 0, 100).await?.len() == before + 3);

        let rows = audit::of_kind(on.core.db(), Kind::Organization, Default::default()).await?;
        let last = rows.last().context("an audit row")?;
        ensure!((last.action, last.title.as_str()) == (AuditAction::Update, "Net"));
        let changes: serde_json::Value = serde_json::from_str(&last.changes.0)?;
        ensure!(changes == serde_json::json!({"description": [null, "new"]}), "{changes}");
        Ok(())
    })
    .await;
}
