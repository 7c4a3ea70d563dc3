//! Which program was not there, when a command could not be run: said by name, because a bare 127 helps nobody.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{ContainerArchiveInfoOptions, InspectContainerOptions};
use chandler_model::jobs::Fault;
use chandler_runner::recipe::Program;

use crate::archive::DIR;
use crate::setup::Setup;

/// As shells say that a command was not found.
const NOT_FOUND: i32 = 127;
/// Where programs are looked for if the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the container lacks of what was to be run in it. `code`: none if it could not even be started.
pub(crate) async fn missing(
    docker: &Docker,
    id: &str,
    program: &Program,
    setup: &Setup,
    image: &str,
    code: Option<i32>,
) -> Option<(Fault, String)> {
    let plain = |name: &str| format!("The program {name} is not in the image {image}.");
    let command = setup.entrypoint.as_ref().and_then(|command| command.first());
    let tools = match program {
        Program::Recipe(recipe) => recipe.tools.as_slice(),
        Program::Image(_) => &[],
    };
    let is_script = matches!(program, Program::Recipe(_)) && tools.is_empty();
    // Init processes say that they found no program with codes of their own. A file of the recipe was there.
    if let Some(command) = command.filter(|command| command.starts_with('/') && !command.starts_with(DIR))
        && !is_there(docker, id, command).await
    {
        let script = format!("The interpreter {command} of the script is not in the image {image}.");
        return Some((Fault::Work, if is_script { script } else { plain(command) }));
    }
    let bare = command.filter(|command| !command.contains('/'));
    let by_shell = code.is_none_or(|code| code == NOT_FOUND);
    if bare.is_none() && (tools.is_empty() || !by_shell) {
        return None;
    }
    let folders = search_path(docker, id).await;
    for tool in tools.iter().filter(|tool| by_shell || bare.is_some_and(|bare| tool.names.contains(bare))) {
        if !any_is_there(docker, id, &folders, &tool.names).await {
            return Some((Fault::Platform, plain(tool.names.first().map_or("", String::as_str))));
        }
    }
    let bare = bare?;
    let there = any_is_there(docker, id, &folders, std::slice::from_ref(bare)).await;
    (!there).then(|| (Fault::Work, plain(bare)))
}

async fn any_is_there(docker: &Docker, id: &str, folders: &[String], names: &[String]) -> bool {
    for name in names {
        for folder in folders {
            if is_there(docker, id, &format!("{folder}/{name}")).await {
                return true;
            }
        }
    }
    false
}

/// Only what the runtime knows to be absent is.
async fn is_there(docker: &Docker, id: &str, path: &str) -> bool {
    let options = ContainerArchiveInfoOptions { path: path.to_owned() };
    let answer = docker.get_container_archive_info(id, Some(options)).await;
    !matches!(answer, Err(Error::DockerResponseServerError { status_code: 404, .. }))
}

async fn search_path(docker: &Docker, id: &str) -> Vec<String> {
    let found = docker.inspect_container(id, None::<InspectContainerOptions>).await.ok();
    let env = found.and_then(|found| found.config).and_then(|config| config.env).unwrap_or_default();
    let path = env.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(PATH);
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| folder.trim_end_matches('/').to_owned())
        .collect()
}
