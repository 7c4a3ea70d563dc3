-- The foundation: tenants, people, catalog, jobs, and what every write leaves behind. docs/core/model.md 4, jobs.md 2.
-- Tokens in braces are types per engine (docs/core/model.md and crates/store/src/migrate.rs). Until the first tag this
-- file may be edited; after it, changes are new files.

-- Tenants -----------------------------------------------------------------------------------------------------------

CREATE TABLE clusters (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id}, updated_by {id}, version {int} NOT NULL DEFAULT 1, ext {json},
  name {text} NOT NULL, domain {text}, cluster_version {text}
);
CREATE UNIQUE INDEX clusters_uid ON clusters (uid);
CREATE UNIQUE INDEX clusters_name ON clusters (name);

CREATE TABLE users (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  login {text} NOT NULL, login_key {text} NOT NULL, handle {text} NOT NULL, handle_key {text} NOT NULL,
  email {text} NOT NULL, email_key {text} NOT NULL, email_is_identity {bool} NOT NULL DEFAULT false,
  first_name {text} NOT NULL DEFAULT '', last_name {text} NOT NULL DEFAULT '', description {text},
  password_hash {text}, login_type {text} NOT NULL DEFAULT 'password', kind {text} NOT NULL DEFAULT 'person',
  status {text} NOT NULL, is_admin {bool} NOT NULL DEFAULT false, is_auditor {bool} NOT NULL DEFAULT false,
  timezone {text}, locale {text}, last_login_at {time}, last_seen_at {time}, deleted_at {time}
);
CREATE UNIQUE INDEX users_uid ON users (uid);
CREATE UNIQUE INDEX users_login ON users (login_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX users_handle ON users (handle_key) WHERE deleted_at IS NULL;

-- Every living login and identity e-mail, so that neither can equal another's.
CREATE TABLE identity_keys (key {text} NOT NULL, user_id {id} NOT NULL REFERENCES users (id) ON DELETE CASCADE);
CREATE UNIQUE INDEX identity_keys_key ON identity_keys (key);
CREATE INDEX identity_keys_user ON identity_keys (user_id);

-- `live_id` is the id while the organization lives: children reference it, so none can be made under a dead tenant.
CREATE TABLE organizations (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  name {text} NOT NULL, name_key {text} NOT NULL, title {text} NOT NULL, slug {text} NOT NULL, slug_key {text} NOT NULL,
  display_name {text}, description {text}, icon {text}, glyph {text},
  parent_id {id}, cluster_id {id} NOT NULL REFERENCES clusters (id), is_default {bool} NOT NULL DEFAULT false,
  execution_mode {text} NOT NULL DEFAULT 'remote', max_hosts {int} NOT NULL DEFAULT 0, all_of {json}, deleted_at {time},
  live_id {int} GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN id END) STORED
);
CREATE UNIQUE INDEX organizations_uid ON organizations (uid);
CREATE UNIQUE INDEX organizations_live ON organizations (live_id);
CREATE UNIQUE INDEX organizations_title ON organizations (title) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX organizations_slug ON organizations (slug_key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX organizations_default ON organizations (is_default) WHERE is_default;
CREATE INDEX organizations_cluster ON organizations (cluster_id);

CREATE TABLE projects (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  organization_id {id} NOT NULL REFERENCES organizations (live_id),
  title {text} NOT NULL, slug {text} NOT NULL, description {text}, gpu_quota {int}, deleting_at {time}
);
CREATE UNIQUE INDEX projects_uid ON projects (uid);
CREATE UNIQUE INDEX projects_title ON projects (organization_id, title);
CREATE UNIQUE INDEX projects_slug ON projects (slug);
CREATE UNIQUE INDEX projects_place ON projects (id, organization_id);

CREATE TABLE grants (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id),
  subject_key {text} NOT NULL, role_key {text} NOT NULL, scope_key {text} NOT NULL,
  organization_id {id} REFERENCES organizations (live_id)
);
CREATE UNIQUE INDEX grants_uid ON grants (uid);
CREATE UNIQUE INDEX grants_given ON grants (subject_key, role_key, scope_key);
CREATE INDEX grants_scope ON grants (scope_key);
CREATE INDEX grants_organization ON grants (organization_id) WHERE organization_id IS NOT NULL;

