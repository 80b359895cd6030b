//! Homes and their store on real files: what is kept, what fails, and what is told of it.

mod full_disk;
mod home_life;
mod store_contacts;
mod store_content;
mod store_delivery;
mod store_faults;
mod store_history;
mod store_relays;
mod subscriptions;
mod support;
mod unadvertised;
