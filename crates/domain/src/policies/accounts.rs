//! What follows from accounts: a wallet, a welcome, a place in the roster.

use minispod_events::{AdminRosterEvent, MailTemplate, Role, UserEvent};

use super::{Reaction, documents::mail};
use crate::{AdminRosterCommand, AnyCommand, UserCommand, WalletCommand, admin_roster::ADMINISTRATORS};

pub fn after_user(user_id: &str, event: &UserEvent) -> Vec<Reaction> {
    match event {
        UserEvent::UserRegistered { role, .. } => {
            let wallet = Reaction::new("open-wallet", user_id, AnyCommand::Wallet(WalletCommand::Open)).inline();
            let welcome = mail("welcome-mail", &["welcome", user_id], user_id, MailTemplate::Welcome);
            [wallet, welcome].into_iter().chain(enrol(user_id, *role)).collect()
        }
        UserEvent::UserRoleChanged { role, .. } => enrol(user_id, *role).into_iter().collect(),
        UserEvent::UserPasswordChanged { .. }
        | UserEvent::UserProfileChanged { .. }
        | UserEvent::UserDeactivated { .. }
        | UserEvent::UserReactivated { .. }
        | UserEvent::UserForgotten { .. } => Vec::new(),
    }
}

pub fn after_roster(event: &AdminRosterEvent) -> Vec<Reaction> {
    match event {
        AdminRosterEvent::AdministratorAdded { .. } => Vec::new(),
        AdminRosterEvent::AdministratorRemoved { user_id, reason, .. } => {
            let command = UserCommand::WithdrawRole { reason: reason.clone() };
            vec![Reaction::new("withdraw-role", user_id, AnyCommand::User(command)).inline()]
        }
    }
}

fn enrol(user_id: &str, role: Role) -> Option<Reaction> {
    let command = AnyCommand::AdminRoster(AdminRosterCommand::Add { user_id: user_id.to_owned() });
    (role == Role::Administrator).then(|| Reaction::new("add-administrator", ADMINISTRATORS, command).inline())
}
