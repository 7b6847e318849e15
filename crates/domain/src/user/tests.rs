//! The rules of an account, given, when and then.

use super::*;
use crate::story::{given, given_nothing, noon};

#[test]
fn registering_opens_an_account_and_holds_the_address() {
    given_nothing::<User>().when(register()).then(vec![registered(Role::User)]);
    assert_eq!(User::consequences("u", &registered(Role::User)), vec![Consequence::Hold { key: "email/a1".into() }]);
}

#[test]
fn an_account_is_registered_once() {
    given::<User>(vec![registered(Role::User)]).when(register()).then_refused(UserRefusal::AlreadyRegistered);
}

#[test]
fn nothing_can_be_asked_of_an_account_that_does_not_exist() {
    given_nothing::<User>().when(UserCommand::ChangePassword).then_refused(UserRefusal::NotFound);
    given_nothing::<User>().when(UserCommand::Forget).then_refused(UserRefusal::NotFound);
}

#[test]
fn a_deactivated_account_changes_no_password() {
    given::<User>(vec![registered(Role::User), deactivated()])
        .when(UserCommand::ChangePassword)
        .then_refused(UserRefusal::Deactivated);
}

#[test]
fn deactivating_twice_is_fine_and_reactivating_undoes_it() {
    let past = vec![registered(Role::User), deactivated()];
    given::<User>(past.clone()).when(UserCommand::Deactivate { reason: "again".into() }).then_nothing();
    given::<User>(past)
        .when(UserCommand::Reactivate { reason: "sorry".into() })
        .then(vec![UserEvent::UserReactivated { reason: "sorry".into(), occurred_at: noon() }]);
    given::<User>(vec![registered(Role::User)]).when(UserCommand::Reactivate { reason: "why".into() }).then_nothing();
}

#[test]
fn an_administrator_is_neither_deactivated_nor_forgotten_before_leaving_the_roster() {
    let past = vec![registered(Role::Administrator)];
    given::<User>(past.clone())
        .when(UserCommand::Deactivate { reason: "out".into() })
        .then_refused(UserRefusal::Administrator);
    given::<User>(past).when(UserCommand::Forget).then_refused(UserRefusal::Administrator);
}

#[test]
fn an_administrator_loses_the_role_only_through_the_roster() {
    let past = vec![registered(Role::Administrator)];
    given::<User>(past.clone())
        .when(UserCommand::ChangeRole { role: Role::User, reason: "out".into() })
        .then_refused(UserRefusal::Administrator);
    let withdraw = UserCommand::WithdrawRole { reason: "out".into() };
    let changed = UserEvent::UserRoleChanged { role: Role::User, reason: "out".into(), occurred_at: noon() };
    given::<User>(past.clone()).when(withdraw.clone()).then(vec![changed.clone()]);
    given::<User>([past, vec![changed]].concat()).when(withdraw).then_nothing();
}

#[test]
fn a_deactivated_account_is_never_made_an_administrator() {
    let past = vec![registered(Role::User), deactivated()];
    let promote = UserCommand::ChangeRole { role: Role::Administrator, reason: "up".into() };
    given::<User>(past.clone()).when(promote).then_refused(UserRefusal::InactiveAdministrator);
    let refused = edit(Some(Role::Administrator), None);
    given::<User>(past.clone()).when(refused).then_refused(UserRefusal::InactiveAdministrator);
    given::<User>(past).when(edit(Some(Role::Administrator), Some(true))).then(vec![
        UserEvent::UserReactivated { reason: "so".into(), occurred_at: noon() },
        UserEvent::UserRoleChanged { role: Role::Administrator, reason: "so".into(), occurred_at: noon() },
    ]);
    let both = edit(Some(Role::Administrator), Some(false));
    given::<User>(vec![registered(Role::User)]).when(both).then_refused(UserRefusal::InactiveAdministrator);
    given_nothing::<User>().when(create(Role::Administrator, false)).then_refused(UserRefusal::InactiveAdministrator);
}

