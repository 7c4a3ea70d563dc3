//! Secrets stay out of rows, audit and debug output.

use anyhow::{Result, ensure};
use chandler_store::seam::Sql;
use chandler_testkit::installation::{PASSWORD, on_both_engines};
use secrecy::ExposeSecret;

static AUDITED: Sql<(String,)> = Sql::new("SELECT CAST(changes AS text) FROM audit ORDER BY id");

#[tokio::test]
async fn neither_password_nor_token_is_written_anywhere_in_clear() {
    on_both_engines(async |on| -> Result<()> {
        let cx = on.admin().await?;
        let (token, secret) = on.core.create_token(&cx, Default::default()).await?;
        on.core.reset_password(&cx, "admin", "hunter2 hunter2").await?;
        let secret = secret.expose_secret();
        ensure!(secret.starts_with("chd_") && secret.len() > 40);
        ensure!(!format!("{token:?}").contains(secret));
        for (changes,) in on.core.db().query(&AUDITED, &[]).await? {
            ensure!(![secret, PASSWORD, "hunter2"].iter().any(|clear| changes.contains(clear)), "{changes}");
        }
        Ok(())
    })
    .await;
}
