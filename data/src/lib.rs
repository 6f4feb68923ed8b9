//! Imports, preprocesses and samples datasets. Sees bytes, not the store.
