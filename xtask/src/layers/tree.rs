//! The text files of the checkout that the checks look at, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;

/// What the checks read; other files are not loaded.
const EXTENSIONS: [&str; 4] = ["rs", "cu", "toml", "md"];

/// Folders of the root that hold what programs made.
const MADE: [&str; 2] = ["target", "trainyard-data"];

/// Files by path, which is relative to the root and has `/` between its parts.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the checkout at `root`. Hidden folders, links and what programs made are left out.
    ///
    /// # Errors
    /// A folder or file that cannot be read as UTF-8 text, named.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Tree::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let place = || format!("{} cannot be read", folder.display());
        for entry in fs::read_dir(folder).with_context(place)? {
            let entry = entry.with_context(place)?;
            let kind = entry.file_type().with_context(place)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if kind.is_dir() {
                let made = prefix.is_empty() && MADE.contains(&name.as_str());
                if !made && !name.starts_with('.') {
                    self.read_folder(&entry.path(), &format!("{path}/"))?;
                }
            } else if kind.is_file() && EXTENSIONS.contains(&extension(&name)) {
                let text = fs::read_to_string(entry.path())
                    .with_context(|| format!("{path} cannot be read as text"))?;
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Paths and texts of the files with this extension, in the order of their paths.
    pub fn files(&self, wanted: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter(move |(path, _)| extension(path) == wanted)
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The folders of packages: those with a `Cargo.toml` beside a `src/`.
    pub fn packages(&self) -> impl Iterator<Item = &str> {
        self.files("toml")
            .filter_map(|(path, _)| path.strip_suffix("/Cargo.toml"))
            .filter(|folder| {
                let source = format!("{folder}/src/");
                self.files
                    .range(source.clone()..)
                    .next()
                    .is_some_and(|(path, _)| path.starts_with(&source))
            })
    }

    /// How many files were read.
    pub fn len(&self) -> usize {
        self.files.len()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        let files = files.map(|(path, text)| (path.to_string(), text.to_string()));
        Tree {
            files: BTreeMap::from(files),
        }
    }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_made_and_hidden_folders_are_not_read() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for path in [
            "a/src/lib.rs",
            "target/x.rs",
            ".git/x.rs",
            "a/target/deep.rs",
            "a/notes.txt",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "x").expect("a file");
        }
        let tree = Tree::read(root.path()).expect("a readable tree");
        let paths: Vec<&str> = tree.files("rs").map(|(path, _)| path).collect();
        assert_eq!(paths, ["a/src/lib.rs", "a/target/deep.rs"]);
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn a_package_is_a_manifest_beside_a_source_folder() {
        let tree = Tree::from([
            ("Cargo.toml", ""),
            ("a/Cargo.toml", ""),
            ("a/src/lib.rs", ""),
            ("b/Cargo.toml", ""),
            ("b/srcs/lib.rs", ""),
        ]);
        assert_eq!(tree.packages().collect::<Vec<_>>(), ["a"]);
    }
}
