//! The navigation of affiliates and of staff. An entry is shown if the page table has its path and the caller may open it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use domain::people::actor::Actor;
use domain::people::permission::Permission;
use serde::Serialize;

use super::texts::{Text, text};

/// A group of pages; the first group of each audience has no heading.
struct Group {
    heading: Option<&'static str>,
    entries: &'static [Entry],
}

/// A page: its path, icon, name, and the permission that it needs.
struct Entry(&'static str, &'static str, &'static str, Option<Permission>);

use Permission::{ReadAudit, ReadMoney, ReadProgram, ReadReports};

const INTEGRATIONS: Group = Group {
    heading: Some("nav.integrations"),
    entries: &[
        Entry("/postbacks", "send", "nav.postbacks", Some(ReadProgram)),
        Entry("/deliveries", "scroll-text", "nav.deliveries", Some(ReadProgram)),
        Entry("/sources", "inbox", "nav.sources", Some(ReadProgram)),
    ],
};

const MONEY: Group = Group {
    heading: Some("nav.money"),
    entries: &[
        Entry("/earnings", "coins", "nav.earnings", Some(ReadMoney)),
        Entry("/withdrawals", "landmark", "nav.withdrawals", Some(ReadMoney)),
    ],
};

const AFFILIATE: &[Group] = &[
    Group { heading: None, entries: &[Entry("/", "layout-dashboard", "nav.dashboard", None)] },
    Group {
        heading: Some("nav.traffic"),
        entries: &[
            Entry("/offers", "tag", "nav.offers", Some(ReadProgram)),
            Entry("/links", "link", "nav.links", Some(ReadProgram)),
            Entry("/clicks", "mouse-pointer-click", "nav.clicks", Some(ReadProgram)),
            Entry("/conversions", "badge-check", "nav.conversions", Some(ReadProgram)),
        ],
    },
    INTEGRATIONS,
    MONEY,
    Group {
        heading: Some("nav.insight"),
        entries: &[
            Entry("/reports", "chart-column", "nav.reports", Some(ReadReports)),
            Entry("/revenue-map", "grid-3x3", "nav.revenue_map", Some(ReadReports)),
        ],
    },
];

const STAFF: &[Group] = &[
    Group { heading: None, entries: &[Entry("/", "layout-dashboard", "nav.overview", None)] },
    Group {
        heading: Some("nav.program"),
        entries: &[
            Entry("/offers", "tag", "nav.offers", Some(ReadProgram)),
            Entry("/affiliates", "users", "nav.affiliates", Some(ReadProgram)),
            Entry("/clicks", "mouse-pointer-click", "nav.clicks", Some(ReadProgram)),
            Entry("/conversions", "badge-check", "nav.conversions", Some(ReadProgram)),
            Entry("/rejection-reasons", "list-checks", "nav.rejection_reasons", Some(ReadProgram)),
        ],
    },
    INTEGRATIONS,
    MONEY,
    Group {
        heading: Some("nav.insight"),
        entries: &[
            Entry("/reports", "chart-column", "nav.reports", Some(ReadReports)),
            Entry("/revenue-map", "grid-3x3", "nav.revenue_map", Some(ReadReports)),
            Entry("/audit", "history", "nav.audit", Some(ReadAudit)),
        ],
    },
];

/// A group as the layout shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ShownGroup {
    heading: Option<Text>,
    entries: Vec<ShownEntry>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ShownEntry {
    path: &'static str,
    icon: &'static str,
    name: Text,
    current: bool,
}

/// The navigation of a caller on the page with this path.
pub fn shown_to(actor: Actor, path: &str) -> Vec<ShownGroup> {
    let groups = if actor.is_staff() { STAFF } else { AFFILIATE };
    let shown = groups.iter().map(|group| {
        let entries = group.entries.iter().filter(|Entry(path, _, _, needed)| {
            has_page(path) && needed.is_none_or(|permission| actor.may(permission))
        });
        let entries = entries.map(|Entry(to, icon, name, _)| ShownEntry {
            path: to,
            icon,
            name: text(name),
            current: path == *to || (*to != "/" && path.strip_prefix(to).is_some_and(|rest| rest.starts_with('/'))),
        });
        ShownGroup { heading: group.heading.map(text), entries: entries.collect() }
    });
    shown.filter(|group| !group.entries.is_empty()).collect()
}

static PAGES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| crate::site().paths().collect());

/// Whether the page table has a page at this path.
pub fn has_page(path: &str) -> bool {
    PAGES.contains(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_navigation_marks_the_page_that_is_open() {
        let current = |path: &str| {
            let groups = shown_to(Actor::bootstrap(), path);
            groups
                .into_iter()
                .flat_map(|group| group.entries)
                .filter(|it| it.current)
                .map(|it| it.path)
                .collect::<Vec<_>>()
        };
        assert_eq!((current("/"), current("/login")), (vec!["/"], vec![]));
    }
}
