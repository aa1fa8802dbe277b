//! MyLead's fifteen tokens, and Postrider's macro for each of them.

use postrider_sdk::prelude::*;

/// One token, written `[name]`.
pub struct Token {
    /// The name without brackets.
    pub name: &'static str,
    description: &'static str,
    /// The name of Postrider's macro with the same value.
    equivalent: &'static str,
}

const fn token(name: &'static str, equivalent: &'static str, description: &'static str) -> Token {
    Token { name, description, equivalent }
}

/// All tokens of MyLead.
pub static TOKENS: [Token; 15] = [
    token("transaction_id", "transaction_id", "Transaction id of the conversion"),
    token("program_id", "offer_id", "Program id: Postrider's id of the offer"),
    token("program_name", "offer_name", "Name of the program: the name of the offer"),
    token("program_config_id", "goal", "Configuration in the program: the goal of the conversion"),
    token("payout", "payout_minor", "Lead rate in pennies, the currency's minor unit"),
    token("payout_decimal", "payout", "Lead rate as a decimal number"),
    token("status", "status", "Lead status: pending, approved or rejected"),
    token("currency", "currency", "Currency of the payout"),
    token("ip", "ip", "IP address of the lead"),
    token("country_code", "country", "Country of the lead"),
    token("ml_sub1", "sub1", "Custom id ml_sub1 of the tracking link"),
    token("ml_sub2", "sub2", "Custom id ml_sub2 of the tracking link"),
    token("ml_sub3", "sub3", "Custom id ml_sub3 of the tracking link"),
    token("ml_sub4", "sub4", "Custom id ml_sub4 of the tracking link"),
    token("ml_sub5", "sub5", "Custom id ml_sub5 of the tracking link"),
];

/// The macro for the token with this name, or the reason why there is none.
pub fn resolve(name: &str) -> Result<&'static Macro, String> {
    match TOKENS.iter().find(|token| token.name == name) {
        Some(token) => Ok(token.equivalent()),
        None => Err(tokens::unknown("token of MyLead", name, TOKENS.iter().map(|token| token.name))),
    }
}

impl Token {
    fn equivalent(&self) -> &'static Macro {
        macros::find(self.equivalent).expect("TOKENS contains only names of existing macros")
    }
}

/// The fifteen tokens, for [`Descriptor::macros`].
pub fn describe() -> Vec<MacroDef> {
    let all = macros::describe();
    let example =
        |token: &Token| all.iter().find(|known| known.token == token.equivalent).map(|known| known.example.clone());
    let describe = |token: &Token| MacroDef {
        token: token.name.into(),
        description: token.description.into(),
        example: example(token).unwrap_or_default(),
        personal_data: token.equivalent().is_personal_data(),
    };
    TOKENS.iter().map(describe).collect()
}