#[test]
fn an_account_is_created_active_or_not_and_once() {
    let made = |role| UserEvent::UserRegistered {
        name: Sensitive::Open("Ani".into()),
        email: Sensitive::Open("ani@example.com".into()),
        email_claim: "a1".into(),
        role,
        method: SignUpMethod::Operator,
        occurred_at: noon(),
    };
    let administrator = create(Role::Administrator, true);
    given_nothing::<User>().when(administrator).then(vec![made(Role::Administrator)]);
    let off = UserEvent::UserDeactivated { reason: "so".into(), occurred_at: noon() };
    given_nothing::<User>().when(create(Role::User, false)).then(vec![made(Role::User), off]);
    given::<User>(vec![made(Role::User)]).when(create(Role::User, true)).then_refused(UserRefusal::AlreadyRegistered);
}

#[test]
fn an_edit_changes_everything_or_nothing() {
    let edit = |role, email_claim: Option<&str>| UserCommand::Edit {
        name: Some(Sensitive::Open("Budi".into())),
        email: Some(Sensitive::Open("b@example.com".into())),
        email_claim: email_claim.map(Into::into),
        role,
        active: Some(true),
        reason: "so".into(),
    };
    let past = vec![registered(Role::User), deactivated()];
    let names: Vec<_> = given::<User>(past.clone()).when(edit(None, Some("b2"))).events();
    assert!(
        matches!(names.as_slice(), [UserEvent::UserProfileChanged { .. }, UserEvent::UserReactivated { .. }]),
        "{names:?}"
    );
    given::<User>(past).when(edit(None, None)).then_refused(UserRefusal::EmailWithoutClaim);
    given::<User>(vec![registered(Role::Administrator)])
        .when(edit(Some(Role::User), Some("b2")))
        .then_refused(UserRefusal::Administrator);
}

#[test]
fn a_new_address_takes_its_claim_and_gives_the_former_back() {
    let events = given::<User>(vec![registered(Role::User)]).when(change_email("b2")).events();
    assert_eq!(
        User::consequences("u", &events[0]),
        vec![Consequence::Hold { key: "email/b2".into() }, Consequence::Release { key: "email/a1".into() }]
    );
}

#[test]
fn another_spelling_of_the_same_address_keeps_its_claim() {
    let events = given::<User>(vec![registered(Role::User)]).when(change_email("a1")).events();
    assert_eq!(events.len(), 1);
    assert_eq!(User::consequences("u", &events[0]), Vec::new());
}

#[test]
fn an_address_without_its_claim_is_refused() {
    given::<User>(vec![registered(Role::User)])
        .when(UserCommand::ChangeProfile { name: None, email: Some(Sensitive::Forgotten), email_claim: None })
        .then_refused(UserRefusal::EmailWithoutClaim);
}

#[test]
fn the_same_role_again_changes_nothing() {
    given::<User>(vec![registered(Role::User)])
        .when(UserCommand::ChangeRole { role: Role::User, reason: String::new() })
        .then_nothing();
}

#[test]
fn a_forgotten_person_frees_the_address_and_is_found_no_more() {
    let forgotten = UserEvent::UserForgotten { email_claim: "a1".into(), occurred_at: noon() };
    given::<User>(vec![registered(Role::User)]).when(UserCommand::Forget).then(vec![forgotten.clone()]);
    assert_eq!(User::consequences("u", &forgotten), vec![Consequence::Release { key: "email/a1".into() }]);
    given::<User>(vec![registered(Role::User), forgotten.clone()]).when(UserCommand::Forget).then_nothing();
    given::<User>(vec![registered(Role::User), forgotten])
        .when(UserCommand::ChangePassword)
        .then_refused(UserRefusal::NotFound);
}

