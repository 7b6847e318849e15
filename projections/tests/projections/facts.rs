//! Short ways to say what has happened.

use std::collections::BTreeMap;

use minispod_events::{
    Account, ApiScope, BillingCycle, CancelReason, Capacity, CouponEvent, CouponKind, CouponLimits, CouponPurpose,
    CouponScope, CouponUse, CouponUseEvent, CouponWindow, CustomDomainsEvent, DifferenceEvent, DifferenceKind,
    EntryCause, Event, InstanceEvent, InstanceSpec, InvoiceEvent, InvoiceKind, InvoiceLine, JoinTokenEvent,
    ManualTopUpEvent, NodeEvent, NodeFacts, Period, PlanDetails, PlanEvent, PlanSnapshot, Proof, RefundMethod, Role,
    SessionEvent, SignUpMethod, SubscriptionEvent, TopUpEvent, UserEvent, WalletEvent,
};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};

use crate::world::{Log, second};

pub const USER: &str = "user-1";
pub const SESSION: &str = "session-1";
pub const PLAN: &str = "plan-1";
pub const SUBSCRIPTION: &str = "sub-1";
pub const INSTANCE: &str = "inst-1";

pub fn details(offering: &str, variant: &str, sort_order: u16) -> PlanDetails {
    PlanDetails {
        offering: offering.to_owned(),
        variant: variant.to_owned(),
        variant_display_name: "Basic".to_owned(),
        display_name: format!("{offering} - {variant}"),
        description: "workflow automation".to_owned(),
        version: "latest".to_owned(),
        cpu_request: "0.25".to_owned(),
        cpu_limit: "1".to_owned(),
        mem_request: "512Mi".to_owned(),
        mem_limit: "1Gi".to_owned(),
        docker_image: "n8nio/n8n".to_owned(),
        container_port: 5678,
        environment: BTreeMap::from([("TZ".to_owned(), "Asia/Jakarta".to_owned())]),
        category: "automation".to_owned(),
        tags: vec!["workflow".to_owned()],
        icon: String::new(),
        features: vec!["support".to_owned()],
        sort_order,
        is_default_variant: sort_order == 2,
        volume_size: Some("250Mi".to_owned()),
        volume_mount_path: Some("/data".to_owned()),
        volume_name: None,
        storage_class: "local-path".to_owned(),
        access_mode: "ReadWriteOnce".to_owned(),
        yearly_discount_percent: 10,
    }
}

pub fn spec() -> InstanceSpec {
    InstanceSpec {
        instance_id: INSTANCE.to_owned(),
        subscription_id: SUBSCRIPTION.to_owned(),
        user_id: USER.to_owned(),
        offering: "n8n".to_owned(),
        variant: "basic".to_owned(),
        display_name: "n8n - basic".to_owned(),
        docker_image: "n8nio/n8n".to_owned(),
        container_port: 5678,
        environment: BTreeMap::new(),
        overrides: Vec::new(),
        cpu_request: "0.25".to_owned(),
        cpu_limit: "1".to_owned(),
        mem_request: "512Mi".to_owned(),
        mem_limit: "1Gi".to_owned(),
        volume_size: Some("250Mi".to_owned()),
        volume_mount_path: Some("/data".to_owned()),
        storage_class: "local-path".to_owned(),
        access_mode: "ReadWriteOnce".to_owned(),
        subdomain: "flow".to_owned(),
        hosts: Vec::new(),
        public_host: None,
        hosts_edition: 0,
    }
}

pub fn period(number: u32) -> Period {
    let start = second(i64::from(number) * 10_000);
    Period { number, start, end: start.plus_months(1, 1) }
}

impl Log {
    pub fn user(&mut self, event: impl FnOnce(Timestamp) -> UserEvent) -> &mut Self {
        self.add("user", USER, |at| Event::User(event(at)))
    }

    pub fn token(&mut self, id: &str) -> &mut Self {
        self.user(|occurred_at| UserEvent::UserApiTokenCreated {
            token_id: id.to_owned(),
            name: Sensitive::Open("deploys of Ani".to_owned()),
            scopes: vec![ApiScope::Read, ApiScope::Write],
            expires_at: second(3_600),
            occurred_at,
        })
    }

    pub fn session(&mut self, event: impl FnOnce(Timestamp) -> SessionEvent) -> &mut Self {
        self.add("session", SESSION, |at| Event::Session(event(at)))
    }

