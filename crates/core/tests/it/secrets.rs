//! Secrets stay out of rows, audit and debug output.

use anyhow::{Result, ensure};
use chandler_model::Kind;
use chandler_model::paging::PageRequest;
use chandler_store::audit;
use chandler_testkit::installation::{PASSWORD, on_both_engines};
use secrecy::ExposeSecret;
use strum::VariantArray;

#[tokio::test]
async fn neither_password_nor_token_is_written_anywhere_in_clear() {
    on_both_engines(async |on| -> Result<()> {
        let cx = on.admin().await?;
        let (token, secret) = on.core.create_token(&cx, Default::default()).await?;
        on.core.reset_password(&cx, "admin", "hunter2 hunter2").await?;
        let secret = secret.expose_secret();
        ensure!(secret.starts_with("chd_") && secret.len() > 40);
        ensure!(!format!("{token:?}").contains(secret));
        for kind in Kind::VARIANTS {
            for row in audit::of_kind(on.core.db(), *kind, PageRequest::default()).await? {
                let shown = format!("{row:?}");
                ensure!(![secret, PASSWORD, "hunter2"].iter().any(|clear| shown.contains(clear)), "{shown}");
            }
        }
        Ok(())
    })
    .await;
}
