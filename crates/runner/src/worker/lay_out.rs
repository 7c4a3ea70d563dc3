//! A recipe becomes a directory and a command for the keeper.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use chandler_model::jobs::Fault;

use super::Settings;
use crate::keep::Spec;
use crate::recipe::{File, Recipe};

/// Makes `dir` with the files of the recipe in it and says how it is run.
///
/// # Errors
/// The directory cannot be made (platform), or the command is not on this worker (work).
pub(super) fn lay_out(recipe: &Recipe, dir: &Path, settings: &Settings) -> Result<Spec, (Fault, String)> {
    let Some((program, args)) = recipe.command.split_first() else {
        return Err((Fault::Platform, "The job has no command.".to_owned()));
    };
    if program.starts_with('/') && !Path::new(program).is_file() {
        return Err((Fault::Work, format!("The interpreter {program} of the script is not on this worker.")));
    }
    write(&recipe.files, dir)
        .map_err(|error| (Fault::Platform, format!("The job's directory could not be prepared: {error}.")))?;
    let program = if program.contains('/') { dir.join(program) } else { PathBuf::from(program) };
    let mut spec = Spec::new(program, dir);
    spec.args.extend(args.iter().cloned());
    for (name, value) in &recipe.env {
        spec.set_env(name, value.clone());
    }
    spec.stop = recipe.stop.unwrap_or(spec.stop);
    spec.confinement.read.clone_from(&settings.read);
    spec.confinement.write.clone_from(&settings.write);
    spec.confinement.cover.clone_from(&settings.cover);
    spec.confinement.unsandboxed = settings.unsandboxed;
    Ok(spec)
}

fn write(files: &[File], dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(false).create(dir)?;
    for file in files {
        let inside = Path::new(&file.path);
        if !inside.components().all(|component| matches!(component, Component::Normal(_))) {
            return Err(io::Error::other(format!("{} is no path within it", file.path)));
        }
        let path = dir.join(inside);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mode = if file.executable { 0o700 } else { 0o600 };
        let mut made = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        made.write_all(&file.bytes)?;
    }
    Ok(())
}
