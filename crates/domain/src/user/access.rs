//! What an account's owner can prove: a confirmed address, a mailed link, a second factor, API tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use minispod_events::{ApiScope, Role, UserEvent};
use minispod_kernel::{Sensitive, Timestamp};
use serde::{Deserialize, Serialize};

use super::UserRefusal;

/// How long a mailed link may set a new password.
pub const RESET_LIFE: Duration = Duration::from_hours(1);
/// How long a mailed link may verify an address.
pub const VERIFY_LIFE: Duration = Duration::from_hours(24);
/// Most API tokens of one account that are neither revoked nor expired.
pub const API_TOKENS_MAX: usize = 20;
/// Longest life of an API token.
pub const API_TOKEN_LIFE_MAX: Duration = Duration::from_hours(366 * 24);
/// Recovery codes of one account, numbered from 0.
pub const RECOVERY_CODES: u8 = 10;

/// State: only what refusals need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Access {
    email_verified: bool,
    /// Some address was proved before, perhaps another.
    was_verified: bool,
    /// Until when a mailed link may set a new password.
    reset_until: Option<Timestamp>,
    two_factor: Option<TwoFactor>,
    /// Tokens that are not revoked, and when they end.
    api_tokens: BTreeMap<String, Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct TwoFactor {
    /// Of the last code that was accepted: it and those before it count no more.
    last_step: u64,
    used: BTreeSet<u8>,
}

/// A second factor whose secret the edge has checked; whether it still counts is decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum SecondFactor {
    /// A one-time code, by the time step it belongs to.
    Code {
        step: u64,
    },
    RecoveryCode {
        number: u8,
    },
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "access", rename_all = "snake_case")]
pub enum AccessCommand {
    RequestEmailVerification,
    /// The edge has checked the mailed link.
    VerifyEmail,
    RequestPasswordReset,
    /// The edge has checked the mailed link; the new hash travels beside the command into the vault.
    ResetPassword,
    /// `step` is the first code's; secret and recovery codes travel beside the command into the vault.
    EnableTwoFactor {
        step: u64,
    },
    UseSecondFactor {
        factor: SecondFactor,
    },
    DisableTwoFactor {
        factor: SecondFactor,
    },
    /// The token's hash travels beside the command into the vault.
    CreateApiToken {
        token_id: String,
        name: Sensitive<String>,
        scopes: BTreeSet<ApiScope>,
        expires_at: Timestamp,
    },
    RevokeApiToken {
        token_id: String,
    },
}

impl Access {
    pub(super) fn decide(
        &self,
        command: AccessCommand,
        role: Role,
        occurred_at: Timestamp,
    ) -> Result<Vec<UserEvent>, UserRefusal> {
        match command {
            AccessCommand::RequestEmailVerification | AccessCommand::VerifyEmail if self.email_verified => {
                Ok(Vec::new())
            }
            AccessCommand::RequestEmailVerification => {
                Ok(vec![UserEvent::UserEmailVerificationRequested { occurred_at }])
            }
            AccessCommand::VerifyEmail => Ok(vec![self.verified(occurred_at)]),
            AccessCommand::RequestPasswordReset => {
                let expires_at = occurred_at.plus(RESET_LIFE);
                Ok(vec![UserEvent::UserPasswordResetRequested { expires_at, occurred_at }])
            }
            AccessCommand::ResetPassword => self.reset(occurred_at),
            AccessCommand::EnableTwoFactor { .. } if self.two_factor.is_some() => Err(UserRefusal::TwoFactorOn),
            AccessCommand::EnableTwoFactor { step } => Ok(vec![UserEvent::UserTwoFactorEnabled { step, occurred_at }]),
            AccessCommand::UseSecondFactor { factor } => Ok(vec![self.spend(factor, occurred_at)?]),
            AccessCommand::DisableTwoFactor { factor } => {
                Ok(vec![self.spend(factor, occurred_at)?, UserEvent::UserTwoFactorDisabled { occurred_at }])
            }
            AccessCommand::CreateApiToken { token_id, name, scopes, expires_at } => {
                self.may_have_token(role, &scopes, expires_at, occurred_at)?;
                let scopes = scopes.into_iter().collect();
                Ok(vec![UserEvent::UserApiTokenCreated { token_id, name, scopes, expires_at, occurred_at }])
            }
            AccessCommand::RevokeApiToken { token_id } if self.api_tokens.contains_key(&token_id) => {
                Ok(vec![UserEvent::UserApiTokenRevoked { token_id, occurred_at }])
            }
            AccessCommand::RevokeApiToken { .. } => Err(UserRefusal::NoSuchToken),
        }
    }

