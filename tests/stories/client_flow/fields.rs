//! What the web client reads of each answer, field by field, and the check that it is there and of its type.
//!
//! A line is a path and a type. `?` behind a name: may be missing or null; `[]`: a list with something in it; `[]?`: one
//! that may be empty or missing. Types: `string`, `number`, `integer`, `bool`, `date`, `object`, `money` (whole rupiah as
//! a number or its text), `price` (whole rupiah, as text only).

use serde_json::Value;

pub const LOGIN: &str = "
    user.id string
    user.email string
    user.name string
    user.role string
    user.isActive bool
    tokens.accessToken string
    tokens.refreshToken string";

pub const NO_SUBSCRIPTIONS: &str = "subscriptions[]?.id string";

pub const SUBSCRIPTIONS: &str = "
    subscriptions[].id string
    subscriptions[].service.displayName string
    subscriptions[].service.name string
    subscriptions[].status string
    subscriptions[].subdomain? string
    subscriptions[].expiresAt date";

pub const GROUPED: &str = "
    services[].name string
    services[].displayName string
    services[].description string
    services[].variants[].id string
    services[].variants[].variantDisplayName string
    services[].variants[].description string
    services[].variants[].cpuSpec? string
    services[].variants[].memSpec? string
    services[].variants[].monthlyPrice price
    services[].variants[].availableQuota number
    services[].variants[].isDefault bool
    services[].variants[].features? []?string";

pub const NOTHING: &str = "";

pub const BALANCE: &str = "balance money";

pub const TRANSACTIONS: &str = "
    transactions[].id string
    transactions[].date date
    transactions[].type string
    transactions[].description string
    transactions[].amount money
    transactions[].status string
    transactions[].reference string
    transactions[].actions?.canPay bool
    transactions[].actions?.canDownloadInvoice bool
    transactions[].invoice?.id string
    pagination.page integer
    pagination.limit integer
    pagination.total integer
    pagination.totalPages integer";

/// Both, so that whichever the browser can use is there.
pub const PAYMENT: &str = "
    snapToken string
    redirectUrl string";

pub const USERS: &str = "
    users[].id string
    users[].name string
    users[].email string
    users[].role string
    users[].isActive bool
    users[]._count.subscriptions integer
    users[].createdAt date
    pagination.totalCount integer";

pub const USER: &str = "
    id string
    name string
    email string
    role string
    isActive bool
    createdAt date
    updatedAt date
    _count.subscriptions integer
    subscriptions[].id string
    subscriptions[].status string
    subscriptions[].expiresAt date
    subscriptions[].service.displayName string
    subscriptions[].service.name string";

/// The edit form is filled from the row: what the row leaves out, the next edit would overwrite.
pub const SERVICES: &str = "
    services[].id string
    services[].displayName string
    services[].name string
    services[].description string
    services[].category string
    services[].variant string
    services[].variantDisplayName string
    services[].isActive bool
    services[].monthlyPrice price
    services[].cpuRequest string
    services[].cpuLimit string
    services[].memRequest string
    services[].memLimit string
    services[].availableQuota integer
    services[]._count.subscriptions integer
    services[].tags []?string
    services[].createdAt date
    services[].version string
    services[].dockerImage string
    services[].containerPort integer
    services[].icon string
    services[].features []?string
    services[].sortOrder integer
    services[].isDefaultVariant bool
    services[].environmentVars object
    services[].volumeSize string
    services[].volumeMountPath string
    services[].volumeName string
    services[].storageClass string
    services[].accessMode string
    pagination.totalCount integer
    pagination.currentPage integer
    pagination.totalPages integer";

pub const SERVICE: &str = "
    id string
    name string
    displayName string
    description string
    category string
    variant string
    variantDisplayName string
    isActive bool
    monthlyPrice price
    cpuRequest string
    cpuLimit string
    memRequest string
    memLimit string
    availableQuota integer
    tags []?string
    version string
    dockerImage string
    containerPort integer
    icon string
    features []?string
    sortOrder integer
    isDefaultVariant bool
    environmentVars object
    volumeSize string
    volumeMountPath string
    volumeName string
    storageClass string
    accessMode string
    createdAt date
    updatedAt date";

pub const ADMIN_SUBSCRIPTIONS: &str = "
    subscriptions[].id string
    subscriptions[].user.name string
    subscriptions[].user.email string
    subscriptions[].service.displayName string
    subscriptions[].service.name string
    subscriptions[].service.category string
    subscriptions[].service.monthlyPrice money
    subscriptions[].status string
    subscriptions[].subdomain string
    subscriptions[].expiresAt date
    subscriptions[].createdAt date
    subscriptions[].serviceInstance?.status string
    subscriptions[].serviceInstance?.externalUrl? string
    pagination.total integer";

pub const ADMIN_SUBSCRIPTION: &str = "
    id string
    user.name string
    user.email string
    user.role string
    service.displayName string
    service.name string
    service.dockerImage string
    status string
    startDate date
    expiresAt date
    serviceInstance.status string
    serviceInstance.externalUrl? string
    serviceInstance.internalUrl? string
    serviceInstance.podName string
    serviceInstance.namespace string";