    pub fn plan(&mut self, id: &str, event: impl FnOnce(Timestamp) -> PlanEvent) -> &mut Self {
        self.add("plan", id, |at| Event::Plan(event(at)))
    }

    pub fn wallet(&mut self, event: impl FnOnce(Timestamp) -> WalletEvent) -> &mut Self {
        self.add("wallet", USER, |at| Event::Wallet(event(at)))
    }

    pub fn topup(&mut self, id: &str, event: impl FnOnce(Timestamp) -> TopUpEvent) -> &mut Self {
        self.add("topup", id, |at| Event::TopUp(event(at)))
    }

    pub fn coupon(&mut self, id: &str, event: impl FnOnce(Timestamp) -> CouponEvent) -> &mut Self {
        self.add("coupon", id, |at| Event::Coupon(event(at)))
    }

    /// A coupon of this worth, for everything, three times, once for each customer.
    pub fn offered(&mut self, id: &str, code: &str, worth: CouponKind) -> &mut Self {
        self.coupon(id, |occurred_at| CouponEvent::CouponCreated {
            code: code.to_owned(),
            name: format!("Name of {code}"),
            description: String::new(),
            worth,
            scope: CouponScope::default(),
            limits: CouponLimits { uses: 3, uses_each: 1 },
            window: CouponWindow { from: second(0), until: None },
            occurred_at,
        })
    }

    /// A use of a coupon, kept and taken.
    pub fn taken(&mut self, coupon_id: &str, worth: CouponKind, used: CouponUse) -> &mut Self {
        let (code, name) = ("CODE".to_owned(), "Name".to_owned());
        self.coupon(coupon_id, |occurred_at| CouponEvent::CouponReserved {
            used: used.clone(),
            code: code.clone(),
            name: name.clone(),
            worth,
            uses_each: 1,
            occurred_at,
        });
        let coupon_id = coupon_id.to_owned();
        self.add("coupon_use", &format!("use-of-{coupon_id}"), |occurred_at| {
            Event::CouponUses(CouponUseEvent::CouponUseTaken { coupon_id, used, code, name, worth, occurred_at })
        })
    }

    pub fn invoice(&mut self, id: &str, event: impl FnOnce(Timestamp) -> InvoiceEvent) -> &mut Self {
        self.add("invoice", id, |at| Event::Invoice(event(at)))
    }

    pub fn subscription(&mut self, id: &str, event: impl FnOnce(Timestamp) -> SubscriptionEvent) -> &mut Self {
        self.add("subscription", id, |at| Event::Subscription(event(at)))
    }

    pub fn instance(&mut self, event: impl FnOnce(Timestamp) -> InstanceEvent) -> &mut Self {
        self.add("instance", INSTANCE, |at| Event::Instance(event(at)))
    }

    pub fn registered(&mut self) -> &mut Self {
        self.user(|occurred_at| UserEvent::UserRegistered {
            name: Sensitive::Open("Ani".to_owned()),
            email: Sensitive::Open("ani@example.com".to_owned()),
            email_claim: "claim".to_owned(),
            role: Role::User,
            method: SignUpMethod::Password,
            occurred_at,
        })
        .wallet(|occurred_at| WalletEvent::WalletOpened { occurred_at })
    }

    pub fn published(&mut self, id: &str, details: PlanDetails, price: i64, capacity: i64) -> &mut Self {
        self.plan(id, |occurred_at| PlanEvent::PlanPublished {
            details,
            monthly_price: Rupiah::new(price),
            capacity: Capacity(capacity),
            occurred_at,
        })
    }

    pub fn topup_requested(&mut self, id: &str, amount: i64) -> &mut Self {
        self.topup(id, |occurred_at| TopUpEvent::TopUpRequested {
            user_id: USER.to_owned(),
            amount: Rupiah::new(amount),
            order_id: order(id, 1),
            expires_at: occurred_at.plus(std::time::Duration::from_hours(24)),
            occurred_at,
        })
    }

    pub fn topup_confirmed(&mut self, id: &str, attempt: u32, amount: i64) -> &mut Self {
        self.topup(id, |occurred_at| TopUpEvent::TopUpConfirmed {
            user_id: USER.to_owned(),
            order_id: order(id, attempt),
            amount: Rupiah::new(amount),
            payment_type: "qris".to_owned(),
            transaction_id: "gateway-1".to_owned(),
            occurred_at,
        })
    }

