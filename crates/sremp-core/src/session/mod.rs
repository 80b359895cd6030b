//! Sessions (chapter 3).

pub mod content;