CREATE TABLE tokens (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id),
  kind {text} NOT NULL, dialect {text} NOT NULL, user_id {id} REFERENCES users (id) ON DELETE CASCADE,
  name {text}, secret_hash {bytes} NOT NULL, expires_at {time}, last_used_at {time}
);
CREATE UNIQUE INDEX tokens_uid ON tokens (uid);
CREATE UNIQUE INDEX tokens_secret ON tokens (secret_hash);
CREATE UNIQUE INDEX tokens_name ON tokens (user_id, dialect, kind, name) WHERE name IS NOT NULL;

CREATE TABLE settings (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  dialect {text} NOT NULL, name {text} NOT NULL, value {json}, sealed {bytes}
);
CREATE UNIQUE INDEX settings_uid ON settings (uid);
CREATE UNIQUE INDEX settings_name ON settings (dialect, name);

-- Catalog -----------------------------------------------------------------------------------------------------------

CREATE TABLE environments (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  scope {text} NOT NULL, cluster_id {id} REFERENCES clusters (id),
  organization_id {id} REFERENCES organizations (live_id), project_id {id},
  unit {int} GENERATED ALWAYS AS (CASE scope WHEN 'global' THEN 0 WHEN 'cluster' THEN cluster_id * 4 + 1
    WHEN 'organization' THEN organization_id * 4 + 2 WHEN 'project' THEN project_id * 4 + 3 END) STORED,
  name {text} NOT NULL, description {text}, image {text}, pull {text}, managed {bool} NOT NULL DEFAULT false,
  spec {json} NOT NULL, workload_types {int}, dist_framework {text},
  pinned_digest {text}, seen_digest {text}, seen_at {time}, update_count {int} NOT NULL DEFAULT 1,
  FOREIGN KEY (project_id, organization_id) REFERENCES projects (id, organization_id) ON UPDATE CASCADE,
  CONSTRAINT environments_scope CHECK (
    (scope = 'global' AND cluster_id IS NULL AND organization_id IS NULL AND project_id IS NULL)
    OR (scope = 'cluster' AND cluster_id IS NOT NULL AND organization_id IS NULL AND project_id IS NULL)
    OR (scope = 'organization' AND cluster_id IS NULL AND organization_id IS NOT NULL AND project_id IS NULL)
    OR (scope = 'project' AND cluster_id IS NULL AND organization_id IS NOT NULL AND project_id IS NOT NULL))
);
CREATE UNIQUE INDEX environments_uid ON environments (uid);
CREATE UNIQUE INDEX environments_name ON environments (unit, name);
CREATE INDEX environments_unit_created ON environments (unit, created_at, id);
CREATE INDEX environments_created ON environments (created_at, id, unit);
CREATE INDEX environments_by_name ON environments (name, id);
CREATE INDEX environments_image ON environments (image);
CREATE INDEX environments_organization ON environments (organization_id, id);
CREATE INDEX environments_project ON environments (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX environments_cluster ON environments (cluster_id) WHERE cluster_id IS NOT NULL;

ALTER TABLE organizations ADD COLUMN default_environment_id {id} REFERENCES environments (id) ON DELETE SET NULL;
CREATE INDEX organizations_default_environment ON organizations (default_environment_id)
  WHERE default_environment_id IS NOT NULL;

-- Hands out the ids that sources and templates share.
CREATE TABLE unified_ids (id {pk}, kind {text} NOT NULL);

CREATE TABLE templates (
  id {id} NOT NULL PRIMARY KEY REFERENCES unified_ids (id), uid {uuid} NOT NULL,
  created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  organization_id {id} REFERENCES organizations (id), kind {text} NOT NULL,
  name {text} NOT NULL, name_key {text} NOT NULL, display_name {text}, description {text},
  environment_id {id} REFERENCES environments (id) ON DELETE SET NULL, deleted_at {time},
  live_organization_id {int} GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN organization_id END) STORED
    REFERENCES organizations (live_id)
);
CREATE UNIQUE INDEX templates_uid ON templates (uid);
CREATE UNIQUE INDEX templates_script_name ON templates (coalesce(live_organization_id, 0), name)
  WHERE kind = 'script' AND deleted_at IS NULL;