    pub fn credited(&mut self, topup: &str, attempt: u32, amount: i64, balance: i64) -> &mut Self {
        self.wallet(|occurred_at| WalletEvent::WalletCredited {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(balance),
            promotional: Rupiah::ZERO,
            cause: EntryCause::TopUp { topup_id: topup.to_owned(), order_id: order(topup, attempt) },
            counter_account: Account::GatewayClearing,
            occurred_at,
        })
    }

    pub fn debited(&mut self, subscription: &str, number: u32, amount: i64, balance: i64) -> &mut Self {
        self.wallet(|occurred_at| WalletEvent::WalletDebited {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(balance),
            promotional: Rupiah::ZERO,
            cause: EntryCause::SubscriptionPeriod { subscription_id: subscription.to_owned(), period: number },
            counter_account: Account::Revenue,
            occurred_at,
        })
    }

    pub fn requested(&mut self, id: &str, price: i64) -> &mut Self {
        self.subscription(id, |occurred_at| SubscriptionEvent::SubscriptionRequested {
            user_id: USER.to_owned(),
            instance_id: INSTANCE.to_owned(),
            plan: snapshot(price),
            cycle: BillingCycle::Monthly,
            subdomain: "flow".to_owned(),
            overrides: Vec::new(),
            auto_renew: true,
            coupon_id: None,
            occurred_at,
        })
    }

    pub fn charged(&mut self, id: &str, amount: i64) -> &mut Self {
        self.subscription(id, |occurred_at| SubscriptionEvent::SubscriptionCharged {
            user_id: USER.to_owned(),
            display_name: "n8n - basic".to_owned(),
            amount: Rupiah::new(amount),
            discount: Rupiah::ZERO,
            period: period(1),
            occurred_at,
        })
    }

    pub fn cancelled(&mut self, id: &str, reason: CancelReason) -> &mut Self {
        self.subscription(id, |occurred_at| SubscriptionEvent::SubscriptionCancelled {
            user_id: USER.to_owned(),
            instance_id: INSTANCE.to_owned(),
            plan_id: PLAN.to_owned(),
            offering: "n8n".to_owned(),
            subdomain: "flow".to_owned(),
            display_name: "n8n - basic".to_owned(),
            held_slot: false,
            refunded: Rupiah::ZERO,
            reason,
            returned_coupon_id: None,
            data_until: None,
            occurred_at,
        })
    }

    pub fn drafted(&mut self, id: &str, subject: InvoiceKind, amount: i64) -> &mut Self {
        self.invoice(id, |occurred_at| InvoiceEvent::InvoiceDrafted {
            user_id: USER.to_owned(),
            subject,
            lines: vec![InvoiceLine {
                description: "n8n - basic".to_owned(),
                quantity: 1,
                unit_price: Rupiah::new(amount),
                total: Rupiah::new(amount),
            }],
            total: Rupiah::new(amount),
            currency: "IDR".to_owned(),
            occurred_at,
        })
    }

    pub fn issued(&mut self, id: &str, number: &str, subject: InvoiceKind, amount: i64) -> &mut Self {
        self.invoice(id, |occurred_at| InvoiceEvent::InvoiceIssued {
            user_id: USER.to_owned(),
            number: number.to_owned(),
            subject,
            total: Rupiah::new(amount),
            terms: None,
            occurred_at,
        })
    }
}

pub fn order(topup: &str, attempt: u32) -> String {
    format!("TU-{topup}.{attempt}")
}

pub fn of_topup(topup: &str, attempt: u32) -> InvoiceKind {
    InvoiceKind::TopUp { topup_id: topup.to_owned(), order_id: order(topup, attempt), payment_type: "qris".to_owned() }
}

pub fn of_period(subscription: &str, number: u32) -> InvoiceKind {
    InvoiceKind::Subscription {
        subscription_id: subscription.to_owned(),
        display_name: "n8n - basic".to_owned(),
        period: period(number),
    }
}

fn snapshot(price: i64) -> PlanSnapshot {
    let details = details("n8n", "basic", 1);
    PlanSnapshot {
        plan_id: PLAN.to_owned(),
        offering: details.offering,
        variant: details.variant,
        display_name: details.display_name,
        price: Rupiah::new(price),
        docker_image: details.docker_image,
        container_port: details.container_port,
        environment: details.environment,
        cpu_request: details.cpu_request,
        cpu_limit: details.cpu_limit,
        mem_request: details.mem_request,
        mem_limit: details.mem_limit,
        volume_size: details.volume_size,
        volume_mount_path: details.volume_mount_path,
        storage_class: details.storage_class,
        access_mode: details.access_mode,
    }
}

