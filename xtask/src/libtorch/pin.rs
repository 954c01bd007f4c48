//! The libtorch this workspace is built with, pinned to the byte.

/// Wheels of the Python package index and what is extracted from them.
pub struct Pin {
    pub version: &'static str,
    pub wheels: &'static [Wheel],
}

pub struct Wheel {
    /// As pip names it: `project==version`.
    pub requirement: &'static str,
    pub file: &'static str,
    pub bytes: u64,
    pub sha256: &'static str,
    pub libraries: &'static [Library],
    /// The folder whose content becomes `include/`, ending in "/".
    pub headers: Option<&'static str>,
    /// The folder of its licences, ending in "/": what is handed out has to come with them.
    pub licences: Option<&'static str>,
}

/// A shared library, put into `lib/` under its own name.
pub struct Library {
    /// Path in the wheel.
    pub source: &'static str,
    pub bytes: u64,
}

impl Library {
    pub fn name(&self) -> &'static str {
        self.source.rsplit('/').next().unwrap_or(self.source)
    }
}

impl Pin {
    pub fn download_bytes(&self) -> u64 {
        self.wheels.iter().map(|wheel| wheel.bytes).sum()
    }

    pub fn libraries(&self) -> impl Iterator<Item = &'static Library> {
        self.wheels.iter().flat_map(|wheel| wheel.libraries)
    }

    pub fn unpacked_bytes(&self) -> u64 {
        self.libraries().map(|library| library.bytes).sum::<u64>() + HEADER_BYTES
    }
}

/// Size of the headers of the torch wheel, on disk in blocks, roughly.
const HEADER_BYTES: u64 = 60_000_000;

/// The CPU half of the CUDA build, which is the wheel the package index has for Linux. It only
/// needs two small CUDA libraries that `libtorch_cpu.so` is linked to, and no driver.
/// tch 0.26 expects exactly this version.
pub const LIBTORCH: Pin = Pin {
    version: "2.13.0",
    wheels: &[
        Wheel {
            requirement: "torch==2.13.0",
            file: "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            bytes: 526_574_961,
            sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
            libraries: &[
                Library {
                    source: "torch/lib/libtorch_cpu.so",
                    bytes: 438_418_417,
                },
                Library {
                    source: "torch/lib/libc10.so",
                    bytes: 1_623_185,
                },
                Library {
                    source: "torch/lib/libgomp.so.1",
                    bytes: 254_009,
                },
            ],
            headers: Some("torch/include/"),
            licences: Some("torch-2.13.0.dist-info/licenses/"),
        },
        Wheel {
            requirement: "nvidia-cuda-cupti==13.0.85",
            file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
            bytes: 10_715_597,
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            libraries: &[Library {
                source: "nvidia/cu13/lib/libcupti.so.13",
                bytes: 4_152_208,
            }],
            headers: None,
            licences: None,
        },
        Wheel {
            requirement: "nvidia-cuda-runtime==13.0.96",
            file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 2_243_632,
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            libraries: &[Library {
                source: "nvidia/cu13/lib/libcudart.so.13",
                bytes: 704_288,
            }],
            headers: None,
            licences: None,
        },
    ],
};

/// pip's description of the machine the wheels are for: one fixed Python, whichever the user has,
/// so that one hash can be pinned.
pub const PIP_TARGET: &[&str] = &[
    "--implementation",
    "cp",
    "--python-version",
    "3.11",
    "--abi",
    "cp311",
    "--platform",
    "manylinux_2_28_x86_64",
    "--platform",
    "manylinux_2_25_x86_64",
    "--platform",
    "manylinux2014_x86_64",
];
