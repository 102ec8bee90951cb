//! The accounts of an org. Every org has its own of each, in the commodity of its wallet (L1).
//!
//! Sign: a posting above zero on [`Account::Wallet`] is credits that the customer gains; every
//! other account is the other side of that. Read the balances of an org so:
//!
//! | account | its balance is |
//! |---|---|
//! | wallet | `+` credits the customer has (below zero: spent on a credit limit) |
//! | revenue | `+` what the org was charged, less refunds |
//! | cost | `+` what its calls cost the operator at the providers |
//! | payable | `−` the same: owed to, or paid to, providers |
//! | breakage | `+` credits that expired |
//! | shortfall | `−` what calls cost beyond what the wallet could pay, still open |
//! | funding | `−` credits sold, less those refunded for cash |
//! | promotion | `−` credits given away |
//! | adjustment | `−` credits given by the operator's correction, `+` taken by one |
//! | absorbed | `−` shortfall that the operator took on itself |
//!
//! | transaction | postings |
//! |---|---|
//! | grant of n | wallet +n, funding (or promotion, adjustment) −n |
//! | charge of p+s that cost c | wallet −p, shortfall −s, revenue +(p+s), cost +c, payable −c |
//! | refund of a charge | wallet +p, shortfall +s, absorbed +a, revenue −(p+s+a) |
//! | cash refund of a grant | wallet −n, funding (…) +n |
//! | expiry | wallet −x, breakage +x |
//! | settlement | wallet −x, shortfall +x |
//! | absorption | shortfall +x, absorbed −x |
//! | deduction | wallet −x, adjustment +x |

/// An account of an org.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// The customer's credits.
    Wallet,
    /// What the org was charged.
    Revenue,
    /// What its calls cost at the providers.
    Cost,
    /// What is owed to providers.
    Payable,
    /// Credits that expired.
    Breakage,
    /// What calls cost beyond what the wallet could pay.
    Shortfall,
    /// Where purchased credits come from.
    Funding,
    /// Where promotional credits come from.
    Promotion,
    /// Where corrections come from and go to.
    Adjustment,
    /// Shortfall the operator took on itself.
    Absorbed,
}

impl Account {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// Every account, in the order of [`code`](Self::code).
    pub const ALL: [Self; Self::COUNT] = [
        Self::Wallet,
        Self::Revenue,
        Self::Cost,
        Self::Payable,
        Self::Breakage,
        Self::Shortfall,
        Self::Funding,
        Self::Promotion,
        Self::Adjustment,
        Self::Absorbed,
    ];

    /// The number that stands for it in rows and hashes. Never reused, never renumbered.
    pub const fn code(self) -> u8 {
        match self {
            Self::Wallet => 0,
            Self::Revenue => 1,
            Self::Cost => 2,
            Self::Payable => 3,
            Self::Breakage => 4,
            Self::Shortfall => 5,
            Self::Funding => 6,
            Self::Promotion => 7,
            Self::Adjustment => 8,
            Self::Absorbed => 9,
        }
    }

    /// The account with this [`code`](Self::code).
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The name used in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Revenue => "revenue",
            Self::Cost => "cost",
            Self::Payable => "payable",
            Self::Breakage => "breakage",
            Self::Shortfall => "shortfall",
            Self::Funding => "funding",
            Self::Promotion => "promotion",
            Self::Adjustment => "adjustment",
            Self::Absorbed => "absorbed",
        }
    }

    /// The account with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|account| account.name() == name)
    }
}

/// The balances of all accounts of one org, in nano-credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances([i64; Account::COUNT]);

impl Balances {
    /// Balances in the order of [`Account::ALL`].
    pub const fn new(nanos: [i64; Account::COUNT]) -> Self {
        Self(nanos)
    }

    /// Balances in the order of [`Account::ALL`].
    pub const fn to_array(self) -> [i64; Account::COUNT] {
        self.0
    }

    /// The balance of `account`.
    pub fn get(&self, account: Account) -> i64 {
        self.0
            .get(usize::from(account.code()))
            .copied()
            .unwrap_or_default()
    }

    /// The balances after a posting, or `None` when one leaves the range of `i64`.
    #[must_use]
    pub fn after(mut self, account: Account, amount_nanos: i64) -> Option<Self> {
        let balance = self.0.get_mut(usize::from(account.code()))?;
        *balance = balance.checked_add(amount_nanos)?;
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_the_order_of_all() {
        for (index, account) in Account::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(account.code()), index);
            assert_eq!(Account::from_code(account.code()), Some(account));
            assert_eq!(Account::from_name(account.name()), Some(account));
        }
        assert_eq!(Account::from_code(10), None);
    }
}