/// A customer who tops up, buys and runs.
pub fn journey() -> Log {
    let mut log = Log::default();
    log.registered()
        .session(|occurred_at| SessionEvent::SessionOpened {
            user_id: USER.to_owned(),
            expires_at: second(3_600),
            occurred_at,
        })
        .session(|occurred_at| SessionEvent::SessionRotated { generation: 2, expires_at: second(7_200), occurred_at })
        .token("token-1")
        .token("token-2")
        .user(|occurred_at| UserEvent::UserApiTokenRevoked { token_id: "token-1".to_owned(), occurred_at })
        .published(PLAN, details("n8n", "basic", 1), 25_000, 3)
        .topup_requested("t1", 100_000)
        .topup("t1", |occurred_at| TopUpEvent::TopUpPaymentTokenIssued { order_id: order("t1", 1), occurred_at })
        .topup_confirmed("t1", 1, 100_000)
        .credited("t1", 1, 100_000, 100_000)
        .drafted("i1", of_topup("t1", 1), 100_000)
        .issued("i1", "INV-2027-000001", of_topup("t1", 1), 100_000)
        .requested(SUBSCRIPTION, 25_000)
        .plan(PLAN, |occurred_at| PlanEvent::PlanSlotAllocated {
            subscription_id: SUBSCRIPTION.to_owned(),
            occurred_at,
        })
        .debited(SUBSCRIPTION, 1, 25_000, 75_000)
        .charged(SUBSCRIPTION, 25_000)
        .drafted("i2", of_period(SUBSCRIPTION, 1), 25_000)
        .issued("i2", "INV-2027-000002", of_period(SUBSCRIPTION, 1), 25_000)
        .instance(|occurred_at| InstanceEvent::InstanceProvisionRequested {
            spec: spec(),
            generation: 1,
            deadline: occurred_at,
            occurred_at,
        })
        .instance(|occurred_at| InstanceEvent::InstanceObjectsApplied {
            generation: 1,
            namespace: "customer-user-1".to_owned(),
            workload: "n8n-sub-1".to_owned(),
            internal_url: "http://n8n".to_owned(),
            external_url: "https://flow.example".to_owned(),
            volume_claim: Some("data-sub-1".to_owned()),
            simulated: true,
            program: None,
            occurred_at,
        })
        .instance(|occurred_at| InstanceEvent::InstanceReady {
            subscription_id: SUBSCRIPTION.to_owned(),
            generation: 1,
            external_url: "https://flow.example".to_owned(),
            occurred_at,
        })
        .subscription(SUBSCRIPTION, |occurred_at| SubscriptionEvent::SubscriptionActivated {
            user_id: USER.to_owned(),
            display_name: "n8n - basic".to_owned(),
            period: period(1),
            anchor_day: 1,
            external_url: "https://flow.example".to_owned(),
            occurred_at,
        })
        .subscription(SUBSCRIPTION, |occurred_at| SubscriptionEvent::SubscriptionRenewalFailed {
            user_id: USER.to_owned(),
            period: 2,
            code: "wallet-insufficient-balance".to_owned(),
            life_due: None,
            occurred_at,
        });
    log
}

/// The same customer sends a bank transfer too, asks for a refund and for a smaller plan: every read model has something
/// to say about it.
pub fn machine() -> NodeFacts {
    NodeFacts {
        hostname: "worker-1.example.com".to_owned(),
        ip_address: "203.0.113.7".to_owned(),
        architecture: "amd64".to_owned(),
        operating_system: "linux".to_owned(),
        cpu_cores: 4,
        cpu_architecture: "x86_64".to_owned(),
        total_memory: "16Gi".to_owned(),
        total_storage: "200Gi".to_owned(),
        max_pods: 110,
        kubelet_version: None,
        container_runtime: None,
        kernel_version: None,
        os_image: None,
        labels: BTreeMap::new(),
        taints: Vec::new(),
    }
}

impl Log {
    pub fn node(&mut self, name: &str, make: impl FnOnce(Timestamp) -> NodeEvent) -> &mut Self {
        self.add("node", name, |at| Event::Node(make(at)))
    }