    const fn verified(&self, occurred_at: Timestamp) -> UserEvent {
        UserEvent::UserEmailVerified { again: self.was_verified, occurred_at }
    }

    /// Who reads the address's mail has confirmed it.
    fn reset(&self, occurred_at: Timestamp) -> Result<Vec<UserEvent>, UserRefusal> {
        if self.reset_until.is_none_or(|end| end <= occurred_at) {
            return Err(UserRefusal::NoReset);
        }
        let verified = (!self.email_verified).then(|| self.verified(occurred_at));
        Ok([UserEvent::UserPasswordReset { occurred_at }].into_iter().chain(verified).collect())
    }

    /// A code counts once, and none before it any more.
    fn spend(&self, factor: SecondFactor, occurred_at: Timestamp) -> Result<UserEvent, UserRefusal> {
        let two_factor = self.two_factor.as_ref().ok_or(UserRefusal::TwoFactorOff)?;
        match factor {
            SecondFactor::Code { step } if step > two_factor.last_step => {
                Ok(UserEvent::UserOneTimeCodeAccepted { step, occurred_at })
            }
            SecondFactor::RecoveryCode { number } if number < RECOVERY_CODES && !two_factor.used.contains(&number) => {
                Ok(UserEvent::UserRecoveryCodeUsed { number, occurred_at })
            }
            SecondFactor::Code { .. } | SecondFactor::RecoveryCode { .. } => Err(UserRefusal::FactorUsed),
        }
    }

    fn may_have_token(
        &self,
        role: Role,
        scopes: &BTreeSet<ApiScope>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), UserRefusal> {
        if scopes.is_empty() {
            return Err(UserRefusal::NoScope);
        }
        if scopes.contains(&ApiScope::Admin) && role != Role::Administrator {
            return Err(UserRefusal::ScopeBeyondRole);
        }
        if expires_at <= now || expires_at > now.plus(API_TOKEN_LIFE_MAX) {
            return Err(UserRefusal::TokenLife);
        }
        let live = self.api_tokens.values().filter(|end| **end > now).count();
        if live >= API_TOKENS_MAX { Err(UserRefusal::TooManyTokens) } else { Ok(()) }
    }

    pub(super) fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserEmailVerified { .. } => {
                self.email_verified = true;
                self.was_verified = true;
            }
            UserEvent::UserProfileChanged { email_claim: Some(_), .. } => {
                self.email_verified = false;
                // The link went to the former address.
                self.reset_until = None;
            }
            UserEvent::UserPasswordResetRequested { expires_at, .. } => self.reset_until = Some(*expires_at),
            UserEvent::UserPasswordReset { .. } | UserEvent::UserPasswordChanged { .. } => self.reset_until = None,
            UserEvent::UserTwoFactorEnabled { step, .. } => {
                self.two_factor = Some(TwoFactor { last_step: *step, used: BTreeSet::new() });
            }
            UserEvent::UserTwoFactorDisabled { .. } => self.two_factor = None,
            UserEvent::UserOneTimeCodeAccepted { step, .. } => {
                if let Some(two_factor) = &mut self.two_factor {
                    two_factor.last_step = *step;
                }
            }
            UserEvent::UserRecoveryCodeUsed { number, .. } => {
                if let Some(two_factor) = &mut self.two_factor {
                    two_factor.used.insert(*number);
                }
            }
            UserEvent::UserApiTokenCreated { token_id, expires_at, occurred_at, .. } => {
                self.api_tokens.retain(|_, end| *end > *occurred_at);
                self.api_tokens.insert(token_id.clone(), *expires_at);
            }
            UserEvent::UserApiTokenRevoked { token_id, .. } => {
                self.api_tokens.remove(token_id);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        User, UserCommand,
        story::{given, noon},
        user::tests::{change_email, deactivated, registered},
    };

    fn ask(command: AccessCommand) -> UserCommand {
        UserCommand::Access(command)
    }

