//! MyLead's fifteen tokens and the origin of their values.

use postrider_sdk::prelude::*;

/// One token, written `[name]`.
pub struct Token {
    pub name: &'static str,
    description: &'static str,
    /// Postrider's macro with its value.
    ours: &'static str,
}

const fn token(name: &'static str, ours: &'static str, description: &'static str) -> Token {
    Token { name, description, ours }
}

pub static TOKENS: [Token; 15] = [
    token("transaction_id", "transaction_id", "Unique transaction identifier"),
    token("program_id", "offer_id", "Program identifier: our id of the offer"),
    token("program_name", "offer_name", "Name of the program: of the offer"),
    token("program_config_id", "goal", "Configuration in the program: the goal that was reached"),
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
        Some(token) => Ok(token.ours()),
        None => Err(tokens::unknown("token of MyLead", name, TOKENS.iter().map(|token| token.name))),
    }
}

impl Token {
    fn ours(&self) -> &'static Macro {
        macros::find(self.ours).expect("the table names macros that exist")
    }
}

pub fn describe() -> Vec<MacroDef> {
    let ours = macros::describe();
    let example =
        |token: &Token| ours.iter().find(|known| known.token == token.ours).map(|known| known.example.clone());
    let describe = |token: &Token| MacroDef {
        token: token.name.into(),
        description: token.description.into(),
        example: example(token).unwrap_or_default(),
        personal_data: token.ours().is_personal_data(),
    };
    TOKENS.iter().map(describe).collect()
}
