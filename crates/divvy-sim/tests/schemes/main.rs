//! The product's code for splitting GPUs on the rooms' drivers: every scheme from the first look to the
//! last partition, and what goes wrong on the way. VMs' definitions, stores and jobs are not known here;
//! what a file of a driver says to a single write is tried where the driver is.

mod bench;
mod faults;
mod life;
