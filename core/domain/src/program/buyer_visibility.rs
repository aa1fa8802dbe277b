//! What affiliates see of buyers: one setting of the program for answers, exports, logs and the affiliates' own postbacks.
//!
//! Data of a buyer leaves the program only as [`Shown`], and only [`BuyerVisibility::show`] makes one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::ids::AffiliateId;
use crate::people::masking;

/// What affiliates see of buyers. `nothing`: no value that identifies a buyer or visitor. `masked`: the first letter of a
/// name, the first letter and the host of an e-mail address, the network of an IP address, the user agent, and no id of a
/// customer. `all`: all values.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuyerVisibility {
    /// No value that identifies a buyer.
    Nothing,
    /// Parts of the values.
    Masked,
    /// All values. The macros of a buyer's name and e-mail address are filled.
    #[default]
    All,
}

text_enum!(BuyerVisibility { Nothing => "nothing", Masked => "masked", All => "all" });

/// What a value says about a buyer or visitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Personal {
    /// The name.
    Name,
    /// The e-mail address.
    Email,
    /// The advertiser's own id of the customer.
    CustomerId,
    /// The IP address.
    Address,
    /// The user agent of the browser.
    UserAgent,
}

/// Data with values that identify a buyer.
pub trait BuyerData {
    /// The same data with what the visibility allows.
    #[must_use]
    fn seen_by(self, visibility: BuyerVisibility) -> Self;
}

/// Data as its reader may see it.
#[derive(Clone, Debug)]
pub struct Shown<T>(T);

impl<T> Shown<T> {
    /// The data.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Shown<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl BuyerVisibility {
    /// The data as a reader may see it.
    pub fn show<T: BuyerData>(self, data: T) -> Shown<T> {
        Shown(data.seen_by(self))
    }

    /// What a postback or source of this owner gets: those of the program get all.
    #[must_use]
    pub fn of_owner(self, owner: Option<AffiliateId>) -> Self {
        if owner.is_some() { self } else { Self::All }
    }

    /// Whether a part of the values is hidden.
    pub fn hides(self) -> bool {
        self != Self::All
    }

    /// The visible part of a value; `None` if there is none.
    pub fn part(self, kind: Personal, value: Option<String>) -> Option<String> {
        let value = value?;
        match (self, kind) {
            (Self::All, _) | (Self::Masked, Personal::UserAgent) => Some(value),
            (Self::Nothing, _) | (Self::Masked, Personal::CustomerId) => None,
            (Self::Masked, Personal::Name) => Some(masking::mask_name(&value)),
            (Self::Masked, Personal::Email) => Some(masking::mask_email(&value)),
            (Self::Masked, Personal::Address) => network_of(&value),
        }
    }

    /// Named values of any kind, such as the attributes of a custom event: values that look personal are masked or left
    /// out.
    pub fn named_parts(self, values: Vec<(String, String)>) -> Vec<(String, String)> {
        let part = |(name, value): (String, String)| match self {
            Self::All => Some((name, value)),
            _ if !masking::is_personal_pair(&name, &value) => Some((name, value)),
            Self::Masked => Some((name, masking::MASK.to_owned())),
            Self::Nothing => None,
        };
        values.into_iter().filter_map(part).collect()
    }

    /// The text without what is hidden of `values`, also where an adapter or a destination repeats them. What was
    /// sent while more was visible is hidden too.
    pub fn clean(self, text: &str, values: &[(Personal, &str)]) -> String {
        let mut hidden = Vec::new();
        for (kind, value) in values {
            let value = (*value).to_owned();
            if self.part(*kind, Some(value.clone())).as_ref() == Some(&value) {
                continue;
            }
            if self == Self::Nothing {
                hidden.extend(Self::Masked.part(*kind, Some(value.clone())));
            }
            hidden.push(value);
        }
        // A value can contain another one, and would not be found after the other one is replaced.
        hidden.sort_by_key(|value| std::cmp::Reverse(value.len()));
        masking::mask(text, &hidden.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// The network of an address, as statistics keep it: `203.0.113.7` → `203.0.113.0`, `2001:db8:1:2::3` → `2001:db8:1::`.
fn network_of(address: &str) -> Option<String> {
    let network: IpAddr = match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(it) => Ipv4Addr::from_bits(it.to_bits() & !0xff).into(),
        IpAddr::V6(it) => Ipv6Addr::from_bits(it.to_bits() >> 80 << 80).into(),
    };
    Some(network.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use BuyerVisibility::{All, Masked, Nothing};

    #[test]
    fn a_value_is_hidden_masked_or_shown() {
        for (kind, value, masked) in [
            (Personal::Name, "Zoe Buyerova", Some("Z***")),
            (Personal::Name, "", Some("***")),
            (Personal::Email, "zoe@example.org", Some("z***@example.org")),
            (Personal::Email, "not an address", Some("***")),
            (Personal::CustomerId, "C-4711", None),
            (Personal::Address, "203.0.113.7", Some("203.0.113.0")),
            (Personal::Address, "::ffff:203.0.113.7", Some("203.0.113.0")),
            (Personal::Address, "2001:db8:1:2:3:4:5:6", Some("2001:db8:1::")),
            (Personal::Address, "unknown", None),
            (Personal::UserAgent, "Mozilla/5.0", Some("Mozilla/5.0")),
        ] {
            let given = Some(value.to_owned());
            assert_eq!(All.part(kind, given.clone()).as_deref(), Some(value));
            assert_eq!(Masked.part(kind, given.clone()).as_deref(), masked, "{value}");
            assert_eq!(Nothing.part(kind, given), None);
            assert_eq!(All.part(kind, None), None);
        }
    }

    #[test]
    fn attributes_that_look_personal_are_hidden() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let given =
            vec![pair("level", "gold"), pair("note", "ask zoe@example.org"), pair("phone", "5"), pair("amount", "5")];
        let masked = vec![pair("level", "gold"), pair("note", "***"), pair("phone", "***"), pair("amount", "5")];
        assert_eq!(All.named_parts(given.clone()), given);
        assert_eq!(Masked.named_parts(given.clone()), masked);
        assert_eq!(Nothing.named_parts(given), [pair("level", "gold"), pair("amount", "5")]);
    }

    #[test]
    fn a_text_keeps_no_hidden_value() {
        let values = [
            (Personal::Name, "Zoe Buyerova"),
            (Personal::Email, "zoe@example.org"),
            (Personal::Address, "203.0.113.7"),
            (Personal::UserAgent, "Firefox/128"),
        ];
        let full = "e=zoe%40example.org&n=Zoe+Buyerova&ip=203.0.113.7&ua=Firefox%2F128&p=5.00";
        let masked = "e=z***%40example.org&n=Z***&ip=203.0.113.0&ua=Firefox%2F128&p=5.00";
        for (visibility, text, wanted) in [
            (All, full, full),
            (Masked, full, "e=***&n=***&ip=***&ua=Firefox%2F128&p=5.00"),
            (Masked, masked, masked),
            (Nothing, full, "e=***&n=***&ip=***&ua=***&p=5.00"),
            (Nothing, masked, "e=***&n=***&ip=***&ua=***&p=5.00"),
        ] {
            assert_eq!(visibility.clean(text, &values), wanted, "{visibility}: {text}");
        }
    }

    #[test]
    fn postbacks_of_the_program_get_all() {
        let owner = AffiliateId::new(crate::timestamp::Timestamp::from_millis(0));
        for visibility in [Nothing, Masked, All] {
            assert_eq!(visibility.of_owner(None), All);
            assert_eq!(visibility.of_owner(Some(owner)), visibility);
        }
    }
}
