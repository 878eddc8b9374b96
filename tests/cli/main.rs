//! The real program against a daemon that answers what the test tells it to, and against real sockets of its own.

#[cfg(test)]
mod access;
#[cfg(test)]
mod exits;
#[cfg(test)]
mod export;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod http;
#[cfg(test)]
mod import;
mod lines;
#[cfg(test)]
mod maillog;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod rehearse;
#[cfg(test)]
mod send;
#[cfg(test)]
mod shared;
