//! The people, plans and words of the walks.

use std::time::Duration;

use minispod_events::{BillingCycle, CancelReason, Capacity, PlanDetails, Role, SignUpMethod};
use minispod_kernel::{Rupiah, Sensitive};

use crate::{
    AnyCommand, InstanceCommand, PlanCommand, SubscriptionCommand, TopUpCommand, UserCommand, WalletCommand,
    memory_bus::{MemoryBus, Order, Refused},
    plan::details,
    story::noon,
};

pub const ANI: &str = "ani";
pub const PLAN: &str = "plan";
pub const PRICE: i64 = 25_000;

/// A plan of `capacity` slots and a customer with an empty wallet.
pub fn shop(price: i64, capacity: i64) -> MemoryBus {
    let mut bus = MemoryBus::new(noon());
    open(&mut bus, price, capacity);
    bus
}

/// The same, where nothing protects the domain but itself.
pub fn forgetful_shop(price: i64, capacity: i64) -> MemoryBus {
    let mut bus = MemoryBus::new(noon()).forgetful();
    open(&mut bus, price, capacity);
    bus
}

fn open(bus: &mut MemoryBus, price: i64, capacity: i64) {
    let publish =
        PlanCommand::Publish { details: n8n(), monthly_price: Rupiah::new(price), capacity: Capacity(capacity) };
    bus.ask("publish", PLAN, AnyCommand::Plan(publish)).expect("published");
    register(bus, ANI, Role::User);
}

pub fn n8n() -> PlanDetails {
    details::tests::n8n()
}

pub fn register(bus: &mut MemoryBus, id: &str, role: Role) {
    let command = UserCommand::Register {
        name: Sensitive::Forgotten,
        email: Sensitive::Forgotten,
        email_claim: format!("claim-{id}"),
        role,
        method: SignUpMethod::Password,
    };
    bus.ask(&format!("register-{id}"), id, AnyCommand::User(command)).expect("registered");
    bus.settle(Order::InTurn);
}

/// Money by hand, so that these walks need no gateway.
pub fn give(bus: &mut MemoryBus, id: &str, amount: i64) {
    let key = format!("gift-{}", bus.log().len());
    let cause = minispod_events::EntryCause::Adjustment { key: key.clone(), reason: "test".into() };
    let command = WalletCommand::Adjust { amount: Rupiah::new(amount), cause };
    bus.ask(&key, id, AnyCommand::Wallet(command)).expect("given");
}

pub fn request(bus: &mut MemoryBus, id: &str, user: &str, price: i64) -> Result<(), Refused> {
    bus.ask(&format!("request-{id}"), id, request_command(id, user, price)).map(|_| ())
}

pub fn request_command(id: &str, user: &str, price: i64) -> AnyCommand {
    let plan = details::snapshot(PLAN, &n8n(), Rupiah::new(price), BillingCycle::Monthly).expect("counts");
    AnyCommand::Subscription(SubscriptionCommand::Request {
        user_id: user.to_owned(),
        instance_id: instance_of(id),
        plan,
        cycle: BillingCycle::Monthly,
        subdomain: format!("{id}-flows"),
        overrides: Vec::new(),
        auto_renew: true,
        coupon_id: None,
    })
}

pub fn subscription(bus: &mut MemoryBus, key: &str, id: &str, command: SubscriptionCommand) -> Result<(), Refused> {
    bus.ask(key, id, AnyCommand::Subscription(command)).map(|_| ())
}

pub fn cancel(bus: &mut MemoryBus, id: &str) {
    let reason = CancelReason::Customer { text: Sensitive::Open("enough".into()) };
    subscription(bus, &format!("cancel-{id}"), id, SubscriptionCommand::Cancel { reason }).expect("cancelled");
}

/// The cluster's report about the instance of subscription `id`.
pub fn report(bus: &mut MemoryBus, id: &str, command: InstanceCommand) -> Result<(), Refused> {
    let key = format!("report-{}", bus.log().len());
    bus.tell(&key, &instance_of(id), AnyCommand::Instance(command)).map(|_| ())
}

/// The cluster took the objects of subscription `id` and they run.
pub fn becomes_ready(bus: &mut MemoryBus, id: &str) -> Result<(), Refused> {
    let applied = InstanceCommand::RecordApplied {
        generation: 1,
        namespace: format!("customer-{ANI}"),
        workload: "w".into(),
        internal_url: "http://flows".into(),
        external_url: "https://flows".into(),
        volume_claim: None,
        simulated: true,
        program: None,
    };
    report(bus, id, applied)?;
    report(bus, id, InstanceCommand::RecordReady { generation: 1, external_url: "https://flows".into() })
}

pub fn top_up(bus: &mut MemoryBus, id: &str, amount: i64) {
    let expires_at = noon().plus(Duration::from_hours(24));
    let command = TopUpCommand::Request { user_id: ANI.into(), amount: Rupiah::new(amount), expires_at };
    bus.ask(&format!("top-up-{id}"), id, AnyCommand::TopUp(command)).expect("requested");
}

pub fn instance_of(id: &str) -> String {
    format!("{id}-instance")
}

pub fn balance(bus: &MemoryBus) -> i64 {
    bus.wallet(ANI).balance().amount()
}

/// `(used slots)` by the events and by the claims: they must agree.
pub fn used_slots(bus: &MemoryBus, ids: &[&str]) -> usize {
    let used = bus.count("PlanSlotAllocated") - bus.count("PlanSlotReleased");
    let held = ids.iter().filter(|id| bus.holder(&format!("slot/{PLAN}/{id}")).is_some()).count();
    assert_eq!(used, held, "slots by events and by claims");
    used
}

/// The names of the events of subscription `id`, without their prefix.
pub fn steps(bus: &MemoryBus, id: &str) -> Vec<&'static str> {
    bus.names("subscription", id).into_iter().map(|name| name.trim_start_matches("Subscription")).collect()
}
