//! The simulator against the equations of motion, integrated by RK4 in f64 with a step of 0.1 ms.
//!
//! Measured errors (the bounds below are about twice as wide):
//!
//! | case | largest error |
//! | --- | --- |
//! | `cart_pole`, half force as a square wave, 4 s | 2.3 mm, 0.0050 rad |
//! | the same with other masses, length, damping and gear | 1.5 mm, 0.0022 rad |
//! | `pendulum`, half torque as a square wave, 4 s | 0.018 rad |
//! | `pendulum` unforced, 10 s | 0.75 % of the energy scale (10 J) |
//! | `acrobot` with other rods and friction, 3 N m at 0.7 Hz, 2 s | 0.0056, 0.0094 rad |
//! | `acrobot` unforced from 109°, 2 s | 0.0053, 0.0060 rad |
//! | `acrobot` unforced from 143°, 109° and 69°, 10 s | 0.08, 0.8, 6.7 % of the energy scale (39 J) |
//!
//! The double pendulum's energy drifts most where it turns over fast. All errors halve when the substep does.

use costate_envs::{Env, EnvConfig};

/// dx/dt of the pendulum (θ, θ̇), counter-clockwise from upright: a uniform rod on a hinge.
fn pendulum([theta, speed]: [f64; 2], m: f64, l: f64, g: f64, torque: f64) -> [f64; 2] {
    let inertia = m * l * l / 3.0;
    [speed, (m * g * l / 2.0 * theta.sin() + torque) / inertia]
}

/// dx/dt of the cart-pole (x, θ, ẋ, θ̇): from the Lagrangian with
/// T = ½ (M+m) ẋ² + ½ (m L²/3) θ̇² − m (L/2) ẋ θ̇ cos θ and V = m g (L/2) cos θ.
fn cart_pole(
    [_, theta, v, w]: [f64; 4],
    cart: f64,
    pole: f64,
    length: f64,
    damping: [f64; 2],
    force: f64,
) -> [f64; 4] {
    let g = 9.81;
    let mh = pole * length / 2.0;
    let inertia = pole * length * length / 3.0;
    let (sin, cos) = theta.sin_cos();
    // [total, −mh cos; −mh cos, inertia] · [ẍ, θ̈] = [fx, ft]
    let total = cart + pole;
    let fx = force - damping[0] * v - mh * sin * w * w;
    let ft = mh * g * sin - damping[1] * w;
    let det = total * inertia - mh * mh * cos * cos;
    [
        v,
        w,
        (inertia * fx + mh * cos * ft) / det,
        (mh * cos * fx + total * ft) / det,
    ]
}

/// dx/dt of the acrobot (θ₁, θ₂, θ̇₁, θ̇₂), two uniform rods with viscous friction in the joints: from
/// the Lagrangian, as in Spong (1995) but with angles from upright and θ₂ relative to the upper rod.
fn acrobot(
    [a, b, v, w]: [f64; 4],
    mass: [f64; 2],
    length: [f64; 2],
    damping: f64,
    torque: f64,
) -> [f64; 4] {
    let g = 9.81;
    let ([m1, m2], [l1, l2]) = (mass, length);
    let (sin, cos) = b.sin_cos();
    let coupling = m2 * l1 * l2 / 2.0;
    let lower = m2 * l2 * l2 / 3.0;
    let m11 = m1 * l1 * l1 / 3.0 + m2 * l1 * l1 + lower + 2.0 * coupling * cos;
    let m12 = lower + coupling * cos;
    let weight2 = m2 * g * l2 / 2.0 * (a + b).sin();
    let weight1 = (m1 / 2.0 + m2) * g * l1 * a.sin() + weight2;
    let f1 = weight1 + coupling * sin * (2.0 * v + w) * w - damping * v;
    let f2 = weight2 - coupling * sin * v * v - damping * w + torque;
    let det = m11 * lower - m12 * m12;
    [
        v,
        w,
        (lower * f1 - m12 * f2) / det,
        (m11 * f2 - m12 * f1) / det,
    ]
}

