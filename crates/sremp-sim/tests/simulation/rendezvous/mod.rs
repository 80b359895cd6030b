//! People who know no more of each other than an id, and the servers that tell where they are.

mod lies;
mod meeting;
mod people;
mod places;
mod registering;
mod servers;