    pub fn domains(&mut self, make: impl FnOnce(Timestamp) -> CustomDomainsEvent) -> &mut Self {
        self.add("custom_domains", INSTANCE, |at| Event::CustomDomains(make(at)))
    }

    pub fn difference(&mut self, id: &str, make: impl FnOnce(Timestamp) -> DifferenceEvent) -> &mut Self {
        self.add("difference", id, |at| Event::Difference(make(at)))
    }

    /// A difference was found at the instance.
    pub fn differs(&mut self, id: &str, kind: DifferenceKind, object: Option<&str>) -> &mut Self {
        self.difference(id, |occurred_at| DifferenceEvent::DifferenceFound {
            kind,
            instance_id: Some(INSTANCE.to_owned()),
            subscription_id: Some(SUBSCRIPTION.to_owned()),
            user_id: Some(USER.to_owned()),
            object: object.map(str::to_owned),
            detail: "nothing of it runs".to_owned(),
            deadline: occurred_at.plus(std::time::Duration::from_hours(4)),
            occurred_at,
        })
    }

    /// A host was asked for.
    pub fn asked_for(&mut self, host: &str) -> &mut Self {
        self.domains(|occurred_at| CustomDomainsEvent::CustomDomainRequested {
            subscription_id: SUBSCRIPTION.to_owned(),
            user_id: USER.to_owned(),
            host: host.to_owned(),
            challenge: "c1".to_owned(),
            expires_at: occurred_at.plus(std::time::Duration::from_hours(24)),
            occurred_at,
        })
    }

    /// A token was made, and a machine joined with it.
    pub fn joined(&mut self, token: &str, name: &str) -> &mut Self {
        self.add("join_token", token, |occurred_at| {
            let expires_at = occurred_at.plus(std::time::Duration::from_hours(1));
            let (hash, label) = ("h".to_owned(), "rack 2".to_owned());
            Event::JoinToken(JoinTokenEvent::JoinTokenIssued { hash, label, expires_at, occurred_at })
        })
        .add("join_token", token, |occurred_at| {
            let (node, key_hash) = (name.to_owned(), format!("key-of-{token}"));
            Event::JoinToken(JoinTokenEvent::JoinTokenUsed { node, facts: Box::new(machine()), key_hash, occurred_at })
        })
        .node(name, |occurred_at| {
            let (key_hash, token_id) = (format!("key-of-{token}"), token.to_owned());
            NodeEvent::NodeRegistered { facts: machine(), key_hash, token_id, occurred_at }
        })
    }
}

pub fn whole_journey() -> Log {
    let mut log = journey();
    let worth = CouponKind::Credit { amount: Rupiah::new(20_000) };
    let redeemed = CouponUse { use_id: "u1".to_owned(), user_id: USER.to_owned(), purpose: CouponPurpose::Redemption };
    log.offered("c1", "TOPUP20K", worth).taken("c1", worth, redeemed);
    log.add("manual_topup", "m1", |occurred_at| {
        let proof = Proof { digest: "0".repeat(64), media_type: "image/png".to_owned(), size: 1_024 };
        Event::ManualTopUp(ManualTopUpEvent::ManualTopUpRequested {
            user_id: USER.to_owned(),
            amount: Rupiah::new(50_000),
            place: 1,
            proof,
            occurred_at,
        })
    })
    .topup("t1", |occurred_at| TopUpEvent::TopUpRefundOpened {
        user_id: USER.to_owned(),
        order_id: order("t1", 1),
        refund_key: "RF-t1-01".to_owned(),
        amount: Rupiah::new(10_000),
        method: RefundMethod::Gateway,
        payment_type: "qris".to_owned(),
        reason: Sensitive::Open("paid twice by mistake".to_owned()),
        requested_by: "admin-1".to_owned(),
        needs_approval: false,
        occurred_at,
    })
    .subscription(SUBSCRIPTION, |occurred_at| SubscriptionEvent::SubscriptionDowngradeScheduled {
        user_id: USER.to_owned(),
        change: 1,
        from: snapshot(25_000),
        to: PlanSnapshot { plan_id: "plan-0".to_owned(), ..snapshot(15_000) },
        at: period(1).end,
        reason: None,
        occurred_at,
    })
    .joined("t-1", "worker-1")
    .asked_for("shop.example.com")
    .differs("paid-not-running-inst-1", DifferenceKind::PaidNotRunning, None);
    log
}
