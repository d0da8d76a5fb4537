//! Drives a broker as its clients do.
