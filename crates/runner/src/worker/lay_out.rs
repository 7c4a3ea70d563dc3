//! A recipe becomes a directory and a command for the keeper.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chandler_model::jobs::Fault;

use super::Settings;
use crate::keep::{SYSTEM_PATH, Spec};
use crate::recipe::{File, Recipe, Tool, stays_within};

/// Makes `dir` with the files of the recipe in it and says how it is run.
///
/// # Errors
/// The directory cannot be made or a tool is missing (platform), or the command is not on this worker (work).
pub(super) fn lay_out(recipe: &Recipe, dir: &Path, settings: &Settings) -> Result<Spec, (Fault, String)> {
    let Some((program, args)) = recipe.command.split_first() else {
        return Err((Fault::Platform, "The job has no command.".to_owned()));
    };
    if program.starts_with('/') && !Path::new(program).is_file() {
        return Err((Fault::Work, format!("The interpreter {program} of the script is not on this worker.")));
    }
    let tools = find_all(&recipe.tools, &settings.path).map_err(|reason| (Fault::Platform, reason))?;
    write(&recipe.files, dir)
        .map_err(|error| (Fault::Platform, format!("The job's directory could not be prepared: {error}.")))?;
    let own = recipe.tools.iter().zip(&tools).find(|(tool, _)| tool.names.contains(program)).map(|(_, path)| path);
    let program = match own {
        Some(path) => path.clone(),
        None if program.contains('/') => dir.join(program),
        None => PathBuf::from(program),
    };
    let mut spec = Spec::new(program, dir);
    spec.args.extend(args.iter().cloned());
    for (name, value) in &recipe.env {
        spec.set_env(name, value.clone());
    }
    let path = search_path(&tools, &spec);
    spec.set_env("PATH", path);
    spec.stop = recipe.stop.unwrap_or(spec.stop);
    spec.confinement.tools = tools;
    spec.confinement.read.clone_from(&settings.read);
    spec.confinement.write.clone_from(&settings.write);
    spec.confinement.cover.clone_from(&settings.cover);
    spec.confinement.unsandboxed = settings.unsandboxed;
    Ok(spec)
}

/// Where each tool is.
fn find_all(tools: &[Tool], path: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let find = |tool: &Tool| {
        let found = tool.names.iter().find_map(|name| find(name, path));
        found.ok_or_else(|| {
            let name = tool.names.first().map_or("", String::as_str);
            format!("The program {name} is not on this worker. {}", tool.hint).trim_end().to_owned()
        })
    };
    tools.iter().map(find).collect()
}

/// Relative folders would mean another place in the job.
fn find(name: &str, path: &[PathBuf]) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| {
        std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    path.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(is_program)
}

/// The folders of the tools before those that the job has anyway.
fn search_path(tools: &[PathBuf], spec: &Spec) -> String {
    let known = spec.env.iter().find(|(name, _)| name == "PATH").map_or(SYSTEM_PATH, |(_, value)| value.as_str());
    let mut folders: Vec<String> = Vec::new();
    for folder in tools.iter().filter_map(|tool| tool.parent()).map(|folder| folder.to_string_lossy().into_owned()) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders.push(known.to_owned());
    folders.join(":")
}

fn write(files: &[File], dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(false).create(dir)?;
    for file in files {
        if !stays_within(&file.path) {
            return Err(io::Error::other(format!("{} is no path within it", file.path)));
        }
        let path = dir.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mode = if file.executable { 0o700 } else { 0o600 };
        let mut made = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        made.write_all(&file.bytes)?;
    }
    Ok(())
}
