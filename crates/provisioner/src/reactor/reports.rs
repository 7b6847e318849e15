//! What became of a request, as commands back to the instance.

use metrics::counter;
use minispod_domain::{AnyCommand, CommandRequest, InstanceCommand, ports::Performed};

use super::Task;
use crate::{numbers, plan::Plan};

/// Commands back to the instance; keys follow from the effect's, so a repeated look repeats no report.
pub(super) struct Reports<'a> {
    pub(super) key: &'a str,
    pub(super) task: &'a Task,
}

impl Reports<'_> {
    fn command(&self, what: &str, command: InstanceCommand) -> CommandRequest {
        CommandRequest {
            key: format!("{}.{what}", self.key),
            aggregate_id: self.task.instance_id.clone(),
            command: AnyCommand::Instance(command),
            on_refusal: None,
        }
    }

    pub(super) fn applied(&self, plan: &Plan, kind: &str) -> CommandRequest {
        let command = InstanceCommand::RecordApplied {
            generation: self.task.generation,
            namespace: plan.namespace.clone(),
            workload: plan.workload.clone(),
            internal_url: plan.internal_url.clone(),
            external_url: plan.external_url.clone(),
            volume_claim: plan.volume_claim.clone(),
            simulated: kind == "simulated",
            program: Some(plan.program.clone()),
        };
        // Another build may carry on with the same request: what it applied is another report.
        self.command(&format!("applied-{}", plan.program), command)
    }

    /// With the earlier report again: a crash may have lost it.
    pub(super) fn ready(&self, plan: &Plan, kind: &str) -> Performed {
        counter!("minispod_provisioner_outcomes_total", "outcome" => "ready").increment(1);
        let generation = self.task.generation;
        let ready = InstanceCommand::RecordReady { generation, external_url: plan.external_url.clone() };
        Performed::report(vec![self.applied(plan, kind), self.command("ready", ready)])
    }

    pub(super) fn failed(&self, detail: &str) -> Performed {
        counter!("minispod_provisioner_outcomes_total", "outcome" => "failed").increment(1);
        tracing::warn!(instance = self.task.instance_id, detail, "the instance failed");
        let command = InstanceCommand::RecordFailed { generation: self.task.generation, detail: detail.to_owned() };
        Performed::report(vec![self.command("failed", command)])
    }

    /// With the earlier report: what it let go is let go.
    pub(super) fn failed_as_applied(&self, plan: &Plan, kind: &str, detail: &str) -> Performed {
        let mut failed = self.failed(detail);
        failed.commands.insert(0, self.applied(plan, kind));
        failed
    }

    pub(super) fn stopped(&self) -> Performed {
        counter!("minispod_provisioner_outcomes_total", "outcome" => "stopped").increment(1);
        let command = InstanceCommand::RecordStopped { generation: self.task.generation };
        Performed::report(vec![self.command("stopped", command)])
    }

    pub(super) fn hosts(&self) -> Performed {
        counter!("minispod_provisioner_outcomes_total", "outcome" => "doors").increment(1);
        let (generation, hosts) = (self.task.generation, self.task.spec.hosts.clone());
        let edition = self.task.spec.hosts_edition;
        Performed::report(vec![self.command("hosts", InstanceCommand::RecordHosts { generation, hosts, edition })])
    }

    /// They stay as they are; the instance asks again.
    pub(super) fn hosts_refused(&self, detail: &str) -> Performed {
        counter!("minispod_provisioner_outcomes_total", "outcome" => "doors_refused").increment(1);
        tracing::warn!(instance = self.task.instance_id, detail, "an instance's doors cannot be changed");
        let (generation, edition) = (self.task.generation, self.task.spec.hosts_edition);
        let command = InstanceCommand::RecordHostsRefused { generation, edition, detail: detail.to_owned() };
        Performed::report(vec![self.command("hosts-refused", command)])
    }

    /// Put right: the mark of the program as it is now, where it was applied; else why it cannot be.
    pub(super) fn drift_over(&self, end: Result<Option<String>, String>) -> Performed {
        let outcome = if end.is_err() { "drift_stands" } else { "drift_repaired" };
        counter!("minispod_provisioner_outcomes_total", "outcome" => outcome).increment(1);
        let what = end
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map_or_else(|| "drift-over".to_owned(), |program| format!("drift-over-{program}"));
        let (program, fault) = end.map_or_else(|fault| (None, Some(fault)), |program| (program, None));
        let command = InstanceCommand::RecordDriftOver { generation: self.task.generation, fault, program };
        Performed::report(vec![self.command(&what, command)])
    }

    /// Each hindrance is another report.
    pub(super) fn hindered(&self, detail: String) -> CommandRequest {
        tracing::warn!(instance = self.task.instance_id, detail, "something hinders what is asked of the instance");
        let what = format!("hindered-{:016x}", numbers::of(&detail));
        self.command(&what, InstanceCommand::RecordHindered { generation: self.task.generation, detail })
    }

    pub(super) fn deleted(&self, volume_purged: bool) -> Performed {
        counter!("minispod_provisioner_outcomes_total", "outcome" => "deleted").increment(1);
        let command = InstanceCommand::RecordDeleted { generation: self.task.generation, volume_purged };
        Performed::report(vec![self.command("deleted", command)])
    }
}
