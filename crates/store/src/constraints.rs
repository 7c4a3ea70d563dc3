//! What a violated constraint means: which field of which resource, by the constraint's name.

use chandler_model::kinds::Kind;

/// The field that a unique index guards. `None` for an index that no input can violate (a UUID, an internal key).
#[must_use]
pub fn unique(constraint: &str) -> Option<(Kind, &'static str)> {
    Some(match constraint {
        "organizations_title" => (Kind::Organization, "name"),
        "organizations_slug" => (Kind::Organization, "slug"),
        "environments_name" => (Kind::Environment, "name"),
        "credentials_name" => (Kind::Credential, "name"),
        "templates_name" => (Kind::ScriptTemplate, "name"),
        "workspaces_shared_name" => (Kind::SharedWorkspace, "name"),
        "tokens_name" => (Kind::Token, "name"),
        "users_login" | "identity_keys_key" => (Kind::User, "login"),
        "users_handle" => (Kind::User, "handle"),
        _ => return None,
    })
}
