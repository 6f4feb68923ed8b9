//! The wire: .proto files, generated code and checked conversions.
