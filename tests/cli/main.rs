//! The command line as people and scripts use it: the real program, real folders, real sockets. What a decision is
//! made of is tested beside the code.

mod admin;
mod commands;
mod schemas;
mod serving;
mod support;
