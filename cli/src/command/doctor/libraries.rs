//! GPUs and their libraries: looked for where the dynamic linker would, and not loaded.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A library that GPU ranks would load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Library {
    pub name: &'static str,
    /// Its file, where it was found.
    pub path: Option<PathBuf>,
}

/// The libraries by name, and how their files begin.
const LIBRARIES: [(&str, &str); 5] = [
    ("libcuda", "libcuda.so"),
    ("NVRTC", "libnvrtc.so"),
    ("cuBLASLt", "libcublasLt.so"),
    ("cuDNN", "libcudnn.so"),
    ("NCCL", "libnccl.so"),
];

/// Where linkers look, and where CUDA is installed, whatever the configuration says.
const USUAL: [&str; 10] = [
    "/lib",
    "/usr/lib",
    "/lib64",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/cuda/lib64",
    "/usr/lib/wsl/lib",
];

/// Each library, found or not.
pub fn libraries() -> Vec<Library> {
    search(&folders())
}

/// The names of the GPUs that the driver knows.
pub fn gpus() -> Vec<String> {
    let Ok(folder) = fs::read_dir("/proc/driver/nvidia/gpus") else {
        return Vec::new();
    };
    let mut names: Vec<String> = folder
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("information")).ok())
        .map(|text| model(&text))
        .collect();
    names.sort();
    names
}

fn model(information: &str) -> String {
    let line = information
        .lines()
        .find_map(|line| line.strip_prefix("Model:"));
    line.map_or("NVIDIA GPU", str::trim).to_string()
}

/// The folders that are searched, in order.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect();
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    if let Ok(more) = fs::read_dir("/etc/ld.so.conf.d") {
        files.extend(more.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    for file in files {
        let text = fs::read_to_string(file).unwrap_or_default();
        folders.extend(
            text.lines()
                .map(str::trim)
                .filter(|line| line.starts_with('/'))
                .map(PathBuf::from),
        );
    }
    folders.extend(USUAL.map(PathBuf::from));
    folders
}

fn search(folders: &[PathBuf]) -> Vec<Library> {
    let find = |start: &str| folders.iter().find_map(|folder| file(folder, start));
    LIBRARIES
        .into_iter()
        .map(|(name, start)| Library {
            name,
            path: find(start),
        })
        .collect()
}

/// The shortest file of a folder whose name is `start`, or `start` and a version.
fn file(folder: &Path, start: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_it = |name: &String| {
        name.strip_prefix(start)
            .is_some_and(|version| version.is_empty() || version.starts_with('.'))
    };
    let name = names
        .filter(is_it)
        .min_by_key(|name| (name.len(), name.clone()))?;
    Some(folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_by_its_name_in_the_first_folder_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        for folder in [&first, &second] {
            fs::create_dir(folder).unwrap();
        }
        for file in [
            "second/libcuda.so.1",
            "first/libcudnn.so.9",
            "first/libcudnn.so.9.1",
            "first/libcudadebugger.so",
        ] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let found = search(&[folder.path().join("absent"), first.clone(), second.clone()]);
        let of = |name: &str| {
            found
                .iter()
                .find(|library| library.name == name)
                .unwrap()
                .path
                .clone()
        };
        assert_eq!(of("libcuda"), Some(second.join("libcuda.so.1")));
        assert_eq!(of("cuDNN"), Some(first.join("libcudnn.so.9")));
        assert_eq!(of("NCCL"), None);
    }

    #[test]
    fn a_gpu_is_called_by_its_model() {
        assert_eq!(model("Model: \t\t NVIDIA H100\nIRQ: 5\n"), "NVIDIA H100");
        assert_eq!(model(""), "NVIDIA GPU");
    }
}