    fn past(events: Vec<UserEvent>) -> Vec<UserEvent> {
        [vec![registered(Role::User)], events].concat()
    }

    fn verified() -> UserEvent {
        UserEvent::UserEmailVerified { again: false, occurred_at: noon() }
    }

    fn moved() -> UserEvent {
        given::<User>(past(Vec::new())).when(change_email("b2")).events().remove(0)
    }

    #[test]
    fn an_address_is_verified_once_and_another_one_anew() {
        let (ask_for_it, verify) = (ask(AccessCommand::RequestEmailVerification), ask(AccessCommand::VerifyEmail));
        given::<User>(past(Vec::new()))
            .when(ask_for_it.clone())
            .then(vec![UserEvent::UserEmailVerificationRequested { occurred_at: noon() }]);
        given::<User>(past(Vec::new())).when(verify.clone()).then(vec![verified()]);
        given::<User>(past(vec![verified()])).when(verify.clone()).then_nothing();
        given::<User>(past(vec![verified()])).when(ask_for_it).then_nothing();
        let again = UserEvent::UserEmailVerified { again: true, occurred_at: noon() };
        given::<User>(past(vec![verified(), moved()])).when(verify).then(vec![again]);
    }

    fn reset_requested() -> UserEvent {
        UserEvent::UserPasswordResetRequested { expires_at: noon().plus(RESET_LIFE), occurred_at: noon() }
    }

    fn reset() -> UserEvent {
        UserEvent::UserPasswordReset { occurred_at: noon() }
    }

    #[test]
    fn a_password_is_reset_once_per_request_and_within_its_time() {
        let set = ask(AccessCommand::ResetPassword);
        given::<User>(past(Vec::new())).when(ask(AccessCommand::RequestPasswordReset)).then(vec![reset_requested()]);
        given::<User>(past(vec![verified(), reset_requested()])).when(set.clone()).then(vec![reset()]);
        given::<User>(past(Vec::new())).when(set.clone()).then_refused(UserRefusal::NoReset);
        given::<User>(past(vec![reset_requested()]))
            .at(noon().plus(RESET_LIFE))
            .when(set.clone())
            .then_refused(UserRefusal::NoReset);
        let changed = UserEvent::UserPasswordChanged { occurred_at: noon() };
        for over in [reset(), changed, moved()] {
            given::<User>(past(vec![reset_requested(), over])).when(set.clone()).then_refused(UserRefusal::NoReset);
        }
    }

    #[test]
    fn who_resets_by_mail_has_shown_to_read_it() {
        given::<User>(past(vec![reset_requested()]))
            .when(ask(AccessCommand::ResetPassword))
            .then(vec![reset(), verified()]);
    }

    #[test]
    fn a_deactivated_account_proves_nothing() {
        for command in [AccessCommand::RequestPasswordReset, AccessCommand::VerifyEmail, AccessCommand::ResetPassword] {
            given::<User>(past(vec![reset_requested(), deactivated()]))
                .when(ask(command))
                .then_refused(UserRefusal::Deactivated);
        }
    }

    fn enabled() -> UserEvent {
        UserEvent::UserTwoFactorEnabled { step: 100, occurred_at: noon() }
    }

    fn code(step: u64) -> UserCommand {
        ask(AccessCommand::UseSecondFactor { factor: SecondFactor::Code { step } })
    }

    fn recovery(number: u8) -> UserCommand {
        ask(AccessCommand::UseSecondFactor { factor: SecondFactor::RecoveryCode { number } })
    }

    #[test]
    fn a_one_time_code_counts_once_and_no_older_one_after_it() {
        let accepted = UserEvent::UserOneTimeCodeAccepted { step: 101, occurred_at: noon() };
        given::<User>(past(vec![enabled()])).when(code(101)).then(vec![accepted.clone()]);
        given::<User>(past(vec![enabled()])).when(code(100)).then_refused(UserRefusal::FactorUsed);
        for step in [100, 101] {
            given::<User>(past(vec![enabled(), accepted.clone()]))
                .when(code(step))
                .then_refused(UserRefusal::FactorUsed);
        }
        given::<User>(past(Vec::new())).when(code(101)).then_refused(UserRefusal::TwoFactorOff);
    }

