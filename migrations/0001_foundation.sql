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

-- What a credential of a type is asked for (`inputs`), and how it reaches a job (`injectors`).
CREATE TABLE credential_types (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  name {text} NOT NULL, kind {text} NOT NULL, namespace {text}, managed {bool} NOT NULL DEFAULT false,
  inputs {json} NOT NULL, injectors {json} NOT NULL
);
CREATE UNIQUE INDEX credential_types_uid ON credential_types (uid);
CREATE UNIQUE INDEX credential_types_name ON credential_types (name, kind);
CREATE UNIQUE INDEX credential_types_namespace ON credential_types (namespace) WHERE namespace IS NOT NULL;

-- `inputs` has the public ones; `secrets` has the names of those whose values are in `sealed`. `host`: the registry's.
CREATE TABLE credentials (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  scope {text} NOT NULL, cluster_id {id} REFERENCES clusters (id),
  organization_id {id} REFERENCES organizations (live_id), project_id {id},
  unit {int} GENERATED ALWAYS AS (CASE scope WHEN 'global' THEN 0 WHEN 'cluster' THEN cluster_id * 4 + 1
    WHEN 'organization' THEN organization_id * 4 + 2 WHEN 'project' THEN project_id * 4 + 3 END) STORED,
  private {bool} NOT NULL DEFAULT false, owner_id {id} REFERENCES users (id),
  type_id {id} NOT NULL REFERENCES credential_types (id), name {text} NOT NULL, description {text},
  inputs {json} NOT NULL, secrets {json} NOT NULL, sealed {bytes}, host {text}, managed {bool} NOT NULL DEFAULT false,
  FOREIGN KEY (project_id, organization_id) REFERENCES projects (id, organization_id) ON UPDATE CASCADE,
  CONSTRAINT credentials_scope CHECK (
    (scope = 'global' AND cluster_id IS NULL AND organization_id IS NULL AND project_id IS NULL)
    OR (scope = 'cluster' AND cluster_id IS NOT NULL AND organization_id IS NULL AND project_id IS NULL)
    OR (scope = 'organization' AND cluster_id IS NULL AND organization_id IS NOT NULL AND project_id IS NULL)
    OR (scope = 'project' AND cluster_id IS NULL AND organization_id IS NOT NULL AND project_id IS NOT NULL)),
  CONSTRAINT credentials_private CHECK (NOT private OR owner_id IS NOT NULL)
);
CREATE UNIQUE INDEX credentials_uid ON credentials (uid);
CREATE UNIQUE INDEX credentials_name ON credentials (unit, type_id, name) WHERE NOT private;
CREATE INDEX credentials_unit ON credentials (unit, id);
CREATE INDEX credentials_by_name ON credentials (name, id);
CREATE INDEX credentials_host ON credentials (host, unit, id) WHERE host IS NOT NULL;
CREATE INDEX credentials_type ON credentials (type_id);
CREATE INDEX credentials_organization ON credentials (organization_id, id);
CREATE INDEX credentials_project ON credentials (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX credentials_cluster ON credentials (cluster_id) WHERE cluster_id IS NOT NULL;
CREATE INDEX credentials_owner ON credentials (owner_id) WHERE owner_id IS NOT NULL;

-- Credentials as they are read: with the word of their type.
CREATE VIEW typed_credentials AS
  SELECT c.*, t.namespace FROM credentials c JOIN credential_types t ON t.id = c.type_id;

CREATE TABLE environments (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  scope {text} NOT NULL, cluster_id {id} REFERENCES clusters (id),
  organization_id {id} REFERENCES organizations (live_id), project_id {id},
  unit {int} GENERATED ALWAYS AS (CASE scope WHEN 'global' THEN 0 WHEN 'cluster' THEN cluster_id * 4 + 1
    WHEN 'organization' THEN organization_id * 4 + 2 WHEN 'project' THEN project_id * 4 + 3 END) STORED,
  name {text} NOT NULL, description {text}, image {text}, pull {text},
  credential_id {id} REFERENCES credentials (id) ON DELETE SET NULL, managed {bool} NOT NULL DEFAULT false,
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
CREATE INDEX environments_credential ON environments (credential_id) WHERE credential_id IS NOT NULL;

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
-- Names of flows and workloads are free.
CREATE UNIQUE INDEX templates_name ON templates (kind, coalesce(live_organization_id, 0), name)
  WHERE kind IN ('script', 'ansible') AND deleted_at IS NULL;
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

-- Bytes that rows point at. Those of states, plans and configurations are sealed, so no two rows share them.
CREATE TABLE blobs (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, sha256 {bytes} NOT NULL, size {int} NOT NULL,
  bytes {bytes}, orphaned_at {time}
);
CREATE UNIQUE INDEX blobs_uid ON blobs (uid);
CREATE UNIQUE INDEX blobs_sha256 ON blobs (sha256);
CREATE INDEX blobs_orphaned ON blobs (orphaned_at) WHERE orphaned_at IS NOT NULL;

-- What Terraform is applied to. `live_organization_id` as with templates.
CREATE TABLE workspaces (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  created_by {id} REFERENCES users (id), updated_by {id} REFERENCES users (id), version {int} NOT NULL DEFAULT 1, ext {json},
  organization_id {id} NOT NULL REFERENCES organizations (id), flavour {text} NOT NULL, owner_id {id} REFERENCES users (id),
  name {text} NOT NULL, name_key {text} NOT NULL, description {text}, locked {bool} NOT NULL DEFAULT false, lock_note {text},
  deleted_at {time},
  live_organization_id {int} GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN organization_id END) STORED
    REFERENCES organizations (live_id)
);
CREATE UNIQUE INDEX workspaces_uid ON workspaces (uid);
CREATE UNIQUE INDEX workspaces_shared_name ON workspaces (organization_id, name)
  WHERE flavour = 'shared' AND deleted_at IS NULL;
CREATE INDEX workspaces_organization ON workspaces (organization_id, id);
CREATE INDEX workspaces_live_organization ON workspaces (live_organization_id) WHERE live_organization_id IS NOT NULL;
CREATE INDEX workspaces_owner ON workspaces (owner_id) WHERE owner_id IS NOT NULL;

-- The current state of a workspace is its newest version that is final and not recovered.
CREATE TABLE state_versions (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, created_by {id} REFERENCES users (id),
  workspace_id {id} NOT NULL REFERENCES workspaces (id), serial {int}, lineage {text}, sha256 {text} NOT NULL, size {int} NOT NULL,
  blob_id {id} REFERENCES blobs (id), job_id {id}, attempt {int}, beat {int}, status {text} NOT NULL, origin {text} NOT NULL
);
CREATE UNIQUE INDEX state_versions_uid ON state_versions (uid);
CREATE INDEX state_versions_workspace ON state_versions (workspace_id, id);
CREATE INDEX state_versions_blob ON state_versions (blob_id) WHERE blob_id IS NOT NULL;
CREATE INDEX state_versions_job ON state_versions (job_id) WHERE job_id IS NOT NULL;

-- Jobs --------------------------------------------------------------------------------------------------------------

-- What a job asks of its worker, and what a worker has: never changed, so that jobs and workers share rows.
CREATE TABLE tag_sets (id {pk}, canonical {text} NOT NULL);
CREATE UNIQUE INDEX tag_sets_canonical ON tag_sets (canonical);
CREATE TABLE tag_set_pairs (
  set_id {id} NOT NULL REFERENCES tag_sets (id), key {text} NOT NULL, value {text} NOT NULL, PRIMARY KEY (key, value, set_id)
);
CREATE INDEX tag_set_pairs_set ON tag_set_pairs (set_id);

-- `kinds`: bit n is the n-th kind of docs/core/jobs.md 1.
CREATE TABLE workers (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL,
  name {text} NOT NULL, organization_id {id} REFERENCES organizations (live_id), pool_id {id},
  tag_set_id {id} NOT NULL REFERENCES tag_sets (id), kinds {int} NOT NULL,
  slots {int} NOT NULL, version {text} NOT NULL, enabled {bool} NOT NULL DEFAULT true,
  last_seen_at {time}
);
CREATE INDEX workers_organization ON workers (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX workers_tag_set ON workers (tag_set_id);
CREATE UNIQUE INDEX workers_uid ON workers (uid);
CREATE UNIQUE INDEX workers_name ON workers (name);

-- No foreign keys: ids are never reused and a job outlives what it pointed at.
CREATE TABLE jobs (
  id {pk}, uid {uuid} NOT NULL, created_at {time} NOT NULL, updated_at {time} NOT NULL, updated_by {id},
  family {text} NOT NULL, kind {text} NOT NULL, parent_id {id}, needs_job_id {id}, organization_id {id}, project_id {id},
  template_id {id}, revision_id {id}, workspace_id {id}, environment_id {id}, pool_id {id}, initiator_id {id},
  dialect {text} NOT NULL, launch_type {text} NOT NULL, name {text} NOT NULL, description {text},
  intent {json} NOT NULL, sealed {bytes}, tag_set_id {id} NOT NULL, priority {int} NOT NULL DEFAULT 0,
  state {text} NOT NULL, stage {text}, stop_for {text}, waiting_for {text}, outcome {text},
  error {text}, exit_code {int}, retries_left {int} NOT NULL DEFAULT 0, returns {int} NOT NULL DEFAULT 0,
  attempt {int} NOT NULL DEFAULT 0, worker_id {id}, state_at {time} NOT NULL, started_at {time}, finished_at {time},
  cancel_requested_at {time}, canceler {text} NOT NULL DEFAULT 'person', delete_requested_at {time}, deleted_at {time},
  base_state_id {id}, base_turn {int}, events_complete {bool} NOT NULL DEFAULT false,
  log_bytes {int} NOT NULL DEFAULT 0, log_lines {int} NOT NULL DEFAULT 0, log_truncated {bool} NOT NULL DEFAULT false,
  image {text}, digest {text}, snapshot {json} NOT NULL, ext {json}
);
CREATE UNIQUE INDEX jobs_uid ON jobs (uid);
CREATE INDEX jobs_organization ON jobs (organization_id, family, created_at, id);
CREATE INDEX jobs_family ON jobs (family, id);
CREATE INDEX jobs_template ON jobs (template_id, id);
CREATE INDEX jobs_workspace ON jobs (workspace_id, id);
CREATE INDEX jobs_parent ON jobs (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX jobs_needs ON jobs (needs_job_id) WHERE needs_job_id IS NOT NULL;
CREATE INDEX jobs_environment ON jobs (environment_id, family, project_id, id);
CREATE INDEX jobs_initiator ON jobs (initiator_id, id);

-- The hot half of an unfinished job. Every transition locks this row first.
CREATE TABLE job_queue (
  job_id {id} NOT NULL PRIMARY KEY, lane {text}, hold {text} NOT NULL, priority {int} NOT NULL,
  organization_id {id} REFERENCES organizations (live_id), family {text} NOT NULL, kind {text} NOT NULL,
  tag_set_id {id} NOT NULL, pool_id {id},
  not_before {time}, attempt {int} NOT NULL DEFAULT 0, worker_id {id}, beat {int} NOT NULL DEFAULT 0
);
CREATE INDEX job_queue_ready ON job_queue (tag_set_id, kind, priority, job_id) WHERE hold = 'ready';
CREATE INDEX job_queue_ready_organization ON job_queue (organization_id, tag_set_id, kind, priority, job_id)
  WHERE hold = 'ready';
CREATE INDEX job_queue_claimed ON job_queue (job_id) WHERE hold = 'claimed';
CREATE INDEX job_queue_blocked ON job_queue (job_id) WHERE hold = 'blocked';
CREATE INDEX job_queue_organization ON job_queue (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX job_queue_worker ON job_queue (worker_id) WHERE worker_id IS NOT NULL;

-- What may not run together. A `hold` waits for holders of its key with a lower turn; a `wait` waits too, but nobody
-- waits for it. Job 0 is a lock of somebody.
CREATE TABLE job_keys (
  job_id {id} NOT NULL, key {text} NOT NULL, mode {text} NOT NULL, turn {int} NOT NULL, PRIMARY KEY (job_id, key)
);
CREATE INDEX job_keys_key ON job_keys (key, mode, turn, job_id);
-- Nothing but a sequence.
CREATE TABLE turns (id {pk});

CREATE TABLE job_steps (
  id {pk}, uid {uuid} NOT NULL, job_id {id} NOT NULL, number {int} NOT NULL, name {text} NOT NULL, kind {text} NOT NULL,
  state {text} NOT NULL, needs_decision {bool} NOT NULL, decision {text}, decided_by {id}, decided_at {time},
  outcome {text}, started_at {time}, finished_at {time}
);
CREATE UNIQUE INDEX job_steps_uid ON job_steps (uid);
CREATE UNIQUE INDEX job_steps_number ON job_steps (job_id, number);

-- What a step leaves for a later one: a plan, its JSON, … Stored before the step is done.
CREATE TABLE job_files (
  id {pk}, job_id {id} NOT NULL, step {int} NOT NULL, name {text} NOT NULL, blob_id {id} NOT NULL REFERENCES blobs (id),
  size {int} NOT NULL
);
CREATE UNIQUE INDEX job_files_name ON job_files (job_id, step, name);
CREATE INDEX job_files_blob ON job_files (blob_id);

CREATE TABLE job_attempts (
  id {pk}, uid {uuid} NOT NULL, job_id {id} NOT NULL, attempt {int} NOT NULL, worker_id {id} NOT NULL, node {text} NOT NULL,
  state {text} NOT NULL, exit_code {int}, image {text}, digest {text}, started_at {time} NOT NULL, finished_at {time},
  process_left {bool} NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX job_attempts_uid ON job_attempts (uid);
CREATE UNIQUE INDEX job_attempts_number ON job_attempts (job_id, attempt);
CREATE INDEX job_attempts_left ON job_attempts (job_id) WHERE process_left;

CREATE TABLE job_transitions (
  job_id {id} NOT NULL, seq {int} NOT NULL, at {time} NOT NULL, what {text} NOT NULL, state {text} NOT NULL,
  stage {text}, outcome {text}, actor {text}, detail {json}, PRIMARY KEY (job_id, seq)
);

CREATE TABLE log_chunks (
  job_id {id} NOT NULL, seq {int} NOT NULL, attempt {int} NOT NULL, step {int}, at {time} NOT NULL, stream {text} NOT NULL,
  level {text} NOT NULL,
  first_line {int} NOT NULL, lines {int} NOT NULL, first_byte {int} NOT NULL, bytes {int} NOT NULL, data {bytes} NOT NULL,
  PRIMARY KEY (job_id, seq)
);
CREATE INDEX log_chunks_line ON log_chunks (job_id, first_line);
CREATE INDEX log_chunks_byte ON log_chunks (job_id, first_byte);

-- What an Ansible job did and printed; its log is the texts of these in order.
CREATE TABLE task_events (
  id {pk}, job_id {id} NOT NULL, counter {int} NOT NULL, attempt {int} NOT NULL, at {time} NOT NULL,
  uuid {uuid} NOT NULL, parent_uuid {uuid}, event {text} NOT NULL, host_name {text}, play {text}, task {text}, role {text},
  failed {bool} NOT NULL, changed {bool} NOT NULL, data {json} NOT NULL, stdout {text} NOT NULL,
  start_line {int} NOT NULL, end_line {int} NOT NULL, first_byte {int} NOT NULL, bytes {int} NOT NULL
);
CREATE UNIQUE INDEX task_events_counter ON task_events (job_id, counter);
CREATE INDEX task_events_line ON task_events (job_id, start_line, counter);
CREATE INDEX task_events_parent ON task_events (job_id, parent_uuid);

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
