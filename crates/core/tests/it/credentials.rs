//! Credentials: what is sealed, what audit says, who may name them, and what a job's worker shows to a registry.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use chandler_core::credentials::{CredentialInput, CredentialPatch, GivenInputs, JobPlace, registry_login};
use chandler_core::environments::EnvironmentInput;
use chandler_core::jobs::link::RegistryLogin;
use chandler_core::organizations::OrganizationInput;
use chandler_core::secrets::Sealer;
use chandler_core::{Core, Cx, ErrorKind, Parts, SystemClock};
use chandler_model::credentials::{Credential, Namespace};
use chandler_model::environments::Environment;
use chandler_model::kinds::{Kind, Place, Unit};
use chandler_model::organizations::Organization;
use chandler_model::{Id, Json};
use chandler_store::credentials::NewCredential;
use chandler_store::{Tx, audit, changes, credential_types, credentials, tallies};
use chandler_testkit::installation::{Installation, on_both_engines, settings};
use strum::VariantArray;

type Organ = Option<Id<Organization>>;

fn given(inputs: &[(&str, &str)]) -> GivenInputs {
    inputs.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned().into())).collect()
}

fn registry(organization: Organ, name: &str, inputs: &[(&str, &str)]) -> CredentialInput {
    CredentialInput {
        organization,
        namespace: Namespace::Registry,
        name: name.to_owned(),
        description: None,
        private: false,
        inputs: given(inputs),
    }
}

async fn made(on: &Installation, cx: &Cx, organization: Organ, name: &str, host: &str) -> Result<Credential> {
    let inputs = [("host", host), ("username", name), ("password", "pw")];
    Ok(on.core.create_credential(cx, registry(organization, name, &inputs)).await?)
}

async fn environment(
    on: &Installation,
    cx: &Cx,
    organization: Organ,
    name: &str,
    credential: Option<&Credential>,
) -> Result<Environment> {
    let input = EnvironmentInput {
        organization,
        name: name.to_owned(),
        credential: credential.map(|row| row.id),
        ..EnvironmentInput::default()
    };
    Ok(on.core.create_environment(cx, input).await?)
}

/// What a job gets: the user name, nothing, or the reason of its failure.
async fn login(
    core: &Core,
    environment: Option<&Environment>,
    image: &str,
    organization: Organ,
    container: bool,
) -> Result<Result<Option<RegistryLogin>, String>> {
    let environment = environment.map(|row| row.id);
    let place = JobPlace { organization };
    let found: chandler_core::Result<_> =
        core.db().write(async |tx: &mut Tx| registry_login(core, tx, environment, image, place, container).await).await;
    Ok(found?)
}

async fn user(
    core: &Core,
    environment: Option<&Environment>,
    image: &str,
    organization: Organ,
    container: bool,
) -> Result<Option<String>> {
    let found = login(core, environment, image, organization, container).await?;
    Ok(found.map_err(anyhow::Error::msg)?.map(|login| login.username))
}

