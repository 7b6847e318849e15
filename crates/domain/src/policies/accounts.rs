//! What follows from accounts: a wallet, a welcome, a place in the roster.

use minispod_events::{AdminRosterEvent, MailTemplate, Role, SignUpMethod, UserEvent};
use minispod_kernel::Timestamp;

use super::{Reaction, coupons, differences, documents::mail};
use crate::{AdminRosterCommand, AnyCommand, UserCommand, WalletCommand, admin_roster::ADMINISTRATORS};

pub fn after_user(user_id: &str, event: &UserEvent) -> Vec<Reaction> {
    match event {
        UserEvent::UserRegistered { role, method, occurred_at, .. } => {
            let wallet = Reaction::new("open-wallet", user_id, AnyCommand::Wallet(WalletCommand::Open)).inline();
            let welcome = mail("welcome-mail", &["welcome", user_id], user_id, MailTemplate::Welcome);
            // Google and operators know whom they vouch for.
            let verify = (*method == SignUpMethod::Password).then(|| verify_mail(user_id, *occurred_at));
            [wallet, welcome].into_iter().chain(verify).chain(enrol(user_id, *role)).collect()
        }
        UserEvent::UserProfileChanged { email_claim: Some(_), occurred_at, .. }
        | UserEvent::UserEmailVerificationRequested { occurred_at } => vec![verify_mail(user_id, *occurred_at)],
        UserEvent::UserPasswordResetRequested { occurred_at, .. } => {
            let cause = ["reset-password", user_id, &occurred_at.to_string()];
            vec![mail("reset-password-mail", &cause, user_id, MailTemplate::ResetPassword)]
        }
        // A bare registration costs nobody anything, so it earns nothing yet.
        UserEvent::UserEmailVerified { again: false, .. } => vec![coupons::greet(user_id)],
        UserEvent::UserRoleChanged { role, .. } => enrol(user_id, *role).into_iter().collect(),
        UserEvent::UserPasswordChanged { .. }
        | UserEvent::UserProfileChanged { .. }
        | UserEvent::UserDeactivated { .. }
        | UserEvent::UserReactivated { .. }
        | UserEvent::UserForgotten { .. }
        | UserEvent::UserEmailVerified { again: true, .. }
        | UserEvent::UserPasswordReset { .. }
        | UserEvent::UserGoogleLinked { .. }
        | UserEvent::UserGoogleUnlinked { .. }
        | UserEvent::UserTwoFactorEnabled { .. }
        | UserEvent::UserTwoFactorDisabled { .. }
        | UserEvent::UserOneTimeCodeAccepted { .. }
        | UserEvent::UserRecoveryCodeUsed { .. }
        | UserEvent::UserApiTokenCreated { .. }
        | UserEvent::UserApiTokenRevoked { .. }
        | UserEvent::UserImpersonated { .. } => Vec::new(),
    }
}

pub fn after_roster(event: &AdminRosterEvent) -> Vec<Reaction> {
    match event {
        AdminRosterEvent::AdministratorAdded { .. } => Vec::new(),
        AdminRosterEvent::AdministratorsAlerted { user_ids, alert, occurred_at } => {
            differences::alert(user_ids, alert, *occurred_at)
        }
        AdminRosterEvent::AdministratorRemoved { user_id, reason, .. } => {
            let command = UserCommand::WithdrawRole { reason: reason.clone() };
            vec![Reaction::new("withdraw-role", user_id, AnyCommand::User(command)).inline()]
        }
    }
}

/// One mail for each time that an address waits for its proof.
fn verify_mail(user_id: &str, at: Timestamp) -> Reaction {
    let cause = ["verify-email", user_id, &at.to_string()];
    mail("verify-email-mail", &cause, user_id, MailTemplate::VerifyEmail)
}

fn enrol(user_id: &str, role: Role) -> Option<Reaction> {
    let command = AnyCommand::AdminRoster(AdminRosterCommand::Add { user_id: user_id.to_owned() });
    (role == Role::Administrator).then(|| Reaction::new("add-administrator", ADMINISTRATORS, command).inline())
}
