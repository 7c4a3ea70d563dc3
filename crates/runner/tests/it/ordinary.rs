//! All of it again as an ordinary user, where these tests are run by root.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
};

use crate::job::{KEEPER, keeper_program};

const NOBODY: u32 = 65_534;

#[test]
fn everything_holds_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        // Then this very run is the one that is wanted.
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (keeper, tests) = (place.path().join("keeper"), place.path().join("tests"));
    fs::copy(keeper_program(), &keeper).unwrap();
    fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    // Playbooks run outside of every sandbox there, by an Ansible that may lie where only root gets.
    let output = Command::new(tests)
        .args(["--test-threads", "4", "--skip", "ordinary::", "--skip", "ansible::"])
        .env_clear()
        .env(KEEPER, keeper)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("test result: ok"), "{said}");
}
