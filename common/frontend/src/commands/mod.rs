//! The commands that are the same on every server: handshake, process, sessions. A server that runs one of them in its own way
//! leaves it out of [`commands`] by name.

mod build_info;
mod connection_status;
pub mod current_op;
mod fields;
mod get_cmd_line_opts;
mod get_log;
mod get_parameter;
mod hello;
mod host_info;
pub mod kill_op;
mod list_commands;
mod logout;
mod ping;
pub mod server_status;
mod sessions;
mod set_parameter;
mod whats_my_uri;

use crate::Host;
use command::Spec;

/// The table, by name.
pub fn commands<S: Host>() -> Vec<Spec<S>> {
    vec![
        build_info::spec(),
        connection_status::spec(),
        current_op::spec(),
        sessions::end_sessions(),
        get_cmd_line_opts::spec(),
        get_log::spec(),
        get_parameter::spec(),
        hello::spec(),
        host_info::spec(),
        hello::legacy_spec(),
        sessions::kill_all_sessions(),
        sessions::kill_all_sessions_by_pattern(),
        kill_op::spec(),
        sessions::kill_sessions(),
        list_commands::spec(),
        logout::spec(),
        ping::spec(),
        sessions::refresh_sessions(),
        server_status::spec(),
        set_parameter::spec(),
        sessions::start_session(),
        whats_my_uri::spec(),
    ]
}