    #[test]
    fn a_recovery_code_counts_once_until_there_are_new_ones() {
        let used = |number| UserEvent::UserRecoveryCodeUsed { number, occurred_at: noon() };
        given::<User>(past(vec![enabled()])).when(recovery(9)).then(vec![used(9)]);
        given::<User>(past(vec![enabled(), used(9)])).when(recovery(9)).then_refused(UserRefusal::FactorUsed);
        given::<User>(past(vec![enabled()])).when(recovery(10)).then_refused(UserRefusal::FactorUsed);
        given::<User>(past(vec![enabled(), used(9)])).when(code(101)).events();
        let off = UserEvent::UserTwoFactorDisabled { occurred_at: noon() };
        given::<User>(past(vec![enabled(), used(9), off, enabled()])).when(recovery(9)).then(vec![used(9)]);
    }

    #[test]
    fn two_factor_sign_in_is_switched_on_once_and_off_with_a_code_only() {
        let on = ask(AccessCommand::EnableTwoFactor { step: 100 });
        given::<User>(past(Vec::new())).when(on.clone()).then(vec![enabled()]);
        given::<User>(past(vec![enabled()])).when(on).then_refused(UserRefusal::TwoFactorOn);
        let off = |step| ask(AccessCommand::DisableTwoFactor { factor: SecondFactor::Code { step } });
        given::<User>(past(vec![enabled()])).when(off(101)).then(vec![
            UserEvent::UserOneTimeCodeAccepted { step: 101, occurred_at: noon() },
            UserEvent::UserTwoFactorDisabled { occurred_at: noon() },
        ]);
        given::<User>(past(vec![enabled()])).when(off(100)).then_refused(UserRefusal::FactorUsed);
        given::<User>(past(Vec::new())).when(off(101)).then_refused(UserRefusal::TwoFactorOff);
    }

    fn token(id: &str, scopes: &[ApiScope], life: Duration) -> UserCommand {
        ask(AccessCommand::CreateApiToken {
            token_id: id.to_owned(),
            name: Sensitive::Open("deploys".into()),
            scopes: scopes.iter().copied().collect(),
            expires_at: noon().plus(life),
        })
    }

    fn created(id: &str) -> UserEvent {
        let command = token(id, &[ApiScope::Read], Duration::from_hours(24));
        given::<User>(past(Vec::new())).when(command).events().remove(0)
    }

    #[test]
    fn an_api_token_has_scopes_within_the_role_and_an_end() {
        let day = Duration::from_hours(24);
        given::<User>(past(Vec::new())).when(token("t", &[], day)).then_refused(UserRefusal::NoScope);
        let admin = [ApiScope::Read, ApiScope::Admin];
        given::<User>(past(Vec::new())).when(token("t", &admin, day)).then_refused(UserRefusal::ScopeBeyondRole);
        assert_eq!(
            given::<User>(vec![registered(Role::Administrator)]).when(token("t", &admin, day)).events().len(),
            1
        );
        for life in [Duration::ZERO, API_TOKEN_LIFE_MAX + Duration::from_secs(1)] {
            given::<User>(past(Vec::new()))
                .when(token("t", &[ApiScope::Read], life))
                .then_refused(UserRefusal::TokenLife);
        }
    }

    #[test]
    fn there_are_only_so_many_tokens_and_those_that_are_over_do_not_count() {
        let full: Vec<UserEvent> = (0..API_TOKENS_MAX).map(|n| created(&format!("t{n}"))).collect();
        let one_more = token("one-more", &[ApiScope::Read], Duration::from_hours(48));
        given::<User>(past(full.clone())).when(one_more.clone()).then_refused(UserRefusal::TooManyTokens);
        let expired = given::<User>(past(full.clone())).at(noon().plus(Duration::from_hours(24)));
        assert_eq!(expired.when(one_more.clone()).events().len(), 1);
        let revoked = UserEvent::UserApiTokenRevoked { token_id: "t3".into(), occurred_at: noon() };
        let revoke = ask(AccessCommand::RevokeApiToken { token_id: "t3".into() });
        given::<User>(past(full.clone())).when(revoke.clone()).then(vec![revoked.clone()]);
        let past = past([full, vec![revoked]].concat());
        assert_eq!(given::<User>(past.clone()).when(one_more).events().len(), 1);
        given::<User>(past).when(revoke).then_refused(UserRefusal::NoSuchToken);
    }
}
