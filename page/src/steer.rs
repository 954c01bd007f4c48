//! Steering by pointing: the action that brings a body to a place.
//!
//! A look ahead: the world is copied, run for [`AHEAD_S`] under no action and under each action alone, and the action whose
//! linear combination of the outcomes comes nearest to the pointer is taken. As it is chosen anew in every step, bodies
//! with inertia approach like a well-damped spring.

use costate_envs::scene::{Item, Role, Shape};
use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::{DMatrix, DVector};

/// Seconds to look ahead.
const AHEAD_S: f64 = 0.25;
/// Weight of an action of half its range, in metres of distance.
const EFFORT_M: f64 = 0.01;
/// Metres that half an action's range must move a point for it to count as moved by it.
const MOVED_M: f64 = 1e-3;

/// A point of an item that can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handle {
    item: usize,
    point: usize,
}

impl Handle {
    fn of(self, items: &[Item]) -> Option<DVector<f64>> {
        let [x, y] = *points(items.get(self.item)?).get(self.point)?;
        Some(DVector::from_vec(vec![f64::from(x), f64::from(y)]))
    }
}

/// Where an item can be held: a disc or polygon in its middle, a capsule at its ends.
fn points(item: &Item) -> Vec<[f32; 2]> {
    match &item.shape {
        Shape::Circle { centre, .. } => vec![*centre],
        Shape::Capsule { from, to, .. } => vec![*from, *to],
        Shape::Polygon { points } => {
            let n = points.len().max(1) as f32;
            let sum = |i: usize| points.iter().map(|p| p[i]).sum::<f32>();
            vec![[sum(0) / n, sum(1) / n]]
        }
    }
}

/// Finds actions for a pointer, in a copy of the world.
pub struct Steer {
    copy: Box<dyn Env>,
    handle: Handle,
    /// Middle and half range of every action.
    ranges: Vec<[f64; 2]>,
    steps: usize,
}

impl Steer {
    /// For a world of `factory`, as `env` stands at its start; `None` if its view moves, or if no action moves anything.
    pub fn new(factory: &EnvFactory, env: &dyn Env) -> Option<Self> {
        let spec = factory.spec();
        let bounded = |c: &costate_envs::Channel| c.low > f32::MIN && c.high < f32::MAX;
        if !spec.action.0.iter().all(bounded) {
            return None;
        }
        let ranges = spec.action.0.iter().map(|c| {
            let [low, high] = [c.low, c.high].map(f64::from);
            [0.5 * (low + high), 0.5 * (high - low)]
        });
        let mut steer = Self {
            copy: factory.build(),
            handle: Handle { item: 0, point: 0 },
            ranges: ranges.collect(),
            steps: ((AHEAD_S / spec.control_period_s).ceil() as usize).clamp(2, 50),
        };
        steer.handle = steer.most_moved(env)?;
        Some(steer)
    }

    /// The point of a body or limb that actions move most.
    fn most_moved(&mut self, env: &dyn Env) -> Option<Handle> {
        let before = env.scene();
        let mut outcomes = Vec::new();
        for outcome in self.outcomes(env).ok()? {
            let same_view = outcome.view_low == before.view_low;
            outcomes.push(same_view.then_some(outcome.items)?);
        }
        let (idle, moved) = outcomes.split_first()?;
        let agent = |item: &Item| matches!(item.role, Role::Body | Role::Limb);
        let handles = before.items.iter().enumerate().filter(|(_, i)| agent(i));
        let handles = handles.flat_map(|(item, shape)| {
            (0..points(shape).len()).map(move |point| Handle { item, point })
        });
        let reach = |handle: Handle| -> Option<f64> {
            let rest = handle.of(idle)?;
            let squares = moved
                .iter()
                .map(|m| Some((handle.of(m)? - &rest).norm_squared()));
            Some(squares.sum::<Option<f64>>()?.sqrt())
        };
        let all = handles.filter_map(|h| Some((h, reach(h)?)));
        let (handle, reach) = all.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (reach > MOVED_M).then_some(handle)
    }

