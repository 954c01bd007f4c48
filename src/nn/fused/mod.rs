//! Networks in plain numbers: forward, backward and optimiser of small tanh networks without a library's cost per
//! operation, checked against libtorch's to 1e-6.

mod descent;
mod kernel;
mod network;
mod recording;

pub use descent::Descent;
pub use kernel::Rows;
pub use network::Network;
pub use recording::{Recorded, Recording};
