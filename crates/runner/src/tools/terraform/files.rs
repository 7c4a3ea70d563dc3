//! The files of a Terraform job: whether their names may stand in its directory, beside those that are Chandler's.

use std::collections::BTreeSet;

use chandler_model::jobs::Fault;
use chandler_model::templates::TEXT_MAX;

use crate::recipe::File;
use crate::tools::Unpreparable;

/// Most files of a configuration.
const FILES_MAX: usize = 1000;
/// Longest configuration, all files together, in bytes.
const CONFIGURATION_MAX: usize = 16 * 1024 * 1024;
/// Longest name of a file with its folders, in bytes.
const PATH_MAX: usize = 512;
/// Longest name of a file or folder, in bytes: what file systems take.
const NAME_MAX: usize = 255;

pub(super) const STATE: &str = "terraform.tfstate";
pub(super) const PLAN: &str = "plan.out";
pub(super) const PLAN_JSON: &str = "plan.json";
pub(super) const LOCK_FILE: &str = ".terraform.lock.hcl";
/// Override files are read in the order of their names, so this one has the last word.
pub(super) const BACKEND: &str = "~chandler_override.tf.json";
/// The name of the driver, in a folder that is Chandler's alone.
pub(super) const DRIVER: &str = ".chandler/run";
/// The driver looks for it under this name.
pub(super) const VARIABLES: &str = ".chandler/variables.tfvars.json";

/// Where Chandler and Terraform keep what is their own.
const RESERVED: [&str; 8] = [
    STATE,
    "terraform.tfstate.backup",
    "terraform.tfstate.d",
    ".terraform.tfstate.lock.info",
    ".terraform",
    ".chandler",
    PLAN,
    PLAN_JSON,
];

/// Collects the files of a job; every name once.
#[derive(Default)]
pub(super) struct Files {
    files: Vec<File>,
    paths: BTreeSet<String>,
}

impl Files {
    /// A file that somebody wrote: of the configuration, or a secret.
    pub(super) fn add(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Result<(), Unpreparable> {
        let bad = |why: &str| (Fault::Work, format!("The file `{}` cannot be used: {why}.", shown(path)));
        if let Some(why) = wrong(path) {
            return Err(bad(why));
        }
        if !self.paths.insert(path.to_owned()) {
            return Err(bad("there is another one of this name, among the secrets or in the configuration"));
        }
        self.files.push(File::new(path, bytes));
        Ok(())
    }

    /// Adds the files of a configuration.
    pub(super) fn configuration<'a>(
        &mut self,
        files: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Unpreparable> {
        let bad = |why: String| Err((Fault::Work, why));
        match files.len() {
            0 => return bad("The configuration has no files: give it at least a main.tf.".to_owned()),
            many if many > FILES_MAX => {
                return bad(format!("The configuration has {many} files; at most {FILES_MAX} are run."));
            }
            _ => {}
        }
        let mut bytes = 0;
        for (path, text) in files {
            if text.len() > TEXT_MAX {
                return bad(format!("The file `{}` is longer than {TEXT_MAX} bytes: split it.", shown(path)));
            }
            bytes += text.len();
            self.add(path, text)?;
        }
        if bytes > CONFIGURATION_MAX {
            return bad(format!("The configuration is longer than {CONFIGURATION_MAX} bytes: take files out of it."));
        }
        Ok(())
    }

    /// A file of Chandler's own; takes the place of one of the configuration.
    pub(super) fn own(&mut self, file: File) {
        self.files.retain(|known| known.path != file.path);
        self.paths.insert(file.path.clone());
        self.files.push(file);
    }

    /// All of them, if none is the folder of another.
    pub(super) fn finish(self) -> Result<Vec<File>, Unpreparable> {
        for path in &self.paths {
            let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            if let Some(folder) = folders.into_iter().find(|folder| self.paths.contains(*folder)) {
                let text = format!("`{folder}` cannot be a file and the folder of `{path}`: rename one of them.");
                return Err((Fault::Work, text));
            }
        }
        Ok(self.files)
    }
}

/// What forbids this name, if anything does.
fn wrong(path: &str) -> Option<&'static str> {
    let first = path.split('/').next().unwrap_or_default();
    if path.is_empty() || path.starts_with('/') {
        Some("its name must be a path relative to the configuration")
    } else if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        Some("its path must be made of plain names, without `.`, `..` and double or final slashes")
    } else if path.chars().any(char::is_control) {
        Some("its name must not contain control characters")
    } else if path.len() > PATH_MAX || path.split('/').any(|name| name.len() > NAME_MAX) {
        Some("its name is too long: 255 bytes, and 512 with its folders")
    } else if RESERVED.contains(&first) {
        Some("Chandler or Terraform itself keeps something under this name")
    } else if first >= BACKEND && !path.contains('/') && is_override(first) {
        Some("its name must sort before `~chandler_override.tf.json`, which says where the state lies")
    } else {
        None
    }
}

