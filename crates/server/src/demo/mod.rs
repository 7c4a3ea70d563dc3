//! `chandler demo`: the first minute. Makes an organization, environments and templates unless they are there, runs a
//! script, a Terraform configuration, a playbook and the script inside a container as jobs, as far as this machine can,
//! shows the logs as they come, says what it skipped and what would bring it, and stays up.

mod play;
mod things;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chandler_core::{Core, Cx};
use chandler_model::environments::Environment;
use chandler_model::jobs::State;
use chandler_model::kinds::Dialect;

use crate::cli::Demo;
use crate::config::Config;
use crate::serve::{Running, first_words, say};
use crate::{shutdown, worker};
use play::{Piece, play};
use things::Things;

/// Small, and has the shell that the script wants.
const IMAGE: &str = "docker.io/library/busybox:latest";

/// Runs the demonstration. With `--exit` the exit status is 0 if every job succeeded and 1 if not.
///
/// # Errors
/// As `chandler serve`, or a step of the demonstration is refused.
pub async fn demo(mut config: Config, options: Demo) -> anyhow::Result<ExitCode> {
    // Where the kernel has no sandbox the demonstration still runs its own examples, and says so.
    config.worker.unsandboxed = true;
    let stop = shutdown::on_signals().context("signals cannot be received")?;
    let running = Running::start(&config, stop.clone()).await?;
    if let Some(password) = running.new_password() {
        say(&first_words(&config, password));
    }
    let shown = tokio::select! {
        shown = show(running.core(), &config) => shown,
        () = stop.cancelled() => Ok(false),
    };
    let code = match &shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
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

/// Makes what is missing, runs the jobs and shows them. Whether all succeeded.
async fn show(core: &Core, config: &Config) -> anyhow::Result<bool> {
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
    let things = Things::open(core, &cx).await?;
    let organization = &things.organization;
    say(&format!("Organization  {} (id {}, slug {})\n", organization.title, organization.id, organization.slug));
    let local = things.local().await?;
    say(&format!("Environment   {} (id {}): no image, so jobs run as sandboxed processes\n", local.name, local.id));
    let ends = [
        script(&things, &local).await?,
        flow(&things, &local).await?,
        playbook(&things, &local).await?,
        container(&things, &local, config).await?,
    ];
    Ok(ends.into_iter().flatten().all(|end| matches!(end, State::Succeeded(_))))
}

/// A piece that this machine cannot play is `None`.
type Played = anyhow::Result<Option<State>>;

async fn script(things: &Things<'_>, local: &Environment) -> Played {
    let template = things.script(local.id).await?;
    say(&format!("\nTemplate      {} (id {}): examples/hello.sh\n", template.name, template.id));
    let piece = Piece { template: template.id, environment: None, workspace: None };
    play(things.core, things.cx, piece).await.map(Some)
}

async fn flow(things: &Things<'_>, local: &Environment) -> Played {
    let Some(tool) = in_path("terraform").or_else(|| in_path("tofu")) else {
        let hint =
            "https://developer.hashicorp.com/terraform/install or https://opentofu.org/docs/intro/install bring one";
        say(&format!("\nTerraform     skipped: neither `terraform` nor `tofu` is in PATH; {hint}.\n"));
        return Ok(None);
    };
    let (template, workspace) = (things.flow(local.id).await?, things.workspace().await?);
    say(&format!(
        "\nTemplate      {} (id {}): examples/terraform, run by {}\nWorkspace     {} (id {}): keeps the state\n",
        template.name,
        template.id,
        tool.display(),
        workspace.name,
        workspace.id
    ));
    let piece = Piece { template: template.id, environment: None, workspace: Some(workspace.id) };
    play(things.core, things.cx, piece).await.map(Some)
}

async fn playbook(things: &Things<'_>, local: &Environment) -> Played {
    if in_path("ansible-playbook").is_none() {
        let hint = "`pipx install ansible-core` brings it";
        say(&format!("\nAnsible       skipped: `ansible-playbook` is not in PATH; {hint}.\n"));
        return Ok(None);
    }
    let template = things.playbook(local.id).await?;
    say(&format!("\nTemplate      {} (id {}): examples/ansible\n", template.name, template.id));
    let piece = Piece { template: template.id, environment: None, workspace: None };
    play(things.core, things.cx, piece).await.map(Some)
}

async fn container(things: &Things<'_>, local: &Environment, config: &Config) -> Played {
    let image = match image(config).await {
        Ok(image) => image,
        Err(why) => {
            say(&format!("\nContainer     skipped: {why}\n"));
            return Ok(None);
        }
    };
    let (template, environment) = (things.script(local.id).await?, things.container(&image).await?);
    say(&format!("\nEnvironment   {} (id {}): the image {image}\n", environment.name, environment.id));
    let piece = Piece { template: template.id, environment: Some(environment.id), workspace: None };
    play(things.core, things.cx, piece).await.map(Some)
}

/// Where a program is that the worker would find.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
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
