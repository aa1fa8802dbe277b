//! The names of goals. Networks write them in any case.

/// Whether two goals are the same.
pub fn is_same_goal(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other || one.to_lowercase() == other.to_lowercase(),
        (one, other) => one == other,
    }
}