#[tokio::test]
async fn the_built_in_types_come_with_the_first_start() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let types = on.core.list_credential_types(&cx, Default::default()).await?.rows;
        let words: Vec<_> = types.iter().filter_map(|row| row.namespace).collect();
        ensure!(words == Namespace::VARIANTS && types.iter().all(|row| row.managed));
        ensure!(types[0].inputs.field("password").is_some_and(|field| field.secret));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn secrets_are_sealed_and_audit_says_only_that_they_were_given() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let row = made(&on, &cx, None, "robot", "quay.io").await?;
        ensure!(row.kind() == Kind::RegistryCredential && row.host.as_deref() == Some("quay.io"));
        ensure!(row.secrets.0 == ["password"] && !row.inputs.contains_key("password"));
        let sealed = async |id| -> Result<Vec<u8>> {
            let found: Result<_, chandler_store::Error> =
                on.core.db().write(async |tx: &mut Tx| credentials::sealed(tx, id).await).await;
            found?.and_then(|row| row.sealed).context("something sealed")
        };
        let first = sealed(row.id).await?;
        ensure!(!first.windows(4).any(|window| window == b"\"pw\""));
        let same = CredentialPatch { inputs: given(&[("username", "other")]), ..CredentialPatch::default() };
        on.core.update_credential(&cx, row.id.into(), None, same).await?;
        ensure!(sealed(row.id).await? == first, "an absent secret stays as it is");
        let other = CredentialPatch { inputs: given(&[("password", "new")]), ..CredentialPatch::default() };
        on.core.update_credential(&cx, row.id.into(), None, other).await?;
        ensure!(sealed(row.id).await? != first);

        let rows = audit::of_kind(on.core.db(), Kind::RegistryCredential, Default::default()).await?;
        let changes: Vec<serde_json::Value> =
            rows.iter().map(|row| serde_json::from_str(&row.changes.0)).collect::<Result<_, _>>()?;
        ensure!(changes.len() == 3);
        ensure!(changes[0]["inputs.password"] == serde_json::json!([null, "hidden"]), "{}", changes[0]);
        ensure!(changes[1].get("inputs.password").is_none() && changes[1].get("inputs").is_some(), "{}", changes[1]);
        ensure!(changes[2] == serde_json::json!({ "inputs.password": ["hidden", "hidden"] }), "{}", changes[2]);
        ensure!(tallies::get(on.core.db(), Kind::RegistryCredential, Unit::ALL).await? == 1);
        on.core.delete_credential(&cx, row.id.into(), false).await?;
        ensure!(tallies::get(on.core.db(), Kind::RegistryCredential, Unit::ALL).await? == 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn names_are_unique_by_place_and_type_and_free_for_private_ones() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let here = Some(on.organization().await?.id);
        made(&on, &cx, None, "a", "quay.io").await?;
        made(&on, &cx, here, "a", "quay.io").await?;
        let twice = on.core.create_credential(&cx, registry(here, "a", &[("host", "b")])).await;
        let conflict = ErrorKind::Conflict { resource: Kind::Credential, field: "name" };
        ensure!(twice.err().context("twice")?.kind == conflict);
        for _ in 0..2 {
            let own = CredentialInput { private: true, ..registry(here, "a", &[("host", "b")]) };
            let own = on.core.create_credential(&cx, own).await?;
            ensure!(own.private && own.owner_id == cx.user_id());
        }
        let input = CredentialInput { namespace: Namespace::Generic, ..registry(here, "a", &[]) };
        ensure!(on.core.create_credential(&cx, input).await?.kind() == Kind::AssetCredential);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_new_address_needs_the_secret_again_however_it_is_written() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let row = made(&on, &cx, None, "hub", "docker.io").await?;
        let edit = async |inputs: &[(&str, &str)]| {
            let patch = CredentialPatch { inputs: given(inputs), ..CredentialPatch::default() };
            on.core.update_credential(&cx, row.id.into(), None, patch).await
        };
        let another_word = edit(&[("host", "Index.Docker.io")]).await?;
        ensure!(another_word.host.as_deref() == Some("docker.io"));
        for host in ["docker.io:443", "evil.example", "docker.io.evil.example"] {
            let refused = edit(&[("host", host)]).await.err().context("refused")?;
            ensure!(matches!(&refused.kind, ErrorKind::Invalid(wrong) if wrong[0].path.as_str() == "inputs.password"));
            let refused = edit(&[("host", host), ("password", "")]).await;
            ensure!(refused.is_err(), "an empty secret is none");
        }
        let moved = edit(&[("host", "reg.example:5000"), ("password", "again")]).await?;
        ensure!(moved.host.as_deref() == Some("reg.example:5000"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_attached_credential_goes_only_by_force() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let row = made(&on, &cx, None, "robot", "quay.io").await?;
        for name in ["a", "b"] {
            environment(&on, &cx, None, name, Some(&row)).await?;
        }
        let refused = on.core.delete_credential(&cx, row.id.into(), false).await.err().context("attached")?;
        let (resource, to) = (Kind::RegistryCredential, Kind::Environment);
        let names = vec!["a".to_owned(), "b".to_owned()];
        ensure!(refused.kind == ErrorKind::Attached { resource, to, count: 2, names });
        on.core.delete_credential(&cx, row.id.into(), true).await?;
        let left = on.core.list_environments(&cx, &Default::default(), Default::default()).await?;
        ensure!(left.rows.iter().all(|row| row.credential_id.is_none()));
        let rows = audit::of_kind(on.core.db(), resource, Default::default()).await?;
        let changes: serde_json::Value = serde_json::from_str(&rows.last().context("a deletion")?.changes.0)?;
        ensure!(changes == serde_json::json!({ "environments": [2, 0] }), "{changes}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn one_that_is_being_deleted_is_attached_to_nothing() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        for round in 0..10 {
            let row = made(&on, &cx, None, &format!("r{round}"), "quay.io").await?;
            let name = format!("e{round}");
            let input =
                EnvironmentInput { name: name.clone(), credential: Some(row.id), ..EnvironmentInput::default() };
            let (attached, deleted) = tokio::join!(
                on.core.create_environment(&cx, input),
                on.core.delete_credential(&cx, row.id.into(), false)
            );
            ensure!(attached.is_ok() != deleted.is_ok(), "one of them: {attached:?} {deleted:?}");
            for error in [attached.err(), deleted.err()].into_iter().flatten() {
                let told = matches!(error.kind, ErrorKind::Invalid(_) | ErrorKind::Attached { .. });
                ensure!(told, "{error}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn jobs_show_the_credential_of_their_environment_to_its_own_host_only() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let here = Some(on.organization().await?.id);
        let quay = made(&on, &cx, here, "robot", "Quay.io").await?;
        made(&on, &cx, here, "unused", "quay.io").await?;
        let with = environment(&on, &cx, here, "with", Some(&quay)).await?;
        let without = environment(&on, &cx, here, "without", None).await?;
        let core = &on.core;

        let full = login(core, Some(&with), "quay.io/a:1", here, false).await?.map_err(anyhow::Error::msg)?;
        let full = full.context("a log-in")?;
        ensure!((full.host.as_str(), full.username.as_str(), full.password.as_str()) == ("quay.io", "robot", "pw"));
        ensure!(!format!("{full:?}").contains("pw"));
        // The host is the image's, whatever somebody has made of the image meanwhile.
        for image in ["evil.example/a", "quay.io:5000/a", "quay.io.evil.example/a", "busybox", "quay.io"] {
            ensure!(user(core, Some(&with), image, here, false).await?.is_none(), "{image}");
        }
        // Nothing is tried for a job that is no container of its own.
        ensure!(user(core, Some(&without), "quay.io/a", here, false).await?.is_none());
        ensure!(user(core, None, "quay.io/a", here, false).await?.is_none());

        let hub = made(&on, &cx, None, "hub", "index.docker.io").await?;
        let hub = environment(&on, &cx, None, "hub", Some(&hub)).await?;
        for image in ["busybox", "library/busybox:1", "docker.io/library/busybox"] {
            ensure!(user(core, Some(&hub), image, here, false).await?.as_deref() == Some("hub"), "{image}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn container_jobs_also_try_what_lies_at_their_organization_and_globally() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let here = Some(on.organization().await?.id);
        let input = OrganizationInput { name: "Net".to_owned(), ..OrganizationInput::default() };
        let there = Some(on.core.create_organization(&cx, input).await?.id);
        let core = &on.core;
        made(&on, &cx, None, "global", "quay.io").await?;
        ensure!(user(core, None, "quay.io/a", here, true).await?.as_deref() == Some("global"));
        ensure!(user(core, None, "quay.io/a", None, true).await?.as_deref() == Some("global"));
        ensure!(user(core, None, "other.io/a", here, true).await?.is_none());

        // One that lacks something, and one that is somebody's own, are passed over.
        core.create_credential(&cx, registry(here, "half", &[("host", "quay.io"), ("username", "half")])).await?;
        let inputs = [("host", "quay.io"), ("username", "own"), ("password", "pw")];
        let own = CredentialInput { private: true, ..registry(here, "own", &inputs) };
        core.create_credential(&cx, own).await?;
        ensure!(user(core, None, "quay.io/a", here, true).await?.as_deref() == Some("global"));
        made(&on, &cx, here, "first", "quay.io").await?;
        made(&on, &cx, here, "second", "quay.io").await?;
        ensure!(user(core, None, "quay.io/a", here, true).await?.as_deref() == Some("first"));
        ensure!(user(core, None, "quay.io/a", there, true).await?.as_deref() == Some("global"));

        // The environment's own goes before all others, if its host is the image's.
        let named = made(&on, &cx, here, "named", "quay.io").await?;
        let named = environment(&on, &cx, here, "named", Some(&named)).await?;
        ensure!(user(core, Some(&named), "quay.io/a", here, true).await?.as_deref() == Some("named"));
        made(&on, &cx, None, "reg", "reg.io").await?;
        ensure!(user(core, Some(&named), "reg.io/a", here, true).await?.as_deref() == Some("reg"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_credential_cannot_be_shown_fails_and_says_why() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        let here = Some(on.organization().await?.id);
        let core = &on.core;
        let reason = async |core: &Core, environment: &Environment, organization| -> Result<String> {
            login(core, Some(environment), "quay.io/a", organization, true).await?.err().context("a reason")
        };
        for (name, inputs, lacks) in [
            ("a", vec![("host", "quay.io"), ("password", "pw")], "no username"),
            ("b", vec![("host", "quay.io"), ("username", "u")], "no password"),
        ] {
            let row = core.create_credential(&cx, registry(here, name, &inputs)).await?;
            let environment = environment(&on, &cx, here, name, Some(&row)).await?;
            let text = reason(core, &environment, here).await?;
            ensure!(text.contains(lacks) && text.contains(&format!("`{name}`")), "{text}");
        }
        // Other APIs may leave the host out.
        let hostless = hostless(&on).await?;
        let hostless = environment(&on, &cx, here, "c", Some(&hostless)).await?;
        let text = reason(core, &hostless, here).await?;
        ensure!(text.contains("no host"), "{text}");

        let row = made(&on, &cx, here, "ours", "quay.io").await?;
        let ours = environment(&on, &cx, here, "ours", Some(&row)).await?;
        ensure!(reason(core, &ours, None).await?.contains("another organization"));
        let (db, sealer) = (core.db().clone(), Sealer::new([8; 32]));
        let other_key = Core::new(Parts { db, clock: Arc::new(SystemClock), sealer, jobs: settings() });
        ensure!(reason(&other_key, &ours, here).await?.contains("master key"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn debug_output_shows_no_secret() {
    on_both_engines(async |on| {
        let cx = on.admin().await?;
        const CANARY: &str = "canary-9d1f6b0c4e7a";
        let inputs = [("host", "quay.io"), ("username", "robot"), ("password", CANARY)];
        let input = registry(None, "r", &inputs);
        let patch = CredentialPatch { inputs: given(&inputs), ..CredentialPatch::default() };
        let mut shown = format!("{input:?} {patch:?}");
        ensure!(shown.contains("password"));
        let row = on.core.create_credential(&cx, input).await?;
        let environment = environment(&on, &cx, None, "e", Some(&row)).await?;
        let sealed: Result<_, chandler_store::Error> =
            on.core.db().write(async |tx: &mut Tx| credentials::of_environment(tx, environment.id).await).await;
        let login = login(&on.core, Some(&environment), "quay.io/a", None, false).await?;
        ensure!(matches!(&login, Ok(Some(login)) if login.password == CANARY));
        shown += &format!("{row:?} {:?} {login:?}", sealed?);
        for kind in Kind::VARIANTS {
            shown += &format!("{:?}", audit::of_kind(on.core.db(), *kind, Default::default()).await?);
        }
        shown += &format!("{:?}", changes::after(on.core.db(), 0, 1000).await?);
        ensure!(!shown.contains(CANARY), "{shown}");
        Ok(())
    })
    .await;
}

/// A registry credential without anything in it, as no native request makes one.
async fn hostless(on: &Installation) -> Result<Credential> {
    let db = on.core.db();
    let kind = credential_types::built_in(db, Namespace::Registry).await?.context("a built-in type")?;
    let (inputs, secrets) = (Json(Default::default()), Json(Vec::new()));
    let new = NewCredential {
        by: None,
        place: Place::Global,
        owner: None,
        type_id: kind.id,
        name: "bare",
        description: None,
        inputs: &inputs,
        secrets: &secrets,
        sealed: None,
        host: None,
    };
    let (new, now) = (&new, on.core.now());
    let uid = chandler_model::Uid(uuid_of(9));
    let made: Result<_, chandler_store::Error> =
        db.write(async |tx: &mut Tx| credentials::insert(tx, uid, now, new).await).await;
    made?.context("a row")
}

fn uuid_of(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}