#[test]
fn a_person_of_googles_has_one_account_and_is_free_again_when_forgotten() {
    let register = UserCommand::RegisterWithGoogle {
        name: Sensitive::Open("Ani".into()),
        email: Sensitive::Open("ani@example.com".into()),
        email_claim: "a1".into(),
        subject_claim: "g1".into(),
    };
    let events = given_nothing::<User>().when(register.clone()).events();
    let keys: Vec<_> = events.iter().flat_map(|event| User::consequences("u", event)).collect();
    let hold = |key: &str| Consequence::Hold { key: key.into() };
    assert_eq!(keys, [hold("email/a1"), hold("google/g1")]);
    assert!(matches!(events.last(), Some(UserEvent::UserEmailVerified { .. })));
    given::<User>(vec![registered(Role::User)]).when(register).then_refused(UserRefusal::AlreadyRegistered);
    let events = given::<User>(events).when(UserCommand::Forget).events();
    let keys: Vec<_> = events.iter().flat_map(|event| User::consequences("u", event)).collect();
    let release = |key: &str| Consequence::Release { key: key.into() };
    assert_eq!(keys, [release("google/g1"), release("email/a1")]);
}

fn create(role: Role, active: bool) -> UserCommand {
    UserCommand::Create {
        name: Sensitive::Open("Ani".into()),
        email: Sensitive::Open("ani@example.com".into()),
        email_claim: "a1".into(),
        role,
        active,
        reason: "so".into(),
    }
}

fn edit(role: Option<Role>, active: Option<bool>) -> UserCommand {
    UserCommand::Edit { name: None, email: None, email_claim: None, role, active, reason: "so".into() }
}

fn register() -> UserCommand {
    UserCommand::Register {
        name: Sensitive::Open("Ani".into()),
        email: Sensitive::Open("ani@example.com".into()),
        email_claim: "a1".into(),
        role: Role::User,
        method: SignUpMethod::Password,
    }
}

pub fn registered(role: Role) -> UserEvent {
    UserEvent::UserRegistered {
        name: Sensitive::Open("Ani".into()),
        email: Sensitive::Open("ani@example.com".into()),
        email_claim: "a1".into(),
        role,
        method: SignUpMethod::Password,
        occurred_at: noon(),
    }
}

pub fn deactivated() -> UserEvent {
    UserEvent::UserDeactivated { reason: "out".into(), occurred_at: noon() }
}

pub fn change_email(claim: &str) -> UserCommand {
    UserCommand::ChangeProfile {
        name: None,
        email: Some(Sensitive::Open("other@example.com".into())),
        email_claim: Some(claim.into()),
    }
}

fn impersonate(life: Duration) -> UserCommand {
    UserCommand::Impersonate {
        administrator_id: "budi".into(),
        session_id: "s".into(),
        reason: Sensitive::Open("ticket 7: cannot see the invoice".into()),
        expires_at: noon().plus(life),
    }
}

#[test]
fn a_customer_active_or_not_may_be_looked_at_for_a_quarter_of_an_hour() {
    let seen = UserEvent::UserImpersonated {
        administrator_id: "budi".into(),
        session_id: "s".into(),
        reason: Sensitive::Open("ticket 7: cannot see the invoice".into()),
        expires_at: noon().plus(IMPERSONATION_LIFE),
        occurred_at: noon(),
    };
    for past in [vec![registered(Role::User)], vec![registered(Role::User), deactivated()]] {
        given::<User>(past).when(impersonate(IMPERSONATION_LIFE)).then(vec![seen.clone()]);
    }
}

#[test]
fn an_impersonation_is_never_longer_and_never_over_before_it_begins() {
    for life in [Duration::ZERO, IMPERSONATION_LIFE + Duration::from_micros(1)] {
        given::<User>(vec![registered(Role::User)])
            .when(impersonate(life))
            .then_refused(UserRefusal::ImpersonationLife);
    }
}

#[test]
fn no_administrator_and_nobody_who_is_gone_is_impersonated() {
    given::<User>(vec![registered(Role::Administrator)])
        .when(impersonate(IMPERSONATION_LIFE))
        .then_refused(UserRefusal::ImpersonatedAdministrator);
    given_nothing::<User>().when(impersonate(IMPERSONATION_LIFE)).then_refused(UserRefusal::NotFound);
    let forgotten = UserEvent::UserForgotten { email_claim: "a1".into(), occurred_at: noon() };
    given::<User>(vec![registered(Role::User), forgotten])
        .when(impersonate(IMPERSONATION_LIFE))
        .then_refused(UserRefusal::NotFound);
}