/// RK4 over `duration` seconds.
fn rk4<const N: usize>(
    mut x: [f64; N],
    duration: f64,
    f: impl Fn([f64; N]) -> [f64; N],
) -> [f64; N] {
    let steps = (duration / 1e-4).round() as usize;
    let h = duration / steps as f64;
    let add = |x: [f64; N], k: [f64; N], s: f64| std::array::from_fn(|i| x[i] + s * k[i]);
    for _ in 0..steps {
        let k1 = f(x);
        let k2 = f(add(x, k1, h / 2.0));
        let k3 = f(add(x, k2, h / 2.0));
        let k4 = f(add(x, k3, h));
        x = std::array::from_fn(|i| x[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]));
    }
    x
}

fn build(name: &str, set: &[(&str, &str)]) -> Box<dyn Env> {
    let mut config = EnvConfig::named(name).unwrap();
    for (key, value) in set {
        config.set(key, value).unwrap();
    }
    config.factory().unwrap().build()
}

/// Largest deviations of the positions from the reference over `duration` seconds.
fn deviations<const N: usize>(
    env: &mut dyn Env,
    start: [f64; N],
    duration: f64,
    action: impl Fn(f64) -> f64,
    derivative: impl Fn([f64; N], f64) -> [f64; N],
) -> Vec<f64> {
    env.reset_to(&start.map(|v| v as f32)).unwrap();
    let period = env.spec().control_period_s;
    let mut reference = start;
    let mut worst = vec![0.0_f64; N / 2];
    for step in 0..(duration / period).round() as usize {
        let u = action(step as f64 * period);
        env.step(&[u as f32]).unwrap();
        reference = rk4(reference, period, |x| derivative(x, u));
        for (i, w) in worst.iter_mut().enumerate() {
            *w = w.max((f64::from(env.coordinates()[i]) - reference[i]).abs());
        }
    }
    worst
}

/// A square wave of ±1.
fn square_wave(period: f64) -> impl Fn(f64) -> f64 {
    move |t| {
        if (t / period).fract() < 0.5 {
            1.0
        } else {
            -1.0
        }
    }
}

/// Largest errors of cart and pole over 4 s of a square wave of half the force.
fn cart_pole_errors(set: &[(&str, &str)]) -> [f64; 2] {
    // Stops far away: the reference has none.
    let set = [&[("slider.limits_m", "[-100, 100]")], set].concat();
    let errors = deviations(
        &mut *build("cart_pole", &set),
        [0.0, 2.8, 0.0, 0.0],
        4.0,
        |t| 0.5 * square_wave(0.8)(t),
        |x, u| cart_pole(x, 1.0, 0.1, 1.0, [0.0; 2], 10.0 * u),
    );
    [errors[0], errors[1]]
}

/// Largest error of the angle over 4 s of a square wave of half the torque.
fn pendulum_error(set: &[(&str, &str)]) -> f64 {
    deviations(
        &mut *build("pendulum", set),
        [3.0, 0.0],
        4.0,
        square_wave(1.6),
        |x, u| pendulum(x, 1.0, 1.0, 10.0, u),
    )[0]
}

#[test]
fn cart_pole_follows_the_equations_of_motion() {
    let [x, theta] = cart_pole_errors(&[]);
    println!("cart_pole: {x} m, {theta} rad");
    assert!(x < 0.005 && theta < 0.01, "{x} m, {theta} rad");
}

#[test]
fn other_parameters_enter_the_equations_as_they_should() {
    let set = [
        ("slider.limits_m", "[-100, 100]"),
        ("pole.length_m", "1.6"),
        ("pole.mass_kg", "0.7"),
        ("cart.mass_kg", "2.5"),
        ("slider.damping_n_s_m", "0.8"),
        ("hinge.damping_n_m_s", "0.05"),
        ("gear_n", "20"),
    ];
    let errors = deviations(
        &mut *build("cart_pole", &set),
        [0.0, 3.0, 0.0, 0.5],
        4.0,
        |t| 0.5 * square_wave(0.8)(t),
        |x, u| cart_pole(x, 2.5, 0.7, 1.6, [0.8, 0.05], 20.0 * u),
    );
    println!("heavy cart_pole: {errors:?}");
    assert!(errors[0] < 0.003 && errors[1] < 0.005, "{errors:?}");
}