    /// Scenes after the look ahead: idle, then under half the range of each action alone.
    fn outcomes(&mut self, env: &dyn Env) -> Result<Vec<costate_envs::scene::Scene>, EnvError> {
        let state = env.save();
        (0..=self.ranges.len())
            .map(|run| {
                self.copy.load(&state)?;
                let mut action: Vec<f32> = self.ranges.iter().map(|r| r[0] as f32).collect();
                if let Some(i) = run.checked_sub(1) {
                    action[i] += self.ranges[i][1] as f32;
                }
                for _ in 0..self.steps {
                    // A look ahead may end the episode: what came before counts.
                    if self.copy.step(&action)?.end != costate_envs::End::Running {
                        break;
                    }
                }
                Ok(self.copy.scene())
            })
            .collect()
    }

    /// Writes the action that brings the held point of `env` nearest to `target`, metres.
    ///
    /// min_u ‖p_0 + J u − target‖² + (EFFORT_M ‖u‖)² over shares u of half ranges, then cut at −1 and 1.
    pub fn action(
        &mut self,
        env: &dyn Env,
        target: [f64; 2],
        out: &mut [f64],
    ) -> Result<(), EnvError> {
        let outcomes = self.outcomes(env)?;
        let places: Option<Vec<DVector<f64>>> =
            outcomes.iter().map(|s| self.handle.of(&s.items)).collect();
        let idle = self.ranges.iter().map(|r| r[0]);
        out.iter_mut().zip(idle).for_each(|(o, middle)| *o = middle);
        let Some(places) = places else { return Ok(()) };
        let (rest, moved) = places.split_first().expect("the idle one is always there");
        let m = moved.len();
        let jacobian = DMatrix::from_fn(2, m, |i, j| moved[j][i] - rest[i]);
        let gap = DVector::from_vec(target.to_vec()) - rest;
        let normal = jacobian.transpose() * &jacobian + DMatrix::identity(m, m) * EFFORT_M.powi(2);
        if let Some(solution) = normal
            .cholesky()
            .map(|c| c.solve(&(jacobian.transpose() * gap)))
        {
            for ((o, u), [middle, half]) in out.iter_mut().zip(solution.iter()).zip(&self.ranges) {
                *o = middle + u.clamp(-1.0, 1.0) * half;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use costate_envs::EnvConfig;

    use super::*;

    /// Distance of the held point to the pointer after `seconds`.
    fn distance_after(env: &str, target: [f64; 2], seconds: f64) -> f64 {
        let factory = EnvConfig::named(env).unwrap().factory().unwrap();
        let mut world = factory.build();
        world.reset(0);
        let mut steer = Steer::new(&factory, world.as_ref()).unwrap();
        let mut mean = vec![0.0; factory.spec().action.dim()];
        for _ in 0..(seconds / factory.spec().control_period_s) as usize {
            steer.action(world.as_ref(), target, &mut mean).unwrap();
            let action: Vec<f32> = mean.iter().map(|v| *v as f32).collect();
            world.step(&action).unwrap();
        }
        let place = steer.handle.of(&world.scene().items).unwrap();
        (place - DVector::from_vec(target.to_vec())).norm()
    }

    #[test]
    fn the_held_body_comes_to_the_pointer() {
        assert!(distance_after("point_mass", [0.6, -0.4], 3.0) < 0.05);
        assert!(distance_after("push_t", [0.6, 0.6], 3.0) < 0.05);
        assert!(distance_after("reacher", [0.3, 0.6], 3.0) < 0.1);
        assert!(distance_after("cart_pole", [0.5, 0.0], 1.0) < 0.2);
    }

    #[test]
    fn runners_cannot_be_pointed_at_as_their_view_moves() {
        let factory = EnvConfig::named("half_cheetah").unwrap().factory().unwrap();
        let mut world = factory.build();
        world.reset(0);
        assert!(Steer::new(&factory, world.as_ref()).is_none());
    }
}
