"""Writes the actor of a Stable-Baselines3 model as an ONNX file that `costate record --expert` and `--policy` take.

    python demos/sb3_to_onnx.py sac model.zip expert.onnx
    python demos/sb3_to_onnx.py ppo model.zip expert.onnx --normalize vecnormalize.pkl

PPO, A2C, SAC, TD3 and DDPG with "MlpPolicy". The graph takes observations as the environment gives them, `[batch, o]` in
float32, and gives the mean action, `[batch, a]`, in the environment's units: the statistics of a VecNormalize (its
`.pkl`) and SAC's and TD3's scaling to the action bounds are inside. Checked against `model.predict(…, deterministic=True)`
on random observations, if onnxruntime is installed. Needs stable-baselines3 and onnx. A `.pkl`, like a model's `.zip`, can
run any code when it is read: use your own only.
"""

import argparse
import os
import pickle

import numpy as np
import onnx
import stable_baselines3
import torch
from onnx import TensorProto, helper, numpy_helper

ACTIVATIONS = {torch.nn.Tanh: "Tanh", torch.nn.ReLU: "Relu", torch.nn.ELU: "Elu"}
# More than this, relative to the range, is another policy rather than rounding.
TOLERANCE = 1e-4


class Graph:
    def __init__(self):
        self.nodes, self.constants, self.last = [], [], "observation"

    def add(self, operation, *constants, **attributes):
        names = []
        for constant in constants:
            names.append(f"c{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(np.asarray(constant, np.float32), names[-1]))
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, [self.last, *names], [out], **attributes))
        self.last = out

    def layers(self, modules):
        for module in modules:
            if isinstance(module, torch.nn.Sequential):
                self.layers(module)
            elif isinstance(module, torch.nn.Linear):
                self.add("Gemm", module.weight.detach().numpy(), module.bias.detach().numpy(), transB=1)
            elif type(module) in ACTIVATIONS:
                self.add(ACTIVATIONS[type(module)])
            elif not isinstance(module, torch.nn.Flatten):
                raise SystemExit(f"a layer of the kind {module} is not supported")

    def save(self, file, observed, actions):
        self.nodes[-1].output[0] = "action"
        tensor = lambda name, width: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
        graph = helper.make_graph(
            self.nodes, "actor", [tensor("observation", observed)], [tensor("action", actions)], self.constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, file)


def actor_of(model, statistics):
    policy, space, graph = model.policy, model.action_space, Graph()
    if statistics is not None and statistics.norm_obs:
        std = np.sqrt(statistics.obs_rms.var + statistics.epsilon)
        graph.add("Sub", statistics.obs_rms.mean)
        graph.add("Div", std)
        clip = statistics.clip_obs
        graph.add("Clip", -clip, clip)
    if hasattr(policy, "mlp_extractor"):  # PPO, A2C
        if policy.use_sde and policy.squash_output:
            raise SystemExit("squashed state-dependent exploration is not supported")
        graph.layers([policy.mlp_extractor.policy_net, policy.action_net])
        graph.add("Max", space.low)
        graph.add("Min", space.high)
        return graph
    actor = policy.actor
    if hasattr(actor, "latent_pi"):  # SAC
        if actor.use_sde:
            raise SystemExit("state-dependent exploration is not supported")
        graph.layers([actor.latent_pi, actor.mu])
        graph.add("Tanh")
    else:  # TD3, DDPG
        graph.layers([actor.mu])
    graph.add("Mul", 0.5 * (space.high - space.low))
    graph.add("Add", 0.5 * (space.high + space.low))
    return graph


def deviation(file, model, statistics):
    """The largest difference from SB3's own actions, as a share of the action range."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    spread = np.sqrt(statistics.obs_rms.var) if statistics is not None else 1.0
    centre = statistics.obs_rms.mean if statistics is not None else 0.0
    random = np.random.default_rng(0)
    observed = (centre + spread * random.normal(size=(1_000, *model.observation_space.shape))).astype(np.float32)
    seen = statistics.normalize_obs(observed.copy()) if statistics is not None else observed
    expected, _ = model.predict(seen, deterministic=True)
    (got,) = session.run(None, {"observation": observed})
    return float(np.max(np.abs(got - expected) / (model.action_space.high - model.action_space.low)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("algo", choices=["ppo", "a2c", "sac", "td3", "ddpg"])
    parser.add_argument("model", help="a .zip file of model.save()")
    parser.add_argument("output", help="the .onnx file to write")
    parser.add_argument("--normalize", metavar="PKL", help="a file of VecNormalize.save(); `none` if the model has none")
    args = parser.parse_args()
    beside = f"{args.model}.pkl"
    if args.normalize is None and os.path.exists(beside):
        # Without the statistics that it was trained with a policy acts, but as another one.
        parser.error(f"{beside} lies beside the model: add --normalize {beside}, or --normalize none if it is not the model's")
    model = getattr(stable_baselines3, args.algo.upper()).load(args.model, device="cpu")
    statistics = None
    if args.normalize not in (None, "none"):
        with open(args.normalize, "rb") as file:
            statistics = pickle.load(file)
    graph = actor_of(model, statistics)
    graph.save(args.output, *(int(np.prod(s.shape)) for s in (model.observation_space, model.action_space)))
    try:
        found = deviation(args.output, model, statistics)
    except ImportError:
        print(f"{args.output}: not compared with the model, as onnxruntime is missing")
        return
    print(f"{args.output}: differs from model.predict by at most {found:.1e} of the action range")
    if found > TOLERANCE:
        raise SystemExit("that is more than rounding: this policy is not supported")


if __name__ == "__main__":
    main()
