//! What befalls the installation: SIGKILL for everybody in turn, and a relay that freezes while others die.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use minispod_e2e::World;
use minispod_testkit::eventually;

use super::{clients::Tally, draw::Draw};

/// Everybody who is killed.
pub const VICTIMS: [&str; 8] = ["api", "relay", "relay-2", "projector", "billing", "provisioner", "mailer", "nats"];
/// The relay that freezes.
const ZOMBIE: &str = "relay-2";
/// Kills of others while the zombie is frozen.
const DEATHS_BESIDE: u32 = 4;
/// The pace of kills is random: at least this long between two, and up to `PACE_SPREAD` longer.
const PACE: Duration = Duration::from_millis(300);
const PACE_SPREAD: u64 = 1_200;
/// A killed role or server stays away for a random time below this, in milliseconds.
const AWAY: u64 = 400;
/// How long writers may take to show that they go on beside a frozen relay.
const WRITERS_LIMIT: Duration = Duration::from_secs(20);

/// What was done while clients were at work.
#[derive(Debug, Default)]
pub struct Done {
    /// Kills while at least one command was in flight.
    pub kills: BTreeMap<&'static str, u32>,
    /// For each freeze: kills of others, and commands accepted meanwhile.
    pub freezes: Vec<(u32, u64)>,
    /// Roles that ended without being killed.
    pub ended: Vec<String>,
}

/// A freeze that goes on.
struct Freeze {
    kills: u32,
    accepted_before: u64,
}

/// Kills, freezes and starts again until the clients are done.
pub async fn havoc(world: &mut World, draw: &mut Draw, tally: &Tally, over: &AtomicBool) -> Done {
    let mut done = Done::default();
    // Like a deck of cards: random, and yet everybody's turn comes.
    let mut deck: Vec<&'static str> = Vec::new();
    let mut frozen: Option<Freeze> = None;
    loop {
        tokio::time::sleep(PACE + Duration::from_millis(draw.below(PACE_SPREAD))).await;
        if over.load(Ordering::SeqCst) {
            break;
        }
        done.ended.extend(ended(world));
        if deck.is_empty() {
            deck = [VICTIMS.as_slice(), &["freeze"]].concat();
        }
        let card = deck.swap_remove(usize::try_from(draw.below(deck.len() as u64)).unwrap_or_default());
        match card {
            "freeze" if frozen.is_none() => {
                world.role(ZOMBIE).freeze();
                frozen = Some(Freeze { kills: 0, accepted_before: tally.accepted.load(Ordering::SeqCst) });
                continue;
            }
            // A frozen process is killed when it is its turn again.
            "freeze" | ZOMBIE if frozen.is_some() => continue,
            victim => kill(world, draw, victim, tally, &mut done).await,
        }
        if let Some(freeze) = &mut frozen {
            freeze.kills += 1;
        }
        if let Some(freeze) = frozen.take_if(|freeze| freeze.kills >= DEATHS_BESIDE) {
            done.freezes.extend(thaw(world, &freeze, tally, over).await);
        }
    }
    world.role(ZOMBIE).thaw();
    done.ended.extend(ended(world));
    done
}

async fn kill(world: &mut World, draw: &mut Draw, victim: &'static str, tally: &Tally, done: &mut Done) {
    if tally.in_flight.load(Ordering::SeqCst) > 0 {
        *done.kills.entry(victim).or_default() += 1;
    }
    if victim == "nats" {
        world.nats.kill().await;
        tokio::time::sleep(Duration::from_millis(draw.below(AWAY))).await;
        world.nats.restart().await;
    } else {
        world.role(victim).kill();
        tokio::time::sleep(Duration::from_millis(draw.below(AWAY))).await;
        world.start_role(victim.trim_end_matches("-2"), victim);
    }
}

/// A relay that sleeps in the middle of whatever it does must not stop the writers. `None`: there were none left.
async fn thaw(world: &mut World, freeze: &Freeze, tally: &Tally, over: &AtomicBool) -> Option<(u32, u64)> {
    let accepted = || tally.accepted.load(Ordering::SeqCst) - freeze.accepted_before;
    let went_on = eventually(WRITERS_LIMIT, || async { accepted() > 0 || over.load(Ordering::SeqCst) });
    assert!(went_on.await, "no command was accepted while a relay was frozen");
    let meanwhile = accepted();
    world.role(ZOMBIE).thaw();
    (meanwhile > 0).then_some((freeze.kills, meanwhile))
}

/// Roles that are gone though nobody killed them.
pub fn ended(world: &mut World) -> Vec<String> {
    let labels: Vec<String> = world.roles.keys().cloned().collect();
    let gone = labels.into_iter().filter(|label| world.role(label).has_ended());
    gone.collect::<Vec<_>>().into_iter().map(|label| format!("{label}: {}", world.role(&label).last_words())).collect()
}
