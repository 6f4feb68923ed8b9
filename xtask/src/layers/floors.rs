//! Which package may know which: the floors of the house, stated here and nowhere else in code. Read from the
//! `Cargo.toml` files.

use toml::Table;

use super::finding::Finding;
use super::tree::Tree;

/// A package of the house.
pub struct Room {
    /// The package's name.
    pub package: &'static str,
    /// Its folder.
    pub folder: &'static str,
    /// The packages that it may know.
    pub knows: &'static [&'static str],
}

/// The house, from the top down.
#[rustfmt::skip]
pub const HOUSE: &[Room] = &[
    // Floor 3
    Room { package: "trainyard", folder: "cli", knows: &[
        "coordinator", "worker", "engine", "plan", "scheduler", "proto", "data", "exchange", "spec", "collective", "store",
    ] },
    // Floor 2
    Room { package: "coordinator", folder: "coordinator", knows: &["scheduler", "proto", "plan", "spec", "store"] },
    Room { package: "worker", folder: "worker", knows: &[
        "proto", "plan", "spec", "engine", "data", "collective", "store",
    ] },
    // Floor 1
    Room { package: "exchange", folder: "exchange", knows: &["plan", "spec"] },
    Room { package: "engine", folder: "engine", knows: &["plan", "spec"] },
    Room { package: "plan", folder: "plan", knows: &["spec"] },
    Room { package: "scheduler", folder: "scheduler", knows: &["spec"] },
    Room { package: "proto", folder: "proto", knows: &["spec"] },
    Room { package: "data", folder: "data", knows: &["spec"] },
    // Floor 0
    Room { package: "spec", folder: "spec", knows: &[] },
    Room { package: "collective", folder: "collective", knows: &[] },
    Room { package: "store", folder: "store", knows: &[] },
    // Beside the house
    Room { package: "xtask", folder: "xtask", knows: &[] },
];

/// A package that a room's tests may know although the room itself may not.
pub struct TestLink {
    /// The package whose tests they are.
    pub from: &'static str,
    /// The package that they know.
    pub to: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// What tests may know beyond [`HOUSE`].
pub const TEST_LINKS: &[TestLink] = &[TestLink {
    from: "exchange",
    to: "engine",
    reason: "a file of another format is right if the engine's logits are PyTorch's",
}];

/// Holds every package's manifest against [`HOUSE`] and [`TEST_LINKS`].
pub fn check(tree: &Tree) -> Vec<Finding> {
    against(tree, HOUSE, TEST_LINKS)
}

fn against(tree: &Tree, house: &[Room], test_links: &[TestLink]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let shared = match tree.text("Cargo.toml").unwrap_or_default().parse::<Table>() {
        Ok(root) => root,
        Err(error) => return vec![Finding::file("Cargo.toml", error.to_string())],
    };
    let mut used = vec![false; test_links.len()];
    for folder in tree.packages() {
        let path = format!("{folder}/Cargo.toml");
        let text = tree.text(&path).expect("a package has a manifest");
        let Some(room) = house.iter().find(|room| room.folder == folder) else {
            let place = "HOUSE in xtask/src/layers/floors.rs";
            findings.push(Finding::file(
                &path,
                format!("this package has no floor; give it one in {place}"),
            ));
            continue;
        };
        let manifest = match text.parse::<Table>() {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(Finding::file(&path, error.to_string()));
                continue;
            }
        };
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"));
        if name.and_then(|name| name.as_str()) != Some(room.package) {
            findings.push(Finding::file(
                &path,
                format!("the package of this folder is \"{}\"", room.package),
            ));
        }
        for link in links(&manifest, &shared) {
            let is_ours = house.iter().any(|room| room.package == link.package);
            if !is_ours
                || link.package == room.package
                || room.knows.contains(&link.package.as_str())
            {
                continue;
            }
            let allowed = test_links.iter().position(|allowed| {
                link.section == "dev-dependencies"
                    && (allowed.from, allowed.to) == (room.package, &link.package)
            });
            match allowed {
                Some(index) => used[index] = true,
                None => findings.push(Finding::file(
                    &path,
                    format!(
                        "{} names {}, which {} may not know",
                        link.section, link.package, room.package
                    ),
                )),
            }
        }
    }
    let stands = |link: &TestLink| {
        let from = house.iter().find(|room| room.package == link.from);
        from.is_none_or(|room| tree.text(&format!("{}/Cargo.toml", room.folder)).is_some())
    };
    for (link, used) in test_links.iter().zip(used) {
        if link.reason.trim().is_empty() || !used && stands(link) {
            findings.push(Finding::file(
                "xtask/src/layers/floors.rs",
                format!(
                    "the test link from {} to {} has no reason or no use; remove it",
                    link.from, link.to
                ),
            ));
        }
    }
    findings
}

/// A dependency as a manifest names it.
struct Link {
    section: &'static str,
    package: String,
}

