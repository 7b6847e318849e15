//! What must be there before the roles are useful: schema, streams, catalogue, administrator.

use minispod_events::Role;
use minispod_messaging::topology::Lowering;

use super::{UpError, local::Local};
use crate::{
    roles::{self, Parts},
    seed::{self, NewAccount},
    state::{Credentials, StateDir},
};

const ADMIN_EMAIL: &str = "admin@minispod.localhost";
/// Where the administrator is kept.
pub(super) const ADMIN_FILE: &str = "administrator.json";

/// Migrates, applies `nats/`, connects.
pub(super) async fn database_and_streams(
    config: &crate::config::Config,
    say: &(impl Fn(&str) + Send + Sync),
) -> Result<Parts, UpError> {
    config.check().map_err(crate::state::StateError::from)?;
    roles::migrate(config).await?;
    say("the database schema is up to date");
    roles::apply_topology(config, Lowering::Refused).await?;
    say("streams and consumers are applied");
    Ok(Parts::connect(config.clone()).await?)
}

/// The catalogue and the first administrator; both are left alone when they are there. Whether he is new is said too.
pub(super) async fn first_data(
    parts: &Parts,
    state: &StateDir,
    local: &Local,
    say: &(impl Fn(&str) + Send + Sync),
) -> Result<(Credentials, bool), UpError> {
    let plans = roles::seed_catalogue(parts).await?;
    say(&format!("the catalogue has {plans} plans to start with"));
    if let Some(mut credentials) = state.read_json::<Credentials>(ADMIN_FILE)? {
        credentials.url.clone_from(&local.url);
        state.write_json(ADMIN_FILE, &credentials)?;
        return Ok((credentials, false));
    }
    let mut bytes = [0_u8; 9];
    parts.ids.random(&mut bytes);
    let credentials = Credentials {
        url: local.url.clone(),
        email: ADMIN_EMAIL.into(),
        password: format!("A{}!z1", hex::encode(bytes)),
    };
    let account = NewAccount {
        name: "Administrator".into(),
        email: credentials.email.clone(),
        password: credentials.password.clone(),
        role: Role::Administrator,
    };
    seed::account(&parts.store, &parts.dispatcher, &parts.hasher, account).await?;
    state.write_json(ADMIN_FILE, &credentials)?;
    say("the administrator is made");
    Ok((credentials, true))
}