/// As Terraform and OpenTofu tell them from other files of a module.
fn is_override(name: &str) -> bool {
    let stem = [".tf.json", ".tofu.json", ".tf", ".tofu"].iter().find_map(|end| name.strip_suffix(end));
    stem.is_some_and(|stem| stem == "override" || stem.ends_with("_override"))
}

/// A name for a message, of bearable length and on one line.
fn shown(path: &str) -> String {
    path.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_relative_names_are_taken() {
        let names =
            ["main.tf", "modules/a/main.tf", LOCK_FILE, "..a", "a..", "sub/terraform.tfstate", "z_override.tf", "é.tf"];
        for name in names {
            assert_eq!(wrong(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_leave_the_directory_or_are_taken_are_refused() {
        let long = format!("{}.tf", "a".repeat(300));
        let deep = "a/".repeat(300) + "main.tf";
        let names = [
            "",
            "/etc/x.tf",
            "../x.tf",
            "a/../x.tf",
            "./x.tf",
            "a//x.tf",
            "a/",
            "a\nb.tf",
            "a\0.tf",
            &long,
            &deep,
            STATE,
            PLAN,
            PLAN_JSON,
            BACKEND,
            DRIVER,
            VARIABLES,
            ".terraform/x",
            "~z_override.tf",
            "é_override.tf",
        ];
        for name in names {
            let (fault, reason) = Files::default().add(name, "").expect_err(name);
            assert_eq!(fault, Fault::Work);
            assert!(reason.starts_with("The file `") && !reason.contains('\n'), "{reason}");
        }
    }

    #[test]
    fn no_name_is_used_twice_not_even_as_a_folder() {
        let mut files = Files::default();
        files.add("a", "").unwrap();
        assert!(files.add("a", "").unwrap_err().1.contains("another one"));
        files.add("a/b/c", "").unwrap();
        assert!(files.finish().unwrap_err().1.contains("`a` cannot be a file and the folder of `a/b/c`"));
    }

    #[test]
    fn a_file_of_our_own_replaces_one_of_the_configuration() {
        let mut files = Files::default();
        files.add(LOCK_FILE, "theirs").unwrap();
        files.own(File::new(LOCK_FILE, "ours"));
        assert_eq!(files.finish().unwrap(), [File::new(LOCK_FILE, "ours")]);
    }

    #[test]
    fn a_configuration_has_bounds() {
        let refused = |files: Vec<(&str, &str)>| Files::default().configuration(files.into_iter()).unwrap_err().1;
        assert!(refused(Vec::new()).contains("no files"));
        let text = "x".repeat(TEXT_MAX + 1);
        assert!(refused(vec![("main.tf", &text)]).contains("split it"));
        let names: Vec<String> = (0..=FILES_MAX).map(|n| format!("{n}.tf")).collect();
        assert!(refused(names.iter().map(|name| (name.as_str(), "")).collect()).contains("1001 files"));
        let text = "x".repeat(TEXT_MAX);
        assert!(
            refused(names.iter().take(17).map(|name| (name.as_str(), text.as_str())).collect()).contains("16777216")
        );
    }
}
