//! Money that goes between a wallet and what lies behind it: the gateway's clearing, the seller's own bank account or gifts.

use minispod_events::{Account, EntryCause, WalletEvent};
use minispod_kernel::{Rupiah, Timestamp};

use super::{Wallet, WalletRefusal, covered, positive};

impl Wallet {
    pub(super) fn pay_in(
        &self,
        amount: Rupiah,
        cause: EntryCause,
        counter_account: Account,
        occurred_at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletRefusal> {
        let balance = self.balance_with(positive(amount)?)?;
        let promotional = Rupiah::ZERO;
        let entry = WalletEvent::WalletCredited { amount, balance, promotional, cause, counter_account, occurred_at };
        Ok(self.opened_for(entry, occurred_at))
    }

    pub(super) fn grant(
        &self,
        amount: Rupiah,
        cause: EntryCause,
        occurred_at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletRefusal> {
        let balance = self.balance_with(positive(amount)?)?;
        let (promotional, counter_account) = (amount, Account::Promotions);
        let entry = WalletEvent::WalletCredited { amount, balance, promotional, cause, counter_account, occurred_at };
        Ok(self.opened_for(entry, occurred_at))
    }

    pub(super) fn pay_out(
        &self,
        amount: Rupiah,
        cause: EntryCause,
        counter_account: Account,
        occurred_at: Timestamp,
    ) -> Result<Vec<WalletEvent>, WalletRefusal> {
        let balance = self.balance_without(positive(amount)?)?;
        // Only what was paid in leaves.
        covered(balance.checked_sub(self.promotional.left()).ok_or(WalletRefusal::TooLarge)?)?;
        let promotional = Rupiah::ZERO;
        Ok(vec![WalletEvent::WalletDebited { amount, balance, promotional, cause, counter_account, occurred_at }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        WalletCommand,
        story::{given, given_nothing, noon},
    };

    fn cause() -> EntryCause {
        EntryCause::ManualTopUp { manual_topup_id: "m".into() }
    }

    fn pay_in(amount: i64) -> WalletCommand {
        let counter_account = Account::BankClearing;
        WalletCommand::PayIn { amount: Rupiah::new(amount), cause: cause(), counter_account }
    }

    fn pay_out(amount: i64) -> WalletCommand {
        let counter_account = Account::GatewayClearing;
        WalletCommand::PayOut { amount: Rupiah::new(amount), cause: cause(), counter_account }
    }

    fn credited(amount: i64) -> Vec<WalletEvent> {
        let opened = WalletEvent::WalletOpened { occurred_at: noon() };
        let credited = WalletEvent::WalletCredited {
            amount: Rupiah::new(amount),
            balance: Rupiah::new(amount),
            promotional: Rupiah::ZERO,
            cause: cause(),
            counter_account: Account::BankClearing,
            occurred_at: noon(),
        };
        vec![opened, credited]
    }

    #[test]
    fn money_from_elsewhere_opens_the_wallet_and_names_where_it_came_from() {
        given_nothing::<Wallet>().when(pay_in(100)).then(credited(100));
    }

    #[test]
    fn what_is_paid_out_is_there_to_the_last_rupiah_and_names_where_it_goes() {
        given::<Wallet>(credited(100)).when(pay_out(100)).then(vec![WalletEvent::WalletDebited {
            amount: Rupiah::new(100),
            balance: Rupiah::ZERO,
            promotional: Rupiah::ZERO,
            cause: cause(),
            counter_account: Account::GatewayClearing,
            occurred_at: noon(),
        }]);
        given::<Wallet>(credited(100)).when(pay_out(101)).then_refused(WalletRefusal::InsufficientBalance);
        given_nothing::<Wallet>().when(pay_out(1)).then_refused(WalletRefusal::InsufficientBalance);
        for command in [pay_in(0), pay_in(-1), pay_out(0), pay_out(-1)] {
            given::<Wallet>(credited(100)).when(command).then_refused(WalletRefusal::NotPositive);
        }
    }
}
