//! Which file of a package holds which module.

use std::collections::BTreeMap;

use super::tree::Tree;

/// The files under a package's `src/`, by module path.
#[derive(Debug)]
pub struct Modules<'a> {
    files: BTreeMap<Vec<&'a str>, &'a str>,
}

impl<'a> Modules<'a> {
    /// The modules of the package in `folder`. A `main.rs` beside a `lib.rs`, and `src/bin/`, are programs that no file
    /// can import, and stay out.
    pub fn of(tree: &'a Tree, folder: &str) -> Self {
        let source = format!("{folder}/src/");
        let mut files = BTreeMap::new();
        let has_library = tree.text(&format!("{source}lib.rs")).is_some();
        for (path, _) in tree.files("rs") {
            let Some(inner) = path.strip_prefix(&source) else {
                continue;
            };
            if inner.starts_with("bin/") || (inner == "main.rs" && has_library) {
                continue;
            }
            let mut module: Vec<&str> = inner.trim_end_matches(".rs").split('/').collect();
            if module == ["lib"] || module == ["main"] || module.last() == Some(&"mod") {
                module.pop();
            }
            files.insert(module, path);
        }
        Modules { files }
    }

    /// Module paths and files.
    pub fn iter(&self) -> impl Iterator<Item = (&[&'a str], &'a str)> {
        self.files
            .iter()
            .map(|(module, path)| (module.as_slice(), *path))
    }

    /// The file that holds what `parts` names, seen from `here`: the file's module path and then the inline modules.
    /// A bare name counts only if `children` declares it, at `here`. None for names of other packages.
    pub fn resolve(
        &self,
        here: &[&'a str],
        parts: &[&'a str],
        children: &[Vec<&'a str>],
    ) -> Option<&'a str> {
        let mut full = here.to_vec();
        let mut rest = parts;
        match parts.first() {
            Some(&"crate") => {
                full.clear();
                rest = &parts[1..];
            }
            Some(&"self") => rest = &parts[1..],
            Some(&"super") => {
                while let [first, after @ ..] = rest
                    && matches!(*first, "super" | "self")
                {
                    if *first == "super" {
                        full.pop()?;
                    }
                    rest = after;
                }
            }
            Some(name) => {
                let child = [here, &[*name]].concat();
                if !children.contains(&child) {
                    return None;
                }
            }
            None => return None,
        }
        full.extend(rest);
        loop {
            if let Some(path) = self.files.get(&full) {
                return Some(path);
            }
            full.pop()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_the_deepest_file_that_holds_them() {
        let tree = Tree::from([
            ("p/src/lib.rs", ""),
            ("p/src/main.rs", ""),
            ("p/src/bin/tool.rs", ""),
            ("p/src/a.rs", ""),
            ("p/src/a/b.rs", ""),
            ("p/src/a/old/mod.rs", ""),
            ("q/src/lib.rs", ""),
        ]);
        let modules = Modules::of(&tree, "p");
        assert_eq!(modules.iter().count(), 4);
        let children = [vec!["a", "b"]];
        let resolve = |here: &[&'static str], path: &'static str| {
            let parts: Vec<&str> = path.split("::").collect();
            modules.resolve(here, &parts, &children)
        };
        assert_eq!(
            resolve(&["a", "b"], "crate::a::b::Thing"),
            Some("p/src/a/b.rs")
        );
        assert_eq!(resolve(&["a", "b"], "crate::Thing"), Some("p/src/lib.rs"));
        assert_eq!(resolve(&["a", "b"], "super::Thing"), Some("p/src/a.rs"));
        assert_eq!(
            resolve(&["a", "b", "inline"], "super::Thing"),
            Some("p/src/a/b.rs")
        );
        assert_eq!(
            resolve(&["a", "b", "inline"], "super::super::old::X"),
            Some("p/src/a/old/mod.rs")
        );
        assert_eq!(resolve(&["a"], "self::b::X"), Some("p/src/a/b.rs"));
        assert_eq!(resolve(&["a"], "b::X"), Some("p/src/a/b.rs"));
        assert_eq!(resolve(&[], "b::X"), None);
        assert_eq!(resolve(&[], "super::X"), None);
    }
}
