//! Messaging against a real nats-server: topology, publishing on a known sequence, fetching, permissions.

mod fetching;
mod permissions;
mod publishing;
mod support;
mod topology;
