//! The image of a job: resolved when it is submitted, and written down as it really ran.

use anyhow::{Context, Result, ensure};
use chandler_core::environments::{EnvironmentInput, EnvironmentPatch};
use chandler_core::jobs::JobInput;
use chandler_core::jobs::link::{Attempt, Embedded, Order, Report, WorkerLink};
use chandler_core::workspaces::WorkspaceInput;
use chandler_model::environments::{Environment, Pull, RunImage};
use chandler_model::ids::Selector;
use chandler_model::jobs::Job;
use chandler_model::organizations::Organization;
use chandler_model::patch::Patch;
use chandler_model::templates::{AnsibleSpec, FlowSpec, TemplateSpec, WorkloadSpec};
use chandler_store::jobs::attempts;
use chandler_store::{environments, organizations};
use chandler_testkit::installation::{Installation, on_both_engines};

use crate::support::{hello, input, script};

async fn environment(on: &Installation, image: &str) -> Result<Environment> {
    let input = EnvironmentInput {
        organization: Some(on.organization().await?.id),
        name: "image".to_owned(),
        image: Some(image.to_owned()),
        ..EnvironmentInput::default()
    };
    Ok(on.core.create_environment(&on.admin().await?, input).await?)
}

async fn launch(on: &Installation, environment: &Environment) -> Result<Job> {
    let input = JobInput { environment: Some(environment.id), ..input(on, TemplateSpec::Script(script())).await? };
    Ok(on.core.launch_job(&on.admin().await?, input).await?)
}

fn image(job: &Job) -> Option<RunImage> {
    job.intent.image().cloned()
}

#[tokio::test]
async fn the_image_that_ran_is_noted_with_job_attempt_and_environment() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let environment = environment(&on, "busybox").await?;
        let job = launch(&on, &environment).await?;
        ensure!(image(&job) == Some(RunImage { reference: "busybox".to_owned(), pull: Pull::Always, pin: None }));

        let link = Embedded::new(on.core.clone());
        let row = link.hello(&hello("w")).await?;
        let claimed = link.claim(&row, 1).await?.into_iter().next().context("there is a job to claim")?;
        let attempt = Attempt { job: claimed.job, number: claimed.attempt };
        let ran = |digest: &str| Report::Ran { image: "busybox".to_owned(), digest: digest.to_owned() };
        ensure!(link.report(attempt, ran("sha256:1")).await? == Order::Continue);
        let stale = Attempt { number: attempt.number + 1, ..attempt };
        ensure!(link.report(stale, ran("sha256:2")).await? == Order::Gone);

        let job = on.core.get_job(&cx, Selector::Id(job.id)).await?;
        ensure!(job.image.as_deref() == Some("busybox") && job.digest.as_deref() == Some("sha256:1"), "{job:?}");
        let noted = attempts::of_job(on.core.db(), job.id).await?;
        ensure!(noted[0].image.as_deref() == Some("busybox") && noted[0].digest.as_deref() == Some("sha256:1"));
        let seen = on.core.get_environment(&cx, Selector::Id(environment.id)).await?;
        ensure!(seen.seen_digest.as_deref() == Some("sha256:1") && seen.seen_at.is_some(), "{seen:?}");
        ensure!((seen.version, seen.update_count) == (environment.version, environment.update_count), "no edit");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_pin_goes_along_with_a_job_until_the_environment_names_another_image() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let environment = environment(&on, "busybox:1").await?;
        let pinned = Environment { pinned_digest: Some("sha256:1".to_owned()), ..environment.clone() };
        on.core.db().write(async |tx| environments::update(tx, &pinned).await.map(drop)).await?;
        let job = launch(&on, &environment).await?;
        let wanted =
            RunImage { reference: "busybox:1".to_owned(), pull: Pull::Missing, pin: Some("sha256:1".to_owned()) };
        ensure!(image(&job) == Some(wanted), "{job:?}");

        let same = EnvironmentPatch { image: Patch::Set("busybox:1".to_owned()), ..EnvironmentPatch::default() };
        let kept = on.core.update_environment(&cx, Selector::Id(environment.id), None, same).await?;
        ensure!(kept.pinned_digest.is_some());
        let other = EnvironmentPatch { image: Patch::Set("busybox:2".to_owned()), ..EnvironmentPatch::default() };
        let changed = on.core.update_environment(&cx, Selector::Id(environment.id), None, other).await?;
        ensure!(changed.pinned_digest.is_none() && changed.seen_digest.is_none(), "{changed:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn scripts_and_playbooks_take_the_default_of_their_organization_and_nothing_else_does() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let default = environment(&on, "busybox:1").await?;
        let row = Organization { default_environment_id: Some(default.id), ..on.organization().await? };
        let organization = on.core.db().write(async |tx| organizations::update(tx, &row).await).await?.id;
        let new = WorkspaceInput { organization, name: "net".to_owned(), description: None };
        let workspace = Some(on.core.create_workspace(&cx, new).await?.id);
        let workload = WorkloadSpec { image: Some("busybox:2".to_owned()), ..WorkloadSpec::default() };
        let flow = FlowSpec { configuration: [("main.tf".to_owned(), String::new())].into(), ..FlowSpec::default() };
        let playbook = AnsibleSpec { playbook: "- hosts: all".to_owned(), ..AnsibleSpec::default() };
        for (spec, workspace, wanted) in [
            (TemplateSpec::Script(script()), None, Some("busybox:1")),
            (TemplateSpec::Ansible(playbook), None, Some("busybox:1")),
            (TemplateSpec::Flow(flow), workspace, None),
            (TemplateSpec::Workload(workload), None, Some("busybox:2")),
        ] {
            let takes = matches!(spec, TemplateSpec::Script(_) | TemplateSpec::Ansible(_));
            let input = JobInput { workspace, ..input(&on, spec).await? };
            let job = on.core.launch_job(&cx, input).await?;
            ensure!(job.environment_id == takes.then_some(default.id), "{job:?}");
            ensure!(image(&job).map(|image| image.reference) == wanted.map(str::to_owned), "{job:?}");
        }
        Ok(())
    })
    .await;
}