pub const PODS: &str = "
    pods[].id string
    pods[].podName string
    pods[].namespace string
    pods[].status string
    pods[].createdAt date
    pods[].externalUrl? string
    pods[].cpuAllocated string
    pods[].memAllocated string
    pods[].subscription.service.displayName string
    pods[].subscription.service.variant string
    pods[].subscription.user.name string
    pods[].subscription.user.email string
    pods[].realTimeStatus?.status string
    pods[].realTimeStatus?.replicas?.ready number
    pods[].realTimeStatus?.replicas?.desired number
    pods[].metrics?.cpuUtilization? number
    pods[].metrics?.memoryUtilization? number
    pods[].workerNode?.nodeName? string
    pods[].localAccess?.portForwardCommand? string
    statistics.total integer
    statistics.running integer
    statistics.pending integer
    statistics.failed integer
    pagination.total integer
    pagination.page integer
    pagination.totalPages integer";

pub const POD: &str = "
    id string
    podName string
    namespace string
    status string
    createdAt date
    internalUrl? string
    lastStatusSync? date
    workerNode?.podIP? string
    workerNode?.kubeletVersion? string
    subscription.service.monthlyPrice money";

pub const ORPHANS: &str = "
    orphanedPods[]?.deploymentName string
    orphanedPods[]?.namespace string
    orphanedPods[]?.replicas number
    orphanedPods[]?.readyReplicas number
    orphanedPods[]?.createdAt date
    orphanedPods[]?.reason string
    summary.totalKubernetesPods integer
    summary.totalDatabasePods integer
    summary.orphanedCount integer
    summary.namespacesChecked integer";

pub const WORKERS: &str = "
    workers[].id string
    workers[].name string
    workers[].hostname string
    workers[].ipAddress string
    workers[].status string
    workers[].operatingSystem string
    workers[].totalMemory string
    workers[].totalStorage string
    workers[].currentPods number
    workers[].maxPods number
    workers[].isReady bool
    workers[].lastHeartbeat date
    workers[].metrics?.cpuUtilization? number
    workers[].metrics?.memoryUtilization? number
    pagination.total integer";

pub const WORKER: &str = "
    id string
    isSchedulable bool
    osImage string
    kernelVersion string
    containerRuntime string
    kubeletVersion string
    lastHealthCheck date
    createdAt date
    liveData?.conditions[]?.type string
    liveData?.conditions[]?.status string
    taints? []?object";

pub const ADMIN_TRANSACTIONS: &str = "
    transactions[].id string
    transactions[].date date
    transactions[].user.name string
    transactions[].user.email string
    transactions[].description string
    transactions[].type string
    transactions[].amount money
    transactions[].currency string
    transactions[].status string
    transactions[].reference? string
    transactions[].actions?.canDownloadInvoice bool";

/// Every line of `fields` that `data` does not keep.
pub fn faults(data: &Value, fields: &str) -> Vec<String> {
    let lines = fields.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut wrong = Vec::new();
    for line in lines {
        let (path, kind) = line.split_once(' ').expect("a path and a type");
        walk(data, &path.split('.').collect::<Vec<_>>(), kind.trim(), line, &mut wrong);
    }
    wrong
}

fn walk(value: &Value, path: &[&str], kind: &str, line: &str, wrong: &mut Vec<String>) {
    let Some((step, rest)) = path.split_first() else { return check(value, kind, line, wrong) };
    let name = step.split(['?', '[']).next().unwrap_or_default();
    let found = &value[name];
    if found.is_null() {
        if !step.ends_with('?') {
            wrong.push(format!("{line}: no {name} in {value}"));
        }
    } else if step.contains("[]") {
        items(found, step.ends_with('?'), line, wrong, |item, wrong| walk(item, rest, kind, line, wrong));
    } else {
        walk(found, rest, kind, line, wrong);
    }
}

fn items(
    list: &Value,
    may_be_empty: bool,
    line: &str,
    wrong: &mut Vec<String>,
    mut each: impl FnMut(&Value, &mut Vec<String>),
) {
    match list.as_array() {
        None => wrong.push(format!("{line}: no list: {list}")),
        Some(list) if list.is_empty() && !may_be_empty => wrong.push(format!("{line}: nothing in the list")),
        Some(list) => list.iter().for_each(|item| each(item, wrong)),
    }
}

fn check(value: &Value, kind: &str, line: &str, wrong: &mut Vec<String>) {
    if let Some(kind) = kind.strip_prefix("[]?") {
        return items(value, true, line, wrong, |item, wrong| check(item, kind, line, wrong));
    }
    let is_price =
        |text: &str| !text.is_empty() && text.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit());
    let fits = match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "bool" => value.is_boolean(),
        "object" => value.is_object(),
        "price" => value.as_str().is_some_and(is_price),
        "money" => value.as_str().map_or(value.is_i64(), is_price),
        "date" => {
            value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z') && text[10..].starts_with('T'))
        }
        _ => panic!("{kind} is no type"),
    };
    if !fits {
        wrong.push(format!("{line}: {value}"));
    }
}

#[test]
fn a_field_that_is_missing_or_of_another_type_is_named() {
    let data = serde_json::json!({
        "rows": [{"id": "c1", "price": "35000", "at": "2026-11-26T20:00:00.000Z", "tags": ["a"], "note": null}], "none": [],
    });
    for good in [
        "rows[].id string",
        "rows[].price price",
        "rows[].price money",
        "rows[].at date",
        "rows[].note? string",
        "rows[].tags []?string",
        "none[]?.id string",
        "gone?.id string",
        "rows[].id string\n rows[].price price",
    ] {
        assert_eq!(faults(&data, good), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "rows[].id number",
        "rows[].gone string",
        "rows[].id date",
        "rows[].note string",
        "none[].id string",
        "rows.id string",
        "rows[].id[].x string",
        "rows[].tags []?number",
        "rows[].id price",
        "gone.id string",
    ] {
        assert_eq!(faults(&data, bad).len(), 1, "{bad}");
    }
}