/// Largest errors of both angles over 2 s of a torque of 3 N m at 0.7 Hz.
fn acrobot_errors(iterations: &str) -> [f64; 2] {
    let set = [
        ("solver_iterations", iterations),
        ("lower.length_m", "0.8"),
        ("lower.mass_kg", "1.3"),
        ("shoulder.damping_n_m_s", "0.1"),
        ("elbow.damping_n_m_s", "0.1"),
    ];
    let errors = deviations(
        &mut *build("acrobot", &set),
        [2.5, 0.4, 0.0, 0.0],
        2.0,
        |t| 3.0 * (0.7 * std::f64::consts::TAU * t).sin(),
        |x, u| acrobot(x, [1.0, 1.3], [1.0, 0.8], 0.1, u),
    );
    [errors[0], errors[1]]
}

#[test]
fn acrobot_follows_the_equations_of_motion() {
    let errors = acrobot_errors("16");
    println!("acrobot, driven: {errors:?} rad");
    assert!(errors[0] < 0.012 && errors[1] < 0.02, "{errors:?}");
    let free = deviations(
        &mut *build("acrobot", &[]),
        [1.9, 0.6, 0.0, 0.0],
        2.0,
        |_| 0.0,
        |x, u| acrobot(x, [1.0; 2], [1.0; 2], 0.0, u),
    );
    println!("acrobot, free: {free:?} rad");
    assert!(free[0] < 0.012 && free[1] < 0.012, "{free:?}");
}

#[test]
fn an_unforced_acrobot_keeps_its_energy() {
    // Zero at rest at the top; −39.24 J hanging.
    let energy = |c: &[f32]| {
        let [a, b, v, w] = std::array::from_fn(|i| f64::from(c[i]));
        let kinetic =
            0.5 * (5.0 / 3.0 + b.cos()) * v * v + (1.0 / 3.0 + 0.5 * b.cos()) * v * w + w * w / 6.0;
        kinetic + 9.81 * (1.5 * (a.cos() - 1.0) + 0.5 * ((a + b).cos() - 1.0))
    };
    let mut env = build("acrobot", &[]);
    for (start, bound) in [
        ([2.5, 0.3], 0.002),
        ([1.9, 0.6], 0.016),
        ([1.2, -0.5], 0.14),
    ] {
        env.reset_to(&[start[0], start[1], 0.0, 0.0]).unwrap();
        let before = energy(&env.coordinates());
        let mut drift: f64 = 0.0;
        for _ in 0..500 {
            env.step(&[0.0]).unwrap();
            drift = drift.max((energy(&env.coordinates()) - before).abs() / 39.24);
        }
        println!("acrobot energy drift from {start:?}: {drift}");
        assert!(drift < bound, "{start:?}: {drift}");
    }
}

#[test]
fn pendulum_follows_the_equations_of_motion() {
    let error = pendulum_error(&[]);
    println!("pendulum: {error} rad");
    assert!(error < 0.04, "{error} rad");
}

#[test]
fn errors_are_of_first_order_in_the_substep() {
    let ratio = |fine: f64, coarse: f64| coarse / fine;
    let coarse = cart_pole_errors(&[("solver_iterations", "8")]);
    let fine = cart_pole_errors(&[("solver_iterations", "16")]);
    let coarse_pendulum = pendulum_error(&[("solver_iterations", "8")]);
    let fine_pendulum = pendulum_error(&[("solver_iterations", "16")]);
    let coarse_acrobot = acrobot_errors("16");
    let fine_acrobot = acrobot_errors("32");
    for ratio in [
        ratio(fine[0], coarse[0]),
        ratio(fine[1], coarse[1]),
        ratio(fine_pendulum, coarse_pendulum),
        ratio(fine_acrobot[0], coarse_acrobot[0]),
        ratio(fine_acrobot[1], coarse_acrobot[1]),
    ] {
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
    }
}

#[test]
fn an_unforced_pendulum_keeps_its_energy() {
    let mut env = build("pendulum", &[("speed_limit_rad_s", "50")]);
    // Zero where it hangs at rest; 10 J upright.
    let energy = |c: &[f32]| {
        let (theta, speed) = (f64::from(c[0]), f64::from(c[1]));
        5.0 * (1.0 + theta.cos()) + speed * speed / 6.0
    };
    for start in [2.0, 1.0, 0.1] {
        env.reset_to(&[start, 0.0]).unwrap();
        let before = energy(&env.coordinates());
        let mut drift: f64 = 0.0;
        for _ in 0..200 {
            env.step(&[0.0]).unwrap();
            drift = drift.max((energy(&env.coordinates()) - before).abs() / 10.0);
        }
        println!("energy drift from {start}: {drift}");
        assert!(drift < 0.01, "{start}: {drift}");
    }
}
