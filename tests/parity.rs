//! The libtorch policy and its frozen actor are the same function. (Agreement and normalisation were
//! seen to fail with −Σ log σ left out of the policy's density.)

use costate::nn::{matrix, to_f64};
use costate::policy::{ActionScale, GaussianPolicy, Normalizer, PolicySettings, StdForm};
use costate_envs::actor::gaussian_log_density;
use costate_envs::rng::stream;
use proptest::prelude::*;
use rand::RngExt;

fn policy(seed: u64, o: usize, a: usize, std_form: StdForm, hidden: Vec<usize>) -> GaussianPolicy {
    let mut rng = stream(seed, "parity", 0);
    let mut draw = |low: f32, high: f32| rng.random_range(low..high);
    let normalizer = Normalizer {
        mean: (0..o).map(|_| draw(-2.0, 2.0)).collect(),
        std: (0..o).map(|_| draw(0.3, 3.0)).collect(),
        clip: 10.0,
    };
    let scale = ActionScale {
        centre: (0..a).map(|_| draw(-1.0, 1.0)).collect(),
        half_range: (0..a).map(|_| draw(0.5, 5.0)).collect(),
    };
    let settings = PolicySettings {
        hidden,
        std_form,
        std_floor: 0.02,
        std_initial: 0.4,
    };
    let policy = GaussianPolicy::new("test", &settings, normalizer, scale, &mut rng);
    // Move away from the start, where the mean is nearly zero.
    tch::no_grad(|| {
        for mut p in policy.parameters() {
            let noise: Vec<f32> = (0..p.numel())
                .map(|_| rng.random_range(-0.3..0.3))
                .collect();
            let _ = p.g_add_(&tch::Tensor::from_slice(&noise).view_as(&p));
        }
    });
    policy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn actor_and_policy_agree(
        seed in any::<u64>(), o in 1..6_usize, a in 1..4_usize, network_std in any::<bool>(), deep in any::<bool>(),
    ) {
        let form = if network_std { StdForm::Network } else { StdForm::Constant };
        let policy = policy(seed, o, a, form, if deep { vec![64, 64] } else { vec![] });
        let actor = policy.freeze();
        let mut rng = stream(seed, "parity", 1);
        let width = 16;
        let s: Vec<f32> = (0..o * width).map(|_| rng.random_range(-4.0..4.0)).collect();
        let actions: Vec<f32> = (0..a * width).map(|_| rng.random_range(-3.0..3.0)).collect();
        let exact = policy.distribution(&matrix(&s, o));
        let (mean, log_std) = (to_f64(&exact.mean), to_f64(&exact.log_std));
        let log_density = to_f64(&exact.log_density(&matrix(&actions, a)));
        let mut scratch = actor.scratch();
        for j in 0..width {
            actor.forward(&s[j * o..(j + 1) * o], &mut scratch);
            for i in 0..a {
                let (m, l) = (f64::from(scratch.mean[i]), f64::from(scratch.log_std[i]));
                prop_assert!((m - mean[j * a + i]).abs() < 1e-5, "mean {m} is not {}", mean[j * a + i]);
                prop_assert!((l - log_std[j * a + i]).abs() < 1e-5);
            }
            // The actor's own moments give the policy's density up to their rounding, which z/σ
            // amplifies for actions far in the tail.
            let own = gaussian_log_density(
                actions[j * a..(j + 1) * a].iter().copied(),
                scratch.mean.iter().copied(),
                scratch.log_std.iter().copied(),
            );
            prop_assert!((own - log_density[j]).abs() < 1e-5 * (1.0 + log_density[j].abs()));
        }
    }
}

#[test]
fn a_saved_policy_acts_as_before() {
    let folder = tempfile::tempdir().unwrap();
    for form in [StdForm::Constant, StdForm::Network] {
        let policy = policy(4, 3, 2, form, vec![16]);
        let file = folder.path().join("policy.safetensors");
        std::fs::write(&file, policy.to_bytes().unwrap()).unwrap();
        let read = GaussianPolicy::read(&file).unwrap();
        assert_eq!(policy.freeze(), read.freeze());
        assert_eq!(policy.to_bytes().unwrap(), read.to_bytes().unwrap());
    }
}

#[test]
fn damaged_policies_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.safetensors");
    let good = policy(4, 3, 2, StdForm::Constant, vec![16])
        .to_bytes()
        .unwrap();
    let refused = |bytes: &[u8], part: &str| {
        std::fs::write(&file, bytes).unwrap();
        let message = GaussianPolicy::read(&file).unwrap_err().to_string();
        assert!(
            message.contains("policy.safetensors") && message.contains(part),
            "{message}"
        );
    };
    refused(b"", "not a Costate safetensors file");
    refused(&good[..good.len() / 2], "not a Costate safetensors file");
    let field = br#"\"format\":"#;
    let at = good
        .windows(field.len())
        .position(|w| w == field)
        .expect("a format")
        + field.len();
    let mut newer = good.clone();
    newer[at] = b'9';
    refused(&newer, "newer");
    let mut nan = good.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(&nan, "checksum");
    // Earlier versions kept none.
    let seal = br#",\"sha256\":\""#;
    let at = nan.windows(seal.len()).position(|w| w == seal).unwrap();
    nan[at..at + seal.len() + 64 + 2].fill(b' ');
    refused(&nan, "NaN");
}

#[test]
fn the_policy_density_integrates_to_one() {
    let policy = policy(9, 2, 1, StdForm::Network, vec![8]);
    let state = [0.3_f32, -0.8];
    let n = 4001;
    let grid: Vec<f32> = (0..n)
        .map(|k| -60.0 + 120.0 * k as f32 / (n - 1) as f32)
        .collect();
    let states = matrix(&state.repeat(n), 2);
    let density = to_f64(&policy.log_density(&states, &matrix(&grid, 1)).exp());
    let integral: f64 = density.iter().sum::<f64>() * 120.0 / (n - 1) as f64;
    assert!((integral - 1.0).abs() < 1e-4, "{integral}");
}
