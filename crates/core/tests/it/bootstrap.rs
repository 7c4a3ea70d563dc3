//! The first start, a second one, and what a wrong key meets.

use anyhow::{Context, Result, ensure};
use chandler_core::bootstrap::{CONTROL_PLANE, DEFAULT_ORGANIZATION, FirstStart};
use chandler_core::secrets::Sealer;
use chandler_core::{Core, ErrorKind, Parts, SystemClock};
use chandler_model::ids::Selector;
use chandler_model::organizations::Organization;
use chandler_testkit::installation::{ADMIN, Installation, PASSWORD, on_both_engines, settings};
use std::sync::Arc;

fn first_start() -> FirstStart {
    FirstStart {
        login: "second".to_owned(),
        email: "second@example.com".to_owned(),
        password: "another one".into(),
        control_plane_image: None,
        default_image: None,
    }
}

#[tokio::test]
async fn an_installation_has_an_administrator_an_organization_and_its_own_environment() {
    on_both_engines(async |on| {
        let organization: Organization = on.organization().await?;
        ensure!(organization.title == DEFAULT_ORGANIZATION && organization.slug == "coder");
        ensure!(organization.display_name.as_deref() == Some("Coder") && organization.is_default);
        let cx = on.admin().await?;
        let page = on.core.list_environments(&cx, &Default::default(), Default::default()).await?;
        ensure!(page.rows.len() == 1 && page.rows[0].name == CONTROL_PLANE && page.rows[0].managed);

        // A second start changes nothing.
        ensure!(!on.core.bootstrap(&first_start()).await?);
        ensure!(on.core.log_in("second", "another one").await.is_err());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn log_in_takes_the_right_password_only_and_a_reset_ends_tokens() {
    on_both_engines(async |on| {
        on.core.log_in(ADMIN, PASSWORD).await?;
        on.core.log_in("ADMIN", PASSWORD).await.context("logins ignore case")?;
        for (login, password) in [(ADMIN, "wrong"), ("nobody", PASSWORD), (ADMIN, ""), ("", "")] {
            let refused = on.core.log_in(login, password).await.err().context("refused")?;
            ensure!(matches!(refused.kind, ErrorKind::Unauthenticated { .. }), "{refused}");
        }
        let cx = on.admin().await?;
        let (_, secret) = on.core.create_token(&cx, Default::default()).await?;
        let secret = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
        on.core.authenticate(chandler_model::Dialect::Native, &secret).await?;
        let elsewhere = on.core.authenticate(chandler_model::Dialect::Awx, &secret).await;
        ensure!(elsewhere.is_err(), "a token of one dialect is nothing in another");
        on.core.reset_password(&cx, ADMIN, "a new password").await?;
        ensure!(on.core.authenticate(chandler_model::Dialect::Native, &secret).await.is_err());
        ensure!(on.core.log_in(ADMIN, PASSWORD).await.is_err());
        on.core.log_in(ADMIN, "a new password").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn another_master_key_is_recognised() {
    on_both_engines(async |on: Installation| -> Result<()> {
        ensure!(on.core.master_key_fits().await?);
        let sealer = Sealer::new([8; 32]);
        let db = on.core.db().clone();
        let other = Core::new(Parts { db, clock: Arc::new(SystemClock), sealer, jobs: settings() });
        ensure!(!other.master_key_fits().await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_found_under_a_number_that_was_never_given() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let absent = on.core.get_organization(&cx, Selector::Id(chandler_model::Id::new(99))).await;
        ensure!(matches!(absent.err().context("absent")?.kind, ErrorKind::Denied { .. }));
        Ok(())
    })
    .await;
}
