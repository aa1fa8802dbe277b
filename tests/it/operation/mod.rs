//! For operators: start and stop, crashes, backups, keys, the database and the disk.

mod backup;
mod clock_skew;
mod compatibility;
mod connections;
mod crash;
mod demo;
mod disk_faults;
mod heavy_reading;
mod metrics;
mod migrations;
mod observability;
mod partitions;
mod receiver;
mod secret_keys;
mod serving;
mod upgrade;
