"""imitation clones a policy from Costate's demonstrations, through `Dataset.to_imitation`.

    pip install -r python/neighbours/imitation.txt && pip install --no-deps imitation==1.0.1 && pip install ./python
    python python/neighbours/imitation_check.py

imitation 1.0.1 asks for Gymnasium 0.29, which is older than this package needs; its cloning runs with 1.4 as well, so it
is installed without its dependencies. Not a part of CI, as it needs torch. Exits 1 if something is not as expected.
"""

from pathlib import Path

import costate
import numpy as np
import torch
from imitation.algorithms import bc
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

DATA = Path(__file__).parent.parent.parent / "demos/data"

torch.set_num_threads(1)
dataset = costate.Dataset.open(DATA / "point_mass")
test = VecMonitor(costate.sb3.VecEnv(dataset.world, 10))
trainer = bc.BC(
    observation_space=test.observation_space, action_space=test.action_space, demonstrations=dataset.to_imitation(),
    rng=np.random.default_rng(0), device="cpu",
)  # fmt: skip
test.seed(0)
before, _ = evaluate_policy(trainer.policy, test, 20)
trainer.train(n_epochs=20, progress_bar=False)
test.seed(0)
after, _ = evaluate_policy(trainer.policy, test, 20)
expert = np.mean([e.total_reward for e in dataset])
print(f"imitation's BC on {len(dataset)} demonstrations of point_mass: return {before:.0f} before, {after:.0f} after; expert {expert:.0f}")
assert after > before + 0.8 * (expert - before)
