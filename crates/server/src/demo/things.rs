//! What the demonstration works with: found if an earlier one has made it, else made.

use chandler_core::environments::{EnvironmentFilter, EnvironmentInput};
use chandler_core::organizations::OrganizationInput;
use chandler_core::templates::{TemplateFilter, TemplateInput};
use chandler_core::workspaces::{WorkspaceFilter, WorkspaceInput};
use chandler_core::{Core, Cx};
use chandler_model::Id;
use chandler_model::environments::{Environment, Pull};
use chandler_model::organizations::Organization;
use chandler_model::paging::PageRequest;
use chandler_model::templates::{AnsibleSpec, FlowSpec, ScriptSpec, Template, TemplateSpec};
use chandler_model::workspaces::Workspace;

const ORGANIZATION: &str = "Demo";
const ENVIRONMENT: &str = "Local process";
const WORKSPACE: &str = "demo";

/// Everything is made on behalf of this person, in this organization.
pub(super) struct Things<'a> {
    pub(super) core: &'a Core,
    pub(super) cx: &'a Cx,
    pub(super) organization: Organization,
}

impl<'a> Things<'a> {
    pub(super) async fn open(core: &'a Core, cx: &'a Cx) -> anyhow::Result<Self> {
        let organization = match core.organization_titled(cx, ORGANIZATION).await? {
            Some(found) => found,
            None => {
                let description = Some("Made by `chandler demo`.".to_owned());
                let name = ORGANIZATION.to_owned();
                let input = OrganizationInput { name, description, ..OrganizationInput::default() };
                core.create_organization(cx, input).await?
            }
        };
        Ok(Self { core, cx, organization })
    }

    /// Without an image: jobs run as processes of the worker.
    pub(super) async fn local(&self) -> anyhow::Result<Environment> {
        self.environment(ENVIRONMENT.to_owned(), None).await
    }

    /// With the image in its name, because the configuration may name another one next time.
    pub(super) async fn container(&self, image: &str) -> anyhow::Result<Environment> {
        self.environment(format!("Container of {image}"), Some(image.to_owned())).await
    }

    async fn environment(&self, name: String, image: Option<String>) -> anyhow::Result<Environment> {
        let organization = Some(self.organization.id);
        let filter = EnvironmentFilter { organization, name: Some(name.clone()) };
        let page = self.core.list_environments(self.cx, &filter, PageRequest::default()).await?;
        if let Some(found) = page.rows.into_iter().next() {
            return Ok(found);
        }
        // The demonstration fetches nothing.
        let pull = image.is_some().then_some(Pull::Never);
        let input = EnvironmentInput { organization, name, image, pull, ..EnvironmentInput::default() };
        Ok(self.core.create_environment(self.cx, input).await?)
    }

    pub(super) async fn script(&self, environment: Id<Environment>) -> anyhow::Result<Template> {
        let spec = ScriptSpec {
            script: include_str!("../../../../examples/hello.sh").to_owned(),
            args: Vec::new(),
            may_repeat: true,
            retries: 0,
            timeout_s: Some(60),
        };
        self.template("Hello", environment, TemplateSpec::Script(spec)).await
    }

    pub(super) async fn playbook(&self, environment: Id<Environment>) -> anyhow::Result<Template> {
        let playbook = include_str!("../../../../examples/ansible/playbook.yml").to_owned();
        let spec = AnsibleSpec { playbook, timeout_s: Some(300), ..AnsibleSpec::default() };
        self.template("Hello from Ansible", environment, TemplateSpec::Ansible(spec)).await
    }

    pub(super) async fn flow(&self, environment: Id<Environment>) -> anyhow::Result<Template> {
        let text = include_str!("../../../../examples/terraform/main.tf").to_owned();
        let configuration = [("main.tf".to_owned(), text)].into();
        let spec = FlowSpec { configuration, ..FlowSpec::default() };
        self.template("Hello from Terraform", environment, TemplateSpec::Flow(spec)).await
    }

    async fn template(&self, name: &str, environment: Id<Environment>, spec: TemplateSpec) -> anyhow::Result<Template> {
        let organization = self.organization.id;
        let filter = TemplateFilter { organization: Some(organization), name: Some(name.to_owned()) };
        let page = self.core.list_templates(self.cx, &filter, PageRequest::default()).await?;
        if let Some(found) = page.rows.into_iter().next() {
            return Ok(found);
        }
        let name = name.to_owned();
        let environment = Some(environment);
        let input = TemplateInput { organization, name, description: None, environment, spec };
        Ok(self.core.create_template(self.cx, input).await?)
    }

    pub(super) async fn workspace(&self) -> anyhow::Result<Workspace> {
        let organization = self.organization.id;
        let filter = WorkspaceFilter { organization: Some(organization), name: Some(WORKSPACE.to_owned()) };
        let page = self.core.list_workspaces(self.cx, &filter, PageRequest::default()).await?;
        if let Some(found) = page.rows.into_iter().next() {
            return Ok(found);
        }
        let input = WorkspaceInput { organization, name: WORKSPACE.to_owned(), description: None };
        Ok(self.core.create_workspace(self.cx, input).await?)
    }
}
