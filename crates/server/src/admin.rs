//! What an operator does at the machine, while no server runs on the installation.

use chandler_core::Cx;
use secrecy::{ExposeSecret, SecretString};

use crate::config::Config;
use crate::installation;
use crate::problem::Advise;

/// Brings the database up to this version; returns what to print.
///
/// # Errors
/// The database cannot be reached, or a migration fails.
pub async fn migrate(config: &Config) -> anyhow::Result<String> {
    let applied = installation::migrate(config).await?;
    if applied.is_empty() {
        return Ok("The database is up to date.\n".to_owned());
    }
    Ok(applied.iter().map(|name| format!("applied {name}\n")).collect())
}

/// Gives a person a new password: the configured one, else a random one. Returns what to print.
///
/// # Errors
/// There is no such person, or the configured password is too short.
pub async fn password(config: &Config, login: Option<&str>) -> anyhow::Result<String> {
    let installation = installation::open(config).await?;
    let core = &installation.core;
    let login = login.unwrap_or(&config.admin.login);
    let given = config.admin.password.as_ref().map(|password| SecretString::from(password.expose()));
    let random = given.is_none();
    let password = given.unwrap_or_else(installation::random_password);
    core.reset_password(&Cx::system(core.now()), login, password.expose_secret()).await.advise(
        format!("the password of `{login}` was not changed"),
        "name a login that exists with --login, and a password of at least 8 characters",
    )?;
    Ok(if random {
        format!("The new password of `{login}` is\n\n  {}\n\n", password.expose_secret())
    } else {
        format!("The password of `{login}` was changed.\n")
    })
}
