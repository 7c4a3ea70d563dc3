//! `chandler demo`: the first minute. Makes an organization, an environment and a template unless they are there, runs
//! the template's script as a job, shows its log as it comes, and stays up.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use chandler_core::environments::{EnvironmentFilter, EnvironmentInput};
use chandler_core::jobs::{JobInput, Mode, What};
use chandler_core::organizations::OrganizationInput;
use chandler_core::templates::{TemplateFilter, TemplateInput};
use chandler_core::{Core, Cx};
use chandler_model::Id;
use chandler_model::environments::Environment;
use chandler_model::ids::Selector;
use chandler_model::jobs::{Job, State};
use chandler_model::kinds::Dialect;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::templates::{ScriptSpec, Template, TemplateSpec};

use crate::cli::Demo;
use crate::config::Config;
use crate::serve::{Running, first_words, say};
use crate::shutdown;

const ORGANIZATION: &str = "Demo";
const ENVIRONMENT: &str = "Local process";
const TEMPLATE: &str = "Hello";
const SCRIPT: &str = include_str!("../../../examples/hello.sh");

/// Runs the demonstration. With `--exit` the exit status is 0 if the job succeeded and 1 if not.
///
/// # Errors
/// As `chandler serve`, or a step of the demonstration is refused.
pub async fn demo(mut config: Config, options: Demo) -> anyhow::Result<ExitCode> {
    // Where the kernel has no sandbox the demonstration still runs its own example, and says so.
    config.worker.unsandboxed = true;
    let stop = shutdown::on_signals().context("signals cannot be received")?;
    let running = Running::start(&config, stop.clone()).await?;
    if let Some(password) = running.new_password() {
        say(&first_words(&config, password));
    }
    let shown = tokio::select! {
        shown = show(running.core(), &config) => shown,
        () = stop.cancelled() => Ok(None),
    };
    let code = match &shown {
        Ok(Some(State::Succeeded(_))) => ExitCode::SUCCESS,
        Ok(_) | Err(_) => ExitCode::FAILURE,
    };
    if options.exit || shown.is_err() {
        stop.cancel();
    } else {
        say("\n");
        say(&running.addresses());
        say(&format!("Press Ctrl-C to stop. Everything is kept in {}.\n", config.data.display()));
    }
    running.finished().await;
    shown?;
    Ok(if options.exit { code } else { ExitCode::SUCCESS })
}

/// Makes what is missing, runs the job and shows it. Returns how it ended.
async fn show(core: &Core, config: &Config) -> anyhow::Result<Option<State>> {
    let cx = Cx {
        actor: core
            .act_as(&config.admin.login)
            .await
            .context("the administrator of the configuration does not exist")?,
        dialect: Dialect::Native,
        request_id: "demo".to_owned(),
        source: None,
        now: core.now(),
    };
    let organization = organization(core, &cx).await?;
    say(&format!("Organization  {} (id {}, slug {})\n", organization.title, organization.id, organization.slug));
    let environment = environment(core, &cx, organization.id).await?;
    say(&format!(
        "Environment   {} (id {}): no image, so jobs run as sandboxed processes\n",
        environment.name, environment.id
    ));
    let template = template(core, &cx, organization.id, environment.id).await?;
    say(&format!("Template      {} (id {}): examples/hello.sh\n", template.name, template.id));

    let launch = JobInput { name: None, what: What::Template(template.id), environment: None, priority: 0 };
    let job = core.launch_job(&cx, launch).await?;
    say(&format!("Job           {} (id {}), its log:\n\n", job.name, job.id));
    let ended = follow(core, &cx, job.id).await?;
    say(&format!("\nJob {} {}\n", ended.id, told(&ended)));
    Ok(Some(ended.state))
}

/// Copies the log to the terminal until the job has ended.
async fn follow(core: &Core, cx: &Cx, job: Id<Job>) -> anyhow::Result<Job> {
    let mut log = core.job_log(cx, Selector::Id(job), 0, Mode::Follow).await?;
    while let Some(chunks) = log.next().await? {
        let mut out = std::io::stdout().lock();
        for chunk in chunks {
            for line in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
                drop(out.write_all(b"  | ").and_then(|()| out.write_all(line)));
            }
        }
        drop(out.flush());
    }
    Ok(core.get_job(cx, Selector::Id(job)).await?)
}

fn told(job: &Job) -> String {
    let took = match (job.started_at, job.finished_at) {
        (Some(from), Some(to)) => {
            format!(" after {} ms", (to - from).total(jiff::Unit::Millisecond).unwrap_or(0.0).round())
        }
        _ => String::new(),
    };
    let state = job.state.columns().state;
    match &job.error {
        Some(error) => format!("{state}{took}: {error}"),
        None => format!("{state}{took}."),
    }
}

async fn organization(core: &Core, cx: &Cx) -> anyhow::Result<Organization> {
    if let Some(found) = core.organization_titled(cx, ORGANIZATION).await? {
        return Ok(found);
    }
    let description = Some("Made by `chandler demo`.".to_owned());
    let input = OrganizationInput { name: ORGANIZATION.to_owned(), description, ..OrganizationInput::default() };
    Ok(core.create_organization(cx, input).await?)
}

async fn environment(core: &Core, cx: &Cx, organization: Id<Organization>) -> anyhow::Result<Environment> {
    let filter = EnvironmentFilter { organization: Some(organization), name: Some(ENVIRONMENT.to_owned()) };
    let page = core.list_environments(cx, &filter, PageRequest::default()).await?;
    if let Some(found) = page.rows.into_iter().next() {
        return Ok(found);
    }
    let input = EnvironmentInput {
        organization: Some(organization),
        name: ENVIRONMENT.to_owned(),
        ..EnvironmentInput::default()
    };
    Ok(core.create_environment(cx, input).await?)
}

async fn template(
    core: &Core,
    cx: &Cx,
    organization: Id<Organization>,
    environment: Id<Environment>,
) -> anyhow::Result<Template> {
    let filter = TemplateFilter { organization: Some(organization), name: Some(TEMPLATE.to_owned()) };
    let page = core.list_templates(cx, &filter, PageRequest::default()).await?;
    if let Some(found) = page.rows.into_iter().next() {
        return Ok(found);
    }
    let spec =
        ScriptSpec { script: SCRIPT.to_owned(), args: Vec::new(), may_repeat: true, retries: 0, timeout_s: Some(60) };
    let input = TemplateInput {
        organization,
        name: TEMPLATE.to_owned(),
        description: None,
        environment: Some(environment),
        spec: TemplateSpec::Script(spec),
    };
    Ok(core.create_template(cx, input).await?)
}