CREATE INDEX templates_organization ON templates (organization_id, kind, name);
CREATE INDEX templates_live_organization ON templates (live_organization_id) WHERE live_organization_id IS NOT NULL;
CREATE INDEX templates_environment ON templates (environment_id) WHERE environment_id IS NOT NULL;

CREATE TABLE template_revisions (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  template_id {id} REFERENCES templates (id), organization_id {id} NOT NULL REFERENCES organizations (id),
  name {text} NOT NULL, message {text}, spec {json} NOT NULL, archived {bool} NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX template_revisions_uid ON template_revisions (uid);
CREATE UNIQUE INDEX template_revisions_name ON template_revisions (template_id, name);
CREATE INDEX template_revisions_template ON template_revisions (template_id, id);
CREATE INDEX template_revisions_organization ON template_revisions (organization_id);

ALTER TABLE templates ADD COLUMN active_revision_id {id} REFERENCES template_revisions (id);
CREATE INDEX templates_active_revision ON templates (active_revision_id) WHERE active_revision_id IS NOT NULL;

-- Templates as they are read: living, with the content of the active revision.
CREATE VIEW living_templates AS
  SELECT t.*, r.spec FROM templates t JOIN template_revisions r ON r.id = t.active_revision_id WHERE t.deleted_at IS NULL;

-- Jobs --------------------------------------------------------------------------------------------------------------

CREATE TABLE workers (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  name {text} NOT NULL, slots {int} NOT NULL, version {text} NOT NULL, enabled {bool} NOT NULL DEFAULT true,
  last_seen_at {time}
);
CREATE UNIQUE INDEX workers_uid ON workers (uid);
CREATE UNIQUE INDEX workers_name ON workers (name);

-- No foreign keys: ids are never reused and a job outlives what it pointed at.
CREATE TABLE jobs (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL, updated_by {id},
  family {text} NOT NULL, kind {text} NOT NULL, organization_id {id}, project_id {id},
  template_id {id}, revision_id {id}, environment_id {id}, initiator_id {id},
  dialect {text} NOT NULL, launch_type {text} NOT NULL, name {text} NOT NULL, description {text},
  intent {json} NOT NULL, priority {int} NOT NULL DEFAULT 0,
  state {text} NOT NULL, stage {text}, stop_for {text}, waiting_for {text}, outcome {text},
  error {text}, exit_code {int}, retries_left {int} NOT NULL DEFAULT 0, returns {int} NOT NULL DEFAULT 0,
  attempt {int} NOT NULL DEFAULT 0, worker_id {id}, state_at {time} NOT NULL, started_at {time}, finished_at {time},
  cancel_requested_at {time}, events_complete {bool} NOT NULL DEFAULT false,
  log_bytes {int} NOT NULL DEFAULT 0, log_lines {int} NOT NULL DEFAULT 0, log_truncated {bool} NOT NULL DEFAULT false,
  image {text}, digest {text}, snapshot {json} NOT NULL, ext {json}
);
CREATE UNIQUE INDEX jobs_uid ON jobs (uid);
CREATE INDEX jobs_organization ON jobs (organization_id, family, created_at, id);
CREATE INDEX jobs_family ON jobs (family, id);
CREATE INDEX jobs_template ON jobs (template_id, id);
CREATE INDEX jobs_environment ON jobs (environment_id, family, project_id, id);
CREATE INDEX jobs_initiator ON jobs (initiator_id, id);

-- The hot half of an unfinished job. Every transition locks this row first.
CREATE TABLE job_queue (
  job_id {id} NOT NULL PRIMARY KEY, hold {text} NOT NULL, priority {int} NOT NULL,
  organization_id {id} REFERENCES organizations (live_id), family {text} NOT NULL, kind {text} NOT NULL,
  not_before {time}, attempt {int} NOT NULL DEFAULT 0, worker_id {id}, beat {int} NOT NULL DEFAULT 0
);
CREATE INDEX job_queue_ready ON job_queue (kind, priority, job_id) WHERE hold = 'ready';
CREATE INDEX job_queue_claimed ON job_queue (job_id) WHERE hold = 'claimed';
CREATE INDEX job_queue_organization ON job_queue (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX job_queue_worker ON job_queue (worker_id) WHERE worker_id IS NOT NULL;

CREATE TABLE job_attempts (
  id {pk}, uid {uuid} NOT NULL, job_id {id} NOT NULL, attempt {int} NOT NULL, worker_id {id} NOT NULL, node {text} NOT NULL,
  state {text} NOT NULL, exit_code {int}, image {text}, digest {text}, started_at {time} NOT NULL, finished_at {time}
);
CREATE UNIQUE INDEX job_attempts_uid ON job_attempts (uid);
CREATE UNIQUE INDEX job_attempts_number ON job_attempts (job_id, attempt);

CREATE TABLE job_transitions (
  job_id {id} NOT NULL, seq {int} NOT NULL, at {time} NOT NULL, what {text} NOT NULL, state {text} NOT NULL,
  stage {text}, outcome {text}, actor {text}, detail {json}, PRIMARY KEY (job_id, seq)
);

CREATE TABLE log_chunks (
  job_id {id} NOT NULL, seq {int} NOT NULL, attempt {int} NOT NULL, at {time} NOT NULL, stream {text} NOT NULL,
  first_line {int} NOT NULL, lines {int} NOT NULL, first_byte {int} NOT NULL, bytes {int} NOT NULL, data {bytes} NOT NULL,
  PRIMARY KEY (job_id, seq)
);
CREATE INDEX log_chunks_line ON log_chunks (job_id, first_line);
CREATE INDEX log_chunks_byte ON log_chunks (job_id, first_byte);

CREATE TABLE timers (
  id {pk}, due_at {time} NOT NULL, what {text} NOT NULL, kind {text} NOT NULL, row_id {id} NOT NULL
);
CREATE UNIQUE INDEX timers_what ON timers (what, kind, row_id);
CREATE INDEX timers_due ON timers (due_at, id);

-- What every write leaves behind ------------------------------------------------------------------------------------

CREATE TABLE tallies (kind {text} NOT NULL, unit {int} NOT NULL, shard {int} NOT NULL, n {int} NOT NULL, PRIMARY KEY (kind, unit, shard));

CREATE TABLE audit (
  id {pk}, uid {uuid} NOT NULL, at {time} NOT NULL, actor_id {id}, actor_name {text} NOT NULL, dialect {text} NOT NULL,
  request_id {text} NOT NULL, action {text} NOT NULL, kind {text} NOT NULL, row_id {id} NOT NULL, row_uid {uuid} NOT NULL,
  title {text} NOT NULL, organization_id {id}, changes {json} NOT NULL
);
CREATE UNIQUE INDEX audit_uid ON audit (uid);
CREATE INDEX audit_row ON audit (kind, row_id, id);
CREATE INDEX audit_organization ON audit (organization_id, id);

CREATE TABLE changes (
  seq {pk}, at {time} NOT NULL, kind {text} NOT NULL, row_uid {uuid} NOT NULL, organization_id {id}, what {text} NOT NULL
);
CREATE INDEX changes_at ON changes (at);
