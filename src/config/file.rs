//! TOML text to a `Config`.
