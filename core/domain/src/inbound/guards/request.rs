//! What guards check of a request, and why they refuse it.

use std::net::IpAddr;

use crate::timestamp::Timestamp;

/// Why a request is refused. Each variant holds the name of a parameter or header, or the sender's address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// The parameter is missing or empty.
    #[error("the request has no token; the network must send the parameter \"{0}\" with the source's token")]
    TokenMissing(String),
    /// The token in the parameter is wrong.
    #[error("the token in \"{0}\" is not the source's; copy it again from the source's settings")]
    TokenWrong(String),
    /// The sender's address is in none of the networks.
    #[error(
        "the request came from {0}, which is not among the source's networks; add it there if the network sends from it"
    )]
    NetworkNotAllowed(String),
    /// The header is missing or empty.
    #[error("the request has no signature; the network must send it in \"{0}\"")]
    SignatureMissing(String),
    /// The signature in the header is wrong.
    #[error(
        "the signature in \"{0}\" is wrong; compare the secret, the algorithm and what is signed in the source's guards with the network's settings"
    )]
    SignatureWrong(String),
    /// The signed time differs too much from the arrival; holds the seconds that are allowed.
    #[error(
        "the signed time differs from the arrival by more than {0} seconds; the network must sign each request when it sends it"
    )]
    SignatureExpired(u32),
    /// The body is not in the form of the network's encryption.
    #[error(
        "the body is not encrypted; have the network encrypt it, or remove the encryption from the source's guards"
    )]
    NotEncrypted,
    /// The body is encrypted with another secret.
    #[error("the body cannot be decrypted; copy the secret key again from the network's settings")]
    NotDecrypted,
}

impl NotAdmitted {
    /// All codes.
    pub const CODES: [&str; 8] = [
        "network_not_allowed",
        "token_missing",
        "token_wrong",
        "signature_missing",
        "signature_wrong",
        "signature_expired",
        "body_not_encrypted",
        "body_not_decrypted",
    ];

    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing(_) => "token_missing",
            Self::TokenWrong(_) => "token_wrong",
            Self::NetworkNotAllowed(_) => "network_not_allowed",
            Self::SignatureMissing(_) => "signature_missing",
            Self::SignatureWrong(_) => "signature_wrong",
            Self::SignatureExpired(_) => "signature_expired",
            Self::NotEncrypted => "body_not_encrypted",
            Self::NotDecrypted => "body_not_decrypted",
        }
    }
}

/// The parts of a request that guards check.
pub struct Credentials<'a> {
    /// Returns the value of a parameter of the query, the form or the JSON object.
    pub parameter: &'a dyn Fn(&str) -> Option<String>,
    /// Returns the value of a header; the name is in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Returns all parameters of the only report. `None`: there are several reports, or the body cannot be read, so a signature of
    /// parameters says nothing about the whole request.
    pub parameters: &'a dyn Fn() -> Option<Vec<(String, String)>>,
    /// The sender's address.
    pub remote_ip: Option<IpAddr>,
    /// The addresses, without query, by which the network may know the source. Empty if the request was admitted before and
    /// stored: then nobody knows the source's key any more.
    pub addresses: &'a [String],
    /// The raw query.
    pub query: &'a str,
    /// The body, as it was sent; in plain text if the source has an encryption.
    pub body: &'a [u8],
    /// When the request arrived.
    pub at: Timestamp,
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(in crate::inbound::guards) const AT: Timestamp = Timestamp::from_millis(1_795_183_500_000);

    fn no_parameters() -> Option<Vec<(String, String)>> {
        Some(Vec::new())
    }

    /// A request with the body `a=1`.
    pub(in crate::inbound::guards) fn credentials<'a>(
        parameter: &'a dyn Fn(&str) -> Option<String>,
        header: &'a dyn Fn(&str) -> Option<&'a str>,
    ) -> Credentials<'a> {
        Credentials {
            parameter,
            parameters: &no_parameters,
            header,
            remote_ip: None,
            addresses: &[],
            query: "",
            body: b"a=1",
            at: AT,
        }
    }
}