const SECTIONS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];

/// The dependencies of a manifest, those of single targets included; renamed ones under their packages' names.
fn links(manifest: &Table, shared: &Table) -> Vec<Link> {
    let targets = manifest.get("target").and_then(|target| target.as_table());
    let targets = targets.into_iter().flat_map(|targets| targets.values());
    let tables = std::iter::once(manifest).chain(targets.filter_map(|target| target.as_table()));
    let shared = shared
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"));
    let mut links = Vec::new();
    for table in tables {
        for section in SECTIONS {
            let Some(dependencies) = table.get(section).and_then(|section| section.as_table())
            else {
                continue;
            };
            for (key, value) in dependencies {
                let renamed =
                    |value: &toml::Value| Some(value.get("package")?.as_str()?.to_string());
                let inherited = || shared.and_then(|shared| shared.get(key)).and_then(renamed);
                let package = renamed(value)
                    .or_else(inherited)
                    .unwrap_or_else(|| key.clone());
                links.push(Link { section, package });
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH_AND_LOW: &[Room] = &[
        Room {
            package: "high",
            folder: "high",
            knows: &["low"],
        },
        Room {
            package: "low",
            folder: "low",
            knows: &[],
        },
    ];

    fn messages(high: &str, low: &str, test_links: &[TestLink]) -> Vec<String> {
        let high = format!("[package]\nname = \"high\"\n{high}");
        let low = format!("[package]\nname = \"low\"\n{low}");
        let tree = Tree::from([
            (
                "Cargo.toml",
                "[workspace.dependencies]\nalias = { package = \"high\", path = \"high\" }",
            ),
            ("high/Cargo.toml", &high),
            ("high/src/lib.rs", ""),
            ("low/Cargo.toml", &low),
            ("low/src/lib.rs", ""),
        ]);
        against(&tree, HIGH_AND_LOW, test_links)
            .iter()
            .map(Finding::to_string)
            .collect()
    }

    #[test]
    fn a_high_floor_may_know_a_low_one() {
        assert_eq!(
            messages(
                "[dependencies]\nlow.workspace = true\nserde = \"1\"",
                "",
                &[]
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_low_floor_that_knows_a_high_one_is_found_in_every_section() {
        for section in [
            "dependencies",
            "build-dependencies",
            "dev-dependencies",
            "target.'cfg(unix)'.dependencies",
        ] {
            let found = messages("", &format!("[{section}]\nhigh.workspace = true"), &[]);
            assert_eq!(found.len(), 1, "{section}");
            assert!(
                found[0].contains("names high, which low may not know"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_new_name_hides_no_package() {
        let direct = "[dependencies]\nx = { package = \"high\", path = \"../high\" }";
        assert_eq!(messages("", direct, &[]).len(), 1);
        assert_eq!(
            messages("", "[dependencies]\nalias.workspace = true", &[]).len(),
            1
        );
    }

    #[test]
    fn tests_may_know_what_a_reason_allows_and_no_more() {
        let link = |reason| {
            [TestLink {
                from: "low",
                to: "high",
                reason,
            }]
        };
        assert_eq!(
            messages(
                "",
                "[dev-dependencies]\nhigh.workspace = true",
                &link("a whole gang")
            ),
            [""; 0]
        );
        assert_eq!(
            messages("", "[dev-dependencies]\nhigh.workspace = true", &link(" ")).len(),
            1
        );
        assert_eq!(
            messages(
                "",
                "[dependencies]\nhigh.workspace = true",
                &link("a whole gang")
            )
            .len(),
            2
        );
        assert_eq!(messages("", "", &link("a whole gang")).len(), 1);
    }

    #[test]
    fn a_package_without_a_floor_is_found() {
        let tree = Tree::from([
            ("attic/Cargo.toml", "[package]\nname = \"attic\""),
            ("attic/src/lib.rs", ""),
        ]);
        let found = against(&tree, HIGH_AND_LOW, &[]);
        assert!(found[0].message.contains("has no floor"), "{found:?}");
    }

    #[test]
    fn a_package_under_another_name_and_a_broken_manifest_are_found() {
        let tree = Tree::from([
            ("high/Cargo.toml", "[package]\nname = \"tall\""),
            ("high/src/lib.rs", ""),
            ("low/Cargo.toml", "[package"),
            ("low/src/lib.rs", ""),
        ]);
        assert_eq!(against(&tree, HIGH_AND_LOW, &[]).len(), 2);
    }

    #[test]
    fn the_house_knows_only_rooms_of_its_own_and_only_downwards() {
        for (at, room) in HOUSE.iter().enumerate() {
            for known in room.knows {
                let below = HOUSE[at + 1..].iter().any(|other| other.package == *known);
                assert!(
                    below,
                    "{} knows {known}, which does not stand below it",
                    room.package
                );
            }
        }
    }
}
