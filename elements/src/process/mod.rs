//! The process element: what becomes of a program when it starts another.
