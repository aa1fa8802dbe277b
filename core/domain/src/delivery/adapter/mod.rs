//! Adapter versions: whether deliveries may use a version, and which of two versions is newer.

pub mod fair_queue;
pub mod faults;
pub mod pace;
pub mod return_line;
pub mod schema_budget;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

use super::delivery::Reason;

/// Where an adapter version came from: `built_in` with a release of Postrider, or `installed` by an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AdapterOrigin)]
pub enum Origin {
    /// It came with a release of Postrider.
    BuiltIn,
    /// It was uploaded.
    Installed,
}

text_enum!(Origin { BuiltIn => "built_in", Installed => "installed" });

/// Whether an adapter version is in use: `active`, `disabled` by staff, or `out_of_service` because it failed too often
/// in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AdapterStatus)]
pub enum AdapterState {
    /// It is used.
    Active,
    /// Staff disabled it.
    Disabled,
    /// It was taken out of service because it failed too often in a row.
    OutOfService,
}

text_enum!(AdapterState { Active => "active", Disabled => "disabled", OutOfService => "out_of_service" });

/// The number of faults in a row after which a version is examined, and may be taken out of service.
pub const FAULTS_IN_A_ROW: u32 = 10;

/// One version of an adapter, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdapterVersion {
    /// Id of the adapter.
    pub id: String,
    /// The version: "1.2.0".
    pub version: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it is in use.
    pub state: AdapterState,
    /// Faults in a row so far.
    pub faults: i32,
    /// Why it is out of service.
    pub reason: Option<String>,
    /// When it was installed.
    pub installed_at: Timestamp,
    /// When it last changed.
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

/// The code of a delivery that waits for its turn because its adapter is slow.
pub(crate) const ADAPTER_BUSY: &str = "adapter_busy";

impl AdapterVersion {
    /// Why deliveries wait for the version; `None` while it is active.
    pub fn waits_because(&self) -> Option<Reason> {
        let Self { id, version, .. } = self;
        match self.state {
            AdapterState::Active => None,
            AdapterState::Disabled => Some(Reason::new(
                "adapter_disabled",
                format!(
                    "version {version} of the adapter \"{id}\" is disabled; enable it, or upgrade the postbacks and sources that use it"
                ),
            )),
            AdapterState::OutOfService => {
                let explanation = self.reason.as_deref().unwrap_or("it failed too often");
                let sentence = format!(
                    "version {version} of the adapter \"{id}\" is out of service ({explanation}); fix the cause and enable it, or upgrade the postbacks and sources that use it"
                );
                Some(Reason::new("adapter_out_of_service", sentence))
            }
        }
    }

    /// Why deliveries wait for a version that is not installed.
    pub fn missing(id: &str, version: &str) -> Reason {
        let sentence =
            format!("version {version} of the adapter \"{id}\" is not installed; install it or upgrade the postback");
        Reason::new("adapter_missing", sentence)
    }

    /// Staff enables the version: its fault count starts at zero.
    pub fn enable(&mut self, now: Timestamp) {
        if self.state != AdapterState::Active {
            (self.state, self.faults, self.reason) = (AdapterState::Active, 0, None);
            self.updated_at = now;
        }
    }

    /// Staff disables the version.
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

/// Compares versions by the numbers between the dots. A pre-release ("1.2.0-rc1") comes before its release; build
/// metadata ("+…") only breaks ties.
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
    fn versions_are_compared_by_their_numbers() {
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
