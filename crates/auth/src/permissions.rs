//! Who may do what: one table of roles and actions, and what an API token's scopes leave of it.

use minispod_events::{ApiScope, Role};

/// Something a route asks leave for. What belongs to the caller himself needs none: his routes look only at his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Plans as the operator sees them: images, resources, environment, retired ones.
    ReadCatalogue,
    /// Publish, revise, retire and delete plans.
    ManageCatalogue,
    /// Everybody's accounts.
    ReadUsers,
    /// Create, change, deactivate and delete accounts.
    ManageUsers,
    /// Everybody's subscriptions.
    ReadSubscriptions,
    /// Suspend, resume, extend, start, stop and cancel anybody's subscription.
    ManageSubscriptions,
    /// Everybody's money.
    ReadBilling,
    /// Adjust a balance.
    ManageBilling,
    /// Everybody's instances and what the cluster says of them.
    ReadInstances,
    /// Restart, reset and delete anybody's instance, clean up what belongs to nobody.
    ManageInstances,
    /// The cluster's nodes.
    ReadNodes,
    /// Join, cordon and drain nodes.
    ManageNodes,
    /// See the product as a customer does, without changing anything.
    Impersonate,
    /// Who asked for what is somebody else's.
    ReadAudit,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 14] = [
        Self::ReadCatalogue,
        Self::ManageCatalogue,
        Self::ReadUsers,
        Self::ManageUsers,
        Self::ReadSubscriptions,
        Self::ManageSubscriptions,
        Self::ReadBilling,
        Self::ManageBilling,
        Self::ReadInstances,
        Self::ManageInstances,
        Self::ReadNodes,
        Self::ManageNodes,
        Self::Impersonate,
        Self::ReadAudit,
    ];

    /// The table: which roles may do it.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::ReadCatalogue
            | Self::ManageCatalogue
            | Self::ReadUsers
            | Self::ManageUsers
            | Self::ReadSubscriptions
            | Self::ManageSubscriptions
            | Self::ReadBilling
            | Self::ManageBilling
            | Self::ReadInstances
            | Self::ManageInstances
            | Self::ReadNodes
            | Self::ManageNodes
            | Self::Impersonate
            | Self::ReadAudit => &[Role::Administrator],
        }
    }
}

/// Whether `role` may do `action`.
pub fn may(role: Role, action: Action) -> bool {
    action.roles().contains(&role)
}

/// What a request does, as far as an API token's scopes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Looks only.
    Read,
    /// Changes something.
    Write,
    /// One of the table's actions; beside it the request is a deed of its own.
    Act,
}

/// Whether an API token of these scopes may be used for it. Each scope gives leave for its own deed only.
pub fn scopes_allow(scopes: &[ApiScope], deed: Deed) -> bool {
    let needed = match deed {
        Deed::Read => ApiScope::Read,
        Deed::Write => ApiScope::Write,
        Deed::Act => ApiScope::Admin,
    };
    scopes.contains(&needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_gives_leave_for_its_own_deed_only() {
        let deeds = [Deed::Read, Deed::Write, Deed::Act];
        for (place, scope) in ApiScope::ALL.into_iter().enumerate() {
            for (other, deed) in deeds.into_iter().enumerate() {
                assert_eq!(scopes_allow(&[scope], deed), place == other, "{scope:?} {deed:?}");
            }
        }
        assert!(deeds.iter().all(|deed| !scopes_allow(&[], *deed)));
    }

    #[test]
    fn a_customer_may_nothing_of_the_table_and_an_administrator_everything() {
        for action in Action::ALL {
            assert!(!may(Role::User, action), "{action:?}");
            assert!(may(Role::Administrator, action), "{action:?}");
        }
    }
}
