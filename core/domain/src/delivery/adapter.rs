//! Adapter versions: whether deliveries may go through one, and which of two is the newer.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

use super::delivery::Reason;

/// Where a version came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// With a release of this program.
    BuiltIn,
    /// Somebody uploaded it.
    Installed,
}

text_enum!(Origin { BuiltIn => "built_in", Installed => "installed" });

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdapterState {
    Active,
    /// A person switched it off.
    Disabled,
    /// It failed too often in a row.
    OutOfService,
}

text_enum!(AdapterState { Active => "active", Disabled => "disabled", OutOfService => "out_of_service" });

/// Faults in a row after which a version goes out of service.
pub const FAULTS_IN_A_ROW: u32 = 10;

/// One version of an adapter, as this installation knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdapterVersion {
    pub id: String,
    pub version: String,
    /// SHA-256 of the component.
    pub digest: String,
    pub origin: Origin,
    pub state: AdapterState,
    /// Faults in a row.
    pub faults: i32,
    /// Why it is out of service.
    pub reason: Option<String>,
    pub installed_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The codes of the reasons for which a delivery waits for its adapter.
pub const WAITING: [&str; 6] = [
    "adapter_disabled",
    "adapter_out_of_service",
    "adapter_missing",
    "adapter_unavailable",
    ADAPTER_BUSY,
    "secret_unreadable",
];

/// The code of a delivery whose adapter is slow, and which waits for its turn.
pub const ADAPTER_BUSY: &str = "adapter_busy";

impl AdapterVersion {
    /// Why deliveries wait for it; `None` while it works.
    pub fn waits_because(&self) -> Option<Reason> {
        let Self { id, version, .. } = self;
        match self.state {
            AdapterState::Active => None,
            AdapterState::Disabled => Some(Reason::new(
                "adapter_disabled",
                format!("version {version} of the adapter \"{id}\" is disabled; enable it or upgrade what uses it"),
            )),
            AdapterState::OutOfService => {
                let why = self.reason.as_deref().unwrap_or("it failed too often");
                let sentence = format!(
                    "version {version} of the adapter \"{id}\" is out of service ({why}); repair it, then enable it or upgrade what uses it"
                );
                Some(Reason::new("adapter_out_of_service", sentence))
            }
        }
    }

    /// Why deliveries wait for a version that is not there.
    pub fn missing(id: &str, version: &str) -> Reason {
        let sentence =
            format!("version {version} of the adapter \"{id}\" is not installed; install it or upgrade the postback");
        Reason::new("adapter_missing", sentence)
    }

    /// A person puts it back; it starts with a clean record.
    pub fn enable(&mut self, now: Timestamp) {
        if self.state != AdapterState::Active {
            (self.state, self.faults, self.reason) = (AdapterState::Active, 0, None);
            self.updated_at = now;
        }
    }

    /// A person takes it out.
    pub fn disable(&mut self, now: Timestamp) {
        if self.state != AdapterState::Disabled {
            (self.state, self.reason) = (AdapterState::Disabled, None);
            self.updated_at = now;
        }
    }
}

/// Why a delivery waits although its adapter works.
pub fn busy() -> Reason {
    Reason::new(ADAPTER_BUSY, "its adapter is slow, so it waits for its turn")
}

/// By the numbers between the dots; a pre-release ("1.2.0-rc1") comes before its release.
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    let parts = |text: &str| -> (Vec<u64>, Option<String>) {
        let text = text.split('+').next().unwrap_or_default();
        let (numbers, rest) = match text.split_once('-') {
            Some((numbers, rest)) => (numbers, Some(rest.to_owned())),
            None => (text, None),
        };
        (numbers.split('.').map(|number| number.parse().unwrap_or(0)).collect(), rest)
    };
    let ((left_numbers, left_rest), (right_numbers, right_rest)) = (parts(left), parts(right));
    let rest = match (left_rest, right_rest) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(left), Some(right)) => left.cmp(&right),
    };
    left_numbers.cmp(&right_numbers).then(rest).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        let ordered = ["", "0.9.0", "0.10.0", "1.0.0-rc1", "1.0.0-rc2", "1.0.0", "1.0.1", "10.0"];
        for (index, low) in ordered.iter().enumerate() {
            for high in &ordered[index + 1..] {
                assert_eq!(compare_versions(low, high), Ordering::Less, "{low} {high}");
                assert_eq!(compare_versions(high, low), Ordering::Greater, "{high} {low}");
            }
            assert_eq!(compare_versions(low, low), Ordering::Equal);
        }
    }
}
