//! By which mechanism a GPU is split. One file per mechanism; which one a GPU has is told by what its
//! folder and its driver show, never by its model.

pub mod sriov;
