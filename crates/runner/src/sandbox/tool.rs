//! The tool's own folders: of the resolved executable, of its `#!` interpreter, and of that interpreter's prefix and
//! base prefix.
//!
//! Only programs from outside the job's writable folders are followed. A script that the job's author wrote would
//! otherwise open any folder by naming it behind `#!` or by being a link.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use crate::keep::{SYSTEM_PATH, wire::Failure};

/// As many as the kernel follows.
const INTERPRETERS: usize = 4;
/// What an interpreter that is no virtual environment keeps in its prefix. Not the whole prefix: it may be a home.
const PREFIX: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libexec", "include"];

#[derive(Debug)]
pub(super) struct Tool {
    /// Absolute, links not followed: some programs look at the name they are called by.
    pub(super) program: PathBuf,
    pub(super) places: Vec<Place>,
}

/// A folder that the tool needs, and the one file in it that it cannot do without.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) file: PathBuf,
}

pub(super) fn find(program: &Path, cwd: &Path, writable: &[&Path]) -> Result<Tool, Failure> {
    let program = if program.as_os_str().as_bytes().contains(&b'/') {
        cwd.join(program)
    } else {
        search(program.as_os_str())
            .ok_or_else(|| Failure::program(format!("{}: not found in the system folders", program.display())))?
    };
    let mut places = Vec::new();
    let mut next = Some(program.clone());
    for _ in 0..=INTERPRETERS {
        let Some(file) = next.take() else { break };
        let Ok(real) = fs::canonicalize(&file) else { break };
        if writable.iter().any(|folder| file.starts_with(folder) || real.starts_with(folder)) {
            break;
        }
        let is_interpreter = file != program;
        places.extend(around(&file, &real, is_interpreter));
        next = interpreter(&real);
    }
    Ok(Tool { program, places })
}

fn search(name: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(SYSTEM_PATH).map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn around(file: &Path, real: &Path, is_interpreter: bool) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |folder: PathBuf| places.push(Place { folder, file: real.to_owned() });
    let named_in = file.parent().and_then(|folder| fs::canonicalize(folder).ok());
    for bin in named_in.iter().map(PathBuf::as_path).chain(real.parent()) {
        add(bin.to_owned());
        let Some(prefix) = bin.parent().filter(|_| bin.file_name() == Some(OsStr::new("bin"))) else { continue };
        if let Ok(settings) = fs::read_to_string(prefix.join("pyvenv.cfg")) {
            add(prefix.to_owned());
            let base = home_of(&settings).and_then(|home| fs::canonicalize(home).ok());
            base.iter().filter_map(|home| home.parent()).for_each(|base| add_prefix(base, &mut add));
        }
    }
    if is_interpreter && let Some(prefix) = real.parent().and_then(Path::parent) {
        add_prefix(prefix, &mut add);
    }
    places
}

fn add_prefix(prefix: &Path, add: &mut impl FnMut(PathBuf)) {
    // Prefixes of system interpreters are open as system folders already.
    if prefix != Path::new("/usr") && prefix.parent().is_some() {
        PREFIX.iter().map(|name| prefix.join(name)).filter(|folder| folder.is_dir()).for_each(add);
    }
}

/// `home = /path/of/the/base/bin` of a virtual environment.
fn home_of(settings: &str) -> Option<&str> {
    settings
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == "home")
        .map(|(_, v)| v.trim())
}

fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(script).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words =
        line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).map(OsStr::from_bytes);
    let program = Path::new(words.next()?);
    if program.file_name() != Some(OsStr::new("env")) {
        return program.is_absolute().then(|| program.to_owned());
    }
    let name = words.find(|word| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'='))?;
    search(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn folders(tool: &Tool) -> Vec<&Path> {
        tool.places.iter().map(|place| place.folder.as_path()).collect()
    }

    #[test]
    fn a_virtual_environment_brings_itself_and_its_base() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let (venv, base) = (root.join("venv"), root.join("python"));
        script(&base.join("bin/python3"), "\x7fELF");
        fs::create_dir(base.join("lib")).unwrap();
        fs::create_dir(base.join("secrets")).unwrap();
        script(&venv.join("bin/tool"), &format!("#!{}\n", venv.join("bin/python3").display()));
        std::os::unix::fs::symlink(base.join("bin/python3"), venv.join("bin/python3")).unwrap();
        fs::write(venv.join("pyvenv.cfg"), format!("home = {}\n", base.join("bin").display())).unwrap();

        let tool = find(&venv.join("bin/tool"), &root, &[]).unwrap();
        let found = folders(&tool);
        for wanted in [venv.join("bin"), venv, base.join("bin"), base.join("lib")] {
            assert!(found.contains(&wanted.as_path()), "{wanted:?} in {found:?}");
        }
        assert!(!found.contains(&base.as_path()) && !found.contains(&base.join("secrets").as_path()), "{found:?}");
    }

    #[test]
    fn a_script_of_the_job_opens_nothing() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        let job = root.join("job");
        script(&root.join("private/bin/key"), "secret");
        script(&job.join("run"), &format!("#!{}\n", root.join("private/bin/key").display()));
        std::os::unix::fs::symlink(root.join("private/bin/key"), job.join("link")).unwrap();
        for name in ["./run", "./link"] {
            let tool = find(Path::new(name), &job, &[&job]).unwrap();
            assert!(tool.places.is_empty(), "{tool:?}");
        }
    }

    #[test]
    fn a_bare_name_is_looked_up_in_the_system_folders() {
        let tool = find(Path::new("sh"), Path::new("/"), &[]).unwrap();
        assert!(tool.program.is_absolute());
        let missing = find(Path::new("no-such-program-here"), Path::new("/"), &[]).unwrap_err();
        assert!(missing.reason.contains("not found"));
    }
}
