//! `chandler demo`: the first minute. Makes an organization, an environment and a template unless they are there, runs
//! the template's script as a job, once more inside a container if there is a runtime with an image, shows the logs as
//! they come, and stays up.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use chandler_core::environments::{EnvironmentFilter, EnvironmentInput};
use chandler_core::jobs::{JobInput, LaunchSecrets, Mode, What};
use chandler_core::organizations::OrganizationInput;
use chandler_core::templates::{TemplateFilter, TemplateInput};
use chandler_core::{Core, Cx};
use chandler_model::Id;
use chandler_model::environments::{Environment, Pull};
use chandler_model::ids::Selector;
use chandler_model::jobs::{Job, State};
use chandler_model::kinds::Dialect;
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::templates::{ScriptSpec, Template, TemplateSpec};

use crate::cli::Demo;
use crate::config::Config;
use crate::serve::{Running, first_words, say};
use crate::{shutdown, worker};

const ORGANIZATION: &str = "Demo";
const ENVIRONMENT: &str = "Local process";
const TEMPLATE: &str = "Hello";
/// Small, and has the shell that the script wants.
const IMAGE: &str = "docker.io/library/busybox:latest";
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

    let local = run(core, &cx, template.id, None).await?;
    if !matches!(local, State::Succeeded(_)) {
        return Ok(Some(local));
    }
    match image(config).await {
        Ok(image) => {
            let environment = in_a_container(core, &cx, organization.id, &image).await?;
            say(&format!("\nEnvironment   {} (id {}): the image {image}\n", environment.name, environment.id));
            run(core, &cx, template.id, Some(environment.id)).await.map(Some)
        }
        Err(why) => {
            say(&format!("\nContainer     skipped: {why}\n"));
            Ok(Some(local))
        }
    }
}

/// Runs the template's script as a job and shows it. Returns how it ended.
async fn run(
    core: &Core,
    cx: &Cx,
    template: Id<Template>,
    environment: Option<Id<Environment>>,
) -> anyhow::Result<State> {
    let launch = JobInput {
        name: None,
        what: What::Template(template),
        environment,
        workspace: None,
        secrets: LaunchSecrets::default(),
        priority: 0,
    };
    let job = core.launch_job(cx, launch).await?;
    say(&format!("Job           {} (id {}), its log:\n\n", job.name, job.id));
    let ended = follow(core, cx, job.id).await?;
    say(&format!("\nJob {} {}\n", ended.id, told(&ended)));
    Ok(ended.state)
}

/// The image for the second job, if it is on this machine: the demonstration fetches nothing.
async fn image(config: &Config) -> Result<String, String> {
    let Some(containers) = worker::containers(config, "demo").filter(|_| config.worker.enabled) else {
        return Err("the configuration allows no containers (`worker.container_socket`).".to_owned());
    };
    let image = config.environments.default_image.as_deref().unwrap_or(IMAGE);
    match containers.has_image(image).await {
        Some(true) => Ok(image.to_owned()),
        Some(false) => Err(format!("the image {image} is not here; `podman pull {image}` brings it.")),
        None => Err(format!(
            "no container runtime answers; `apt-get install podman`, `systemctl enable --now podman.socket` and \
             `podman pull {image}` bring one."
        )),
    }
}

async fn in_a_container(
    core: &Core,
    cx: &Cx,
    organization: Id<Organization>,
    image: &str,
) -> anyhow::Result<Environment> {
    // With the image in it, because the configuration may name another one next time.
    let name = format!("Container of {image}");
    let filter = EnvironmentFilter { organization: Some(organization), name: Some(name.clone()) };
    let page = core.list_environments(cx, &filter, PageRequest::default()).await?;
    if let Some(found) = page.rows.into_iter().next() {
        return Ok(found);
    }
    let input = EnvironmentInput {
        organization: Some(organization),
        name,
        image: Some(image.to_owned()),
        pull: Some(Pull::Never),
        ..EnvironmentInput::default()
    };
    Ok(core.create_environment(cx, input).await?)
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
