//! Which build this is.

use costate_base::provenance::Provenance;
use costate_envs::physics::RAPIER_VERSION;
use costate_envs::remote::Identity;

/// The build that is running: what `build.rs` found when it was compiled.
pub fn this_build() -> Provenance {
    Provenance {
        commit: option_env!("COSTATE_COMMIT").map(str::to_owned),
        dirty: option_env!("COSTATE_DIRTY").is_some(),
        costate: env!("CARGO_PKG_VERSION").into(),
        rapier: RAPIER_VERSION.into(),
        libtorch: option_env!("COSTATE_LIBTORCH").map(str::to_owned),
    }
}

/// What the bits of this program's episodes depend on.
pub fn identity() -> Identity {
    Identity::new(this_build().to_string(), env!("COSTATE_NUMERICS"))
}
