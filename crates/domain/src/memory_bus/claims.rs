//! Claims as the store keeps them: all of a command's are looked at before any of them is taken or given back.

use std::{collections::BTreeMap, ops::Bound};

use minispod_kernel::Consequence;

use super::Place;

/// Who holds what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Claims {
    held: BTreeMap<String, Place>,
}

/// Whether a command's claims allow it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// A `Once` is used, or a `Require` is not held: the command has been done before.
    DoneBefore,
    /// Held by another aggregate.
    Taken(String),
}

/// What a command does with one key, whatever the order of its consequences.
#[derive(Default)]
struct Use {
    required: bool,
    taken: Option<Taken>,
    released: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Hold,
    Once,
}

impl Use {
    fn is(&self, taken: Taken) -> bool {
        self.taken == Some(taken)
    }
}

impl Claims {
    /// Takes and gives back what `consequences` say for `me`, or nothing of it.
    pub(super) fn play(&mut self, me: &Place, consequences: &[Consequence]) -> Verdict {
        let uses = uses(consequences);
        let mine = |key: &String| self.held.get(key) == Some(me);
        if uses.iter().any(|(key, it)| it.required && !mine(key) || it.is(Taken::Once) && self.held.contains_key(key)) {
            return Verdict::DoneBefore;
        }
        if let Some((key, _)) =
            uses.iter().find(|(key, it)| it.is(Taken::Hold) && self.held.contains_key(*key) && !mine(key))
        {
            return Verdict::Taken(key.clone());
        }
        for (key, it) in uses {
            if it.released {
                if self.held.get(&key).is_none_or(|holder| holder == me) {
                    self.held.remove(&key);
                }
            } else if it.taken.is_some() {
                self.held.insert(key, me.clone());
            }
        }
        Verdict::Allowed
    }

    /// Who holds `key`.
    pub(super) fn holder(&self, key: &str) -> Option<&Place> {
        self.held.get(key)
    }

    /// The keys from `first` on, in order, and their holders.
    pub(super) fn from(&self, first: &str) -> impl Iterator<Item = (&str, &Place)> {
        self.held.range::<str, _>((Bound::Included(first), Bound::Unbounded)).map(|(key, place)| (key.as_str(), place))
    }
}

fn uses(consequences: &[Consequence]) -> BTreeMap<String, Use> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for consequence in consequences {
        match consequence {
            Consequence::Require { key } => uses.entry(key.clone()).or_default().required = true,
            Consequence::Hold { key } => {
                let it = uses.entry(key.clone()).or_default();
                (it.taken, it.released) = (it.taken.or(Some(Taken::Hold)), false);
            }
            Consequence::Once { key } => {
                let it = uses.entry(key.clone()).or_default();
                (it.taken, it.released) = (Some(Taken::Once), false);
            }
            Consequence::Release { key } => uses.entry(key.clone()).or_default().released = true,
            Consequence::SetTimer { .. } | Consequence::CancelTimer { .. } => {}
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: &str) -> Place {
        ("user", id.to_owned())
    }

    fn hold(key: &str) -> Consequence {
        Consequence::Hold { key: key.to_owned() }
    }

    fn release(key: &str) -> Consequence {
        Consequence::Release { key: key.to_owned() }
    }

    #[test]
    fn a_refused_command_takes_none_of_its_claims() {
        let mut claims = Claims::default();
        assert_eq!(claims.play(&place("ani"), &[hold("b")]), Verdict::Allowed);
        assert_eq!(claims.play(&place("budi"), &[hold("a"), hold("b")]), Verdict::Taken("b".to_owned()));
        assert_eq!(claims.holder("a"), None);
    }

    #[test]
    fn what_was_done_before_counts_more_than_what_is_taken() {
        let mut claims = Claims::default();
        let once = Consequence::Once { key: "z".to_owned() };
        claims.play(&place("ani"), &[hold("a"), once.clone()]);
        assert_eq!(claims.play(&place("budi"), &[hold("a"), once]), Verdict::DoneBefore);
    }

    #[test]
    fn a_claim_taken_and_given_back_in_one_command_is_free_and_was_looked_at() {
        let mut claims = Claims::default();
        assert_eq!(claims.play(&place("ani"), &[hold("a"), release("a")]), Verdict::Allowed);
        assert_eq!(claims.from("").count(), 0);
        claims.play(&place("ani"), &[hold("a")]);
        assert_eq!(claims.play(&place("budi"), &[hold("a"), release("a")]), Verdict::Taken("a".to_owned()));
        assert_eq!(claims.play(&place("budi"), &[release("a")]), Verdict::Allowed);
        assert_eq!(claims.holder("a"), Some(&place("ani")), "another's claim is not given back");
    }
}
