//! The company-service over HTTP, in process, on both databases.

mod contract;
mod departments;
mod entities;
mod fixture;
mod head_count;
mod headquarters;
mod scopes;
