"""RLlib trains PPO on a world of Costate: its EnvRunner steps the vector that `costate.make_vec` makes, in Rust.

    pip install -r python/neighbours/ray.txt torch && pip install "ray[rllib]" && pip install ./python
    python python/examples/rllib_env_runner.py

RLlib's new API takes worlds from Gymnasium's registry: with `vector_entry_point` its SingleAgentEnvRunner gets one vector of
all environments instead of a list of single ones.
"""

import sys

from ray.rllib.algorithms.ppo import PPOConfig

ENVIRONMENTS = 16
ITERATIONS = int(sys.argv[1]) if len(sys.argv) > 1 else 3

config = (
    PPOConfig()
    # `costate:` in front lets every runner's process import the package, which registers its worlds.
    .environment("costate:costate/point_mass-v0")
    .env_runners(
        num_env_runners=1,
        num_envs_per_env_runner=ENVIRONMENTS,
        gym_env_vectorize_mode="vector_entry_point",
        rollout_fragment_length="auto",
    )
    .learners(num_learners=0)
    .training(train_batch_size_per_learner=2048, minibatch_size=256, num_epochs=5, lr=1e-3, gamma=0.95)
    .debugging(seed=0)
)

if __name__ == "__main__":
    algorithm = config.build_algo()
    vectors = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: type(runner.env.unwrapped).__name__, local_env_runner=False
    )
    print(f"env runners step {vectors}")
    for i in range(ITERATIONS):
        figures = algorithm.train()["env_runners"]
        print(
            f"iteration {i + 1}: return {figures['episode_return_mean']:.1f} over {figures['num_episodes']:.0f} episodes"
        )
    algorithm.stop()
