//! ONNX files: one graph, one function, of a batch of any size.

use std::collections::HashSet;

use costate_envs::EnvSpec;
use costate_envs::actor::{ActorParts, Dense, LogStd, Scales};
use costate_envs::flow::{FlowParts, gain};
use costate_envs::implicit::ImplicitParts;
use costate_envs::spec::Channel;
use serde_json::json;

use super::protobuf::Message;
use super::{Exported, ExportedFile, Part, Weights, half_log_tau, listed, repeated, time_biases};
use crate::cost::{PlainCost, PlainFunction};

/// Versions of the format and of the operators: ONNX 1.12 (2022), read by ONNX Runtime since 1.12.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Data types of tensors.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A graph under construction; values are known by their names.
#[derive(Debug, Default)]
struct Graph {
    nodes: Vec<Node>,
    /// By name.
    initializers: Vec<(String, Message)>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
}

/// An operator.
#[derive(Debug)]
struct Node {
    inputs: Vec<String>,
    output: String,
    /// Whether it is the graph's result.
    result: bool,
    message: Message,
}

/// A Gaussian in a graph: names of its mean, σ and log σ, `[N, action_dim]` or `[action_dim]`.
struct Normal {
    mean: String,
    std: String,
    log_std: String,
}

/// The name of the batch's axis.
const BATCH: &str = "N";
const OBSERVATION: &str = "observation";
const ACTION: &str = "action";

/// Files of everything in `exported`.
pub fn files(exported: &Exported) -> Vec<ExportedFile> {
    let parts = exported.parts.iter();
    parts.flat_map(|part| graphs(exported, part)).collect()
}

fn graphs(exported: &Exported, part: &Part) -> Vec<ExportedFile> {
    let file = |name: &str, what: &str, graph: Graph| ExportedFile {
        name: format!("{name}.onnx"),
        bytes: graph.into_bytes(exported, part, name, what),
        what: what.to_owned(),
    };
    let spec = &exported.spec;
    let (observation, action) = (&spec.observation.0, &spec.action.0);
    let name = part.name;
    match &part.weights {
        Weights::Gaussian(parts) => {
            let mut mean = start(&[(OBSERVATION, observation)]);
            let normal = mean.gaussian(parts, name);
            mean.output(ACTION, &normal.mean, Some(action));

            let noise: Vec<Channel> = action
                .iter()
                .map(|c| Channel::new(&c.name, "standard normal", f32::MIN, f32::MAX))
                .collect();
            let mut sample = start(&[(OBSERVATION, observation), ("noise", &noise)]);
            let normal = sample.gaussian(parts, name);
            let scaled = sample.op("Mul", &[&normal.std, "noise"]);
            let drawn = sample.op("Add", &[&normal.mean, &scaled]);
            sample.output(ACTION, &drawn, Some(action));
            let density = sample.log_density(&normal, &drawn, action.len());
            sample.output("log_density", &density, None);

            let mut density = start(&[(OBSERVATION, observation), (ACTION, action)]);
            let normal = density.gaussian(parts, name);
            let value = density.log_density(&normal, ACTION, action.len());
            density.output("log_density", &value, None);
            vec![
                file(name, "observation → action, the mean", mean),
                file(
                    &format!("{name}_sample"),
                    "observation, noise → action, log_density",
                    sample,
                ),
                file(
                    &format!("{name}_density"),
                    "observation, action → log_density",
                    density,
                ),
            ]
        }
        Weights::Implicit(parts) => {
            let mut graph = start(&[(OBSERVATION, observation), (ACTION, action)]);
            let energy = graph.energy(parts, name);
            graph.output("energy", &energy, None);
            vec![file(
                &format!("{name}_energy"),
                "observation, action → energy",
                graph,
            )]
        }
        Weights::Flow(parts) => vec![file(
            &format!("{name}_plan"),
            "observation, noise → plan, several actions",
            plan(spec, parts, name),
        )],
        Weights::Cost(cost) => {
            let mut graph = start(&[(OBSERVATION, observation), (ACTION, action)]);
            let total = graph.cost(cost, name);
            graph.output("cost", &total, None);
            let mut files = vec![file(name, "observation, action → cost", graph)];
            if let Some(value) = &cost.value {
                let mut graph = start(&[(OBSERVATION, observation)]);
                let state = graph.normalised(&cost.scales, "value");
                let soft = graph.function(value, &state, "value");
                graph.output("value", &soft, None);
                files.push(file(
                    "value",
                    "observation → value, the soft value V",
                    graph,
                ));
            }
            files
        }
    }
}

/// A graph with these inputs.
fn start(inputs: &[(&str, &[Channel])]) -> Graph {
    let mut graph = Graph::default();
    for (name, channels) in inputs {
        graph.input(name, channels);
    }
    graph
}

/// From the last observations and noise to the next actions.
fn plan(spec: &EnvSpec, parts: &FlowParts, name: &str) -> Graph {
    let planning = parts.planning;
    let before = (0..planning.history).rev().map(|k| -(k as i64));
    let seen = over_time(&spec.observation.0, before);
    let planned = over_time(&spec.action.0, 0..planning.chunk as i64);
    let noise: Vec<Channel> = planned
        .iter()
        .map(|c| Channel::new(&c.name, "standard normal", f32::MIN, f32::MAX))
        .collect();
    let mut graph = start(&[(OBSERVATION, &seen), ("noise", &noise)]);
    let plan = graph.plan(parts, "noise", name);
    graph.output("plan", &plan, Some(&planned));
    graph
}

/// Channels at several steps from now, step by step.
fn over_time(channels: &[Channel], steps: impl Iterator<Item = i64>) -> Vec<Channel> {
    let at = |step: i64| {
        channels.iter().map(move |c| match step {
            0 => c.clone(),
            _ => Channel {
                name: format!("{} at {step:+}", c.name),
                ..c.clone()
            },
        })
    };
    steps.flat_map(at).collect()
}

impl Graph {
    /// An operator with one output, whose name is returned.
    fn op(&mut self, kind: &str, inputs: &[&str]) -> String {
        self.op_with(kind, inputs, &[])
    }

    /// An operator with integer attributes.
    fn op_with(&mut self, kind: &str, inputs: &[&str], attributes: &[(&str, i64)]) -> String {
        const INT: i64 = 2;
        let name = format!("{}_{}", kind.to_lowercase(), self.nodes.len());
        let mut node = Message::default();
        for input in inputs {
            node = node.text(1, input);
        }
        node = node.text(2, &name).text(3, &name).text(4, kind);
        for (key, value) in attributes {
            let attribute = Message::default().text(1, key).int(3, *value).int(20, INT);
            node = node.message(5, &attribute);
        }
        self.nodes.push(Node {
            inputs: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: name.clone(),
            result: false,
            message: node,
        });
        name
    }

    /// A constant of a name of its own, which is returned.
    fn constant(&mut self, name: &str, dims: &[usize], values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, dims, FLOAT, &bytes)
    }

    fn scalar(&mut self, name: &str, value: f32) -> String {
        let name = format!("{name}_{}", self.initializers.len());
        self.constant(&name, &[], &[value])
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let name = format!("{name}_{}", self.initializers.len());
        self.tensor(&name, &[values.len()], INT64, &bytes)
    }

    fn tensor(&mut self, name: &str, dims: &[usize], kind: i64, bytes: &[u8]) -> String {
        let mut tensor = Message::default();
        for dim in dims {
            tensor = tensor.int(1, *dim as i64);
        }
        let tensor = tensor.int(2, kind).text(8, name).bytes(9, bytes);
        self.initializers.push((name.to_owned(), tensor));
        name.to_owned()
    }

    /// An input `[N, channels]`.
    fn input(&mut self, name: &str, channels: &[Channel]) {
        self.inputs
            .push(value_info(name, Some(channels.len()), &listed(channels)));
    }

    /// An output: `[N, channels]`, or a number a row, `[N]`.
    fn output(&mut self, name: &str, value: &str, channels: Option<&[Channel]>) {
        // Outputs are named by operators that copy.
        let node = Message::default().text(1, value).text(2, name);
        let node = node.text(3, &format!("{name}_output")).text(4, "Identity");
        self.nodes.push(Node {
            inputs: vec![value.to_owned()],
            output: name.to_owned(),
            result: true,
            message: node,
        });
        let described = channels.map(listed).unwrap_or_default();
        self.outputs
            .push(value_info(name, channels.map(<[_]>::len), &described));
    }

    /// clip((observation − mean) / std, −clip, clip), `[N, observation_dim]`.
    fn normalised(&mut self, scales: &Scales, prefix: &str) -> String {
        let o = scales.observation_mean.len();
        let constant = format!("{prefix}.observation_mean");
        let mean = self.constant(&constant, &[o], &scales.observation_mean);
        let constant = format!("{prefix}.observation_std");
        let std = self.constant(&constant, &[o], &scales.observation_std);
        let clip = scales.observation_clip;
        let (low, high) = (self.scalar("low", -clip), self.scalar("high", clip));
        let centred = self.op("Sub", &[OBSERVATION, &mean]);
        let scaled = self.op("Div", &[&centred, &std]);
        self.op("Clip", &[&scaled, &low, &high])
    }

    /// (action − centre) / half range, `[N, action_dim]`.
    fn scaled_action(&mut self, scales: &Scales) -> String {
        let (centre, half) = self.action_scale(scales);
        let centred = self.op("Sub", &[ACTION, &centre]);
        self.op("Div", &[&centred, &half])
    }

    fn action_scale(&mut self, scales: &Scales) -> (String, String) {
        let a = scales.action_scale.len();
        let name = |what: &str, at: usize| format!("action_{what}_{at}");
        let at = self.initializers.len();
        let centre = self.constant(&name("centre", at), &[a], &scales.action_centre);
        let half = self.constant(&name("half_range", at), &[a], &scales.action_scale);
        (centre, half)
    }

    /// y = W x + b with rows `rows` of a layer.
    fn dense(
        &mut self,
        layer: &Dense,
        rows: std::ops::Range<usize>,
        x: &str,
        name: &str,
    ) -> String {
        let (columns, count) = (layer.weight.ncols(), rows.len());
        let weight = layer.weight.rows_range(rows.clone()).transpose();
        let bias = &layer.bias.as_slice()[rows];
        // Columns of the transpose are rows, as safetensors files have them.
        let w = self.constant(
            &format!("{name}.weight"),
            &[count, columns],
            weight.as_slice(),
        );
        let b = self.constant(&format!("{name}.bias"), &[count], bias);
        self.op_with("Gemm", &[x, &w, &b], &[("transB", 1)])
    }

    /// The hidden layers, tanh after each: the input of the last layer.
    fn hidden(&mut self, layers: &[Dense], x: &str, prefix: &str) -> String {
        let mut x = x.to_owned();
        for (i, layer) in layers.iter().enumerate() {
            let y = self.dense(layer, 0..layer.bias.len(), &x, &format!("{prefix}.{i}"));
            x = self.op("Tanh", &[&y]);
        }
        x
    }

    fn network(&mut self, layers: &[Dense], x: &str, prefix: &str) -> String {
        let (last, hidden) = layers.split_last().expect("a network has layers");
        let x = self.hidden(hidden, x, prefix);
        let name = format!("{prefix}.{}", hidden.len());
        self.dense(last, 0..last.bias.len(), &x, &name)
    }

    /// π(· | observation).
    fn gaussian(&mut self, parts: &ActorParts, prefix: &str) -> Normal {
        let x = self.normalised(&parts.scales, prefix);
        self.gaussian_of(parts, &x, prefix)
    }

    fn gaussian_of(&mut self, parts: &ActorParts, x: &str, prefix: &str) -> Normal {
        let a = parts.scales.action_scale.len();
        let (last, hidden) = parts.layers.split_last().expect("a policy has layers");
        let x = self.hidden(hidden, x, prefix);
        let name = format!("{prefix}.{}", hidden.len());
        let (centre, half) = self.action_scale(&parts.scales);
        let out = self.dense(last, 0..a, &x, &name);
        let scaled = self.op("Mul", &[&out, &half]);
        let mean = self.op("Add", &[&scaled, &centre]);
        match &parts.log_std {
            LogStd::Constant(log_std) => {
                let std: Vec<f32> = log_std.iter().map(|l| l.exp()).collect();
                Normal {
                    mean,
                    std: self.constant(&format!("{prefix}.std"), &[a], &std),
                    log_std: self.constant(&format!("{prefix}.log_std"), &[a], log_std),
                }
            }
            LogStd::Head { floor } => {
                let rho = self.dense(last, a..2 * a, &x, &format!("{name}.rho"));
                let floor = self.scalar("std_floor", *floor);
                let soft = self.op("Softplus", &[&rho]);
                let above = self.op("Add", &[&soft, &floor]);
                let std = self.op("Mul", &[&above, &half]);
                Normal {
                    mean,
                    log_std: self.op("Log", &[&std]),
                    std,
                }
            }
        }
    }

    /// log N(action; mean, diag σ²), `[N]`.
    fn log_density(&mut self, normal: &Normal, action: &str, actions: usize) -> String {
        let off = self.op("Sub", &[action, &normal.mean]);
        let z = self.op("Div", &[&off, &normal.std]);
        let square = self.op("Mul", &[&z, &z]);
        let minus_half = self.scalar("minus_half", -0.5);
        let exponent = self.op("Mul", &[&square, &minus_half]);
        let per_entry = self.op("Sub", &[&exponent, &normal.log_std]);
        let sum = self.sum(&per_entry);
        let constant = self.scalar("half_log_tau", half_log_tau(actions) as f32);
        self.op("Add", &[&sum, &constant])
    }

    /// Sums of rows, `[N, dim] → [N]`.
    fn sum(&mut self, rows: &str) -> String {
        let axes = self.integers("axes", &[1]);
        self.op_with("ReduceSum", &[rows, &axes], &[("keepdims", 0)])
    }

    fn sum_of_squares(&mut self, rows: &str) -> String {
        let squares = self.op("Mul", &[rows, rows]);
        self.sum(&squares)
    }

    /// A scalar function of rows x, `[N]`.
    fn function(&mut self, function: &PlainFunction, x: &str, prefix: &str) -> String {
        match function {
            PlainFunction::Neural(layers) => {
                let out = self.network(layers, x, prefix);
                self.sum(&out)
            }
            PlainFunction::Features(layers) => {
                let features = self.network(layers, x, prefix);
                self.sum_of_squares(&features)
            }
            PlainFunction::Quadratic { half, linear } => {
                let dim = linear.len();
                let half = self.constant(&format!("{prefix}.half"), &[dim, dim], half);
                let linear = self.constant(&format!("{prefix}.linear"), &[dim], linear);
                // xᵀHx + wᵀx = Σ x (Hx + w).
                let product = self.op("MatMul", &[x, &half]);
                let slope = self.op("Add", &[&product, &linear]);
                let terms = self.op("Mul", &[&slope, x]);
                self.sum(&terms)
            }
        }
    }

    fn energy(&mut self, parts: &ImplicitParts, prefix: &str) -> String {
        let state = self.normalised(&parts.scales, prefix);
        let u = self.scaled_action(&parts.scales);
        let x = self.op_with("Concat", &[&state, &u], &[("axis", 1)]);
        let out = self.network(&parts.layers, &x, prefix);
        self.sum(&out)
    }

    /// The plan that Euler's method makes of `noise`, `[N, chunk · action_dim]`, step by step.
    fn plan(&mut self, parts: &FlowParts, noise: &str, prefix: &str) -> String {
        let scales = repeated(parts);
        let state = self.normalised(&scales, prefix);
        let (first, later) = parts.layers.split_first().expect("a policy has layers");
        let (o, x) = (scales.observation_mean.len(), scales.action_scale.len());
        let rows = first.bias.len();
        // Columns of the transpose are rows.
        let part = |from: usize, count: usize| first.weight.columns(from, count).transpose();
        let name = |what: &str| format!("{prefix}.0.{what}");
        let of_state = self.constant(&name("state"), &[rows, o], part(0, o).as_slice());
        let of_plan = self.constant(&name("plan"), &[rows, x], part(o, x).as_slice());
        let zeros = self.constant(&name("zeros"), &[rows], &vec![0.0; rows]);
        let linear = [("transB", 1)];
        let of_state = self.op_with("Gemm", &[&state, &of_state, &zeros], &linear);
        let later: Vec<[String; 2]> = later
            .iter()
            .enumerate()
            .map(|(i, layer)| {
                let dims = [layer.weight.nrows(), layer.weight.ncols()];
                let weight = layer.weight.transpose();
                let name = |what: &str| format!("{prefix}.{}.{what}", i + 1);
                [
                    self.constant(&name("weight"), &dims, weight.as_slice()),
                    self.constant(&name("bias"), &[dims[0]], layer.bias.as_slice()),
                ]
            })
            .collect();
        let mut plan = noise.to_owned();
        let size = self.scalar("step", 1.0 / parts.planning.steps as f32);
        for (i, (t, bias)) in time_biases(parts).into_iter().enumerate() {
            let bias = self.constant(&name(&format!("bias.{i}")), &[rows], &bias);
            let linear_part = self.op_with("Gemm", &[&plan, &of_plan, &bias], &linear);
            let mut y = self.op("Add", &[&linear_part, &of_state]);
            for [weight, bias] in &later {
                let hidden = self.op("Tanh", &[&y]);
                y = self.op_with("Gemm", &[&hidden, weight, bias], &linear);
            }
            let gain = self.scalar("gain", gain(t));
            let known = self.op("Mul", &[&plan, &gain]);
            let velocity = self.op("Add", &[&known, &y]);
            let moved = self.op("Mul", &[&velocity, &size]);
            plan = self.op("Add", &[&plan, &moved]);
        }
        let (centre, half) = self.action_scale(&scales);
        let scaled = self.op("Mul", &[&plan, &half]);
        self.op("Add", &[&scaled, &centre])
    }

    fn cost(&mut self, cost: &PlainCost, prefix: &str) -> String {
        let state = self.normalised(&cost.scales, prefix);
        let all = cost.scales.observation_mean.len();
        let mut x = state.clone();
        if !cost.seen.iter().copied().eq(0..all) {
            let seen: Vec<i64> = cost.seen.iter().map(|&i| i as i64).collect();
            let seen = self.integers("seen", &seen);
            x = self.op_with("Gather", &[&x, &seen], &[("axis", 1)]);
        }
        let acts = !cost.state_only || cost.action_penalty.is_some();
        let u = acts.then(|| self.scaled_action(&cost.scales));
        if let (false, Some(u)) = (cost.state_only, &u) {
            x = self.op_with("Concat", &[&x, u], &[("axis", 1)]);
        }
        let mut total = self.function(&cost.function, &x, prefix);
        if let Some(bound) = cost.bound {
            let bound = self.scalar("bound", bound);
            let share = self.op("Div", &[&total, &bound]);
            let share = self.op("Tanh", &[&share]);
            total = self.op("Mul", &[&share, &bound]);
        }
        if let (Some(weight), Some(u)) = (cost.action_penalty, &u) {
            let weight = self.scalar("action_penalty", weight);
            let squares = self.sum_of_squares(u);
            let penalty = self.op("Mul", &[&squares, &weight]);
            total = self.op("Add", &[&total, &penalty]);
        }
        if let Some(base) = &cost.base {
            let normal = self.gaussian_of(base, &state, "base");
            let density = self.log_density(&normal, ACTION, cost.scales.action_scale.len());
            total = self.op("Sub", &[&total, &density]);
        }
        total
    }

    /// Without operators and constants that no result needs.
    fn pruned(mut self) -> Self {
        let mut needed = HashSet::new();
        for node in self.nodes.iter().rev() {
            if node.result || needed.contains(&node.output) {
                needed.extend(node.inputs.iter().cloned());
            }
        }
        self.nodes
            .retain(|n| n.result || needed.contains(&n.output));
        self.initializers.retain(|(name, _)| needed.contains(name));
        self
    }

    /// The file.
    fn into_bytes(self, exported: &Exported, part: &Part, name: &str, what: &str) -> Vec<u8> {
        let kept = self.pruned();
        let graph = Message::default()
            .messages(1, kept.nodes.iter().map(|n| &n.message))
            .text(2, name)
            .messages(5, kept.initializers.iter().map(|(_, t)| t))
            .text(10, what)
            .messages(11, &kept.inputs)
            .messages(12, &kept.outputs);
        let mut model = Message::default()
            .int(1, IR_VERSION)
            .text(2, "costate")
            .text(3, &exported.origin.costate_version)
            .text(6, &exported.spec.summary)
            .message(7, &graph)
            .message(8, &Message::default().text(1, "").int(2, OPSET));
        for (key, value) in metadata(exported, part, what) {
            model = model.message(14, &Message::default().text(1, &key).text(2, &value));
        }
        model.into_bytes()
    }
}

/// Names and values of `metadata_props`.
fn metadata(exported: &Exported, part: &Part, what: &str) -> Vec<(String, String)> {
    let (origin, spec) = (&exported.origin, &exported.spec);
    let channels = |all: &[Channel]| json!(all).to_string();
    let mut all = vec![
        ("costate_version", origin.costate_version.clone()),
        ("source", origin.source.clone()),
        ("weights_sha256", part.sha256.clone()),
        ("computes", what.to_owned()),
        ("environment", spec.name.clone()),
        ("control_period_s", spec.control_period_s.to_string()),
        ("observation", channels(&spec.observation.0)),
        ("action", channels(&spec.action.0)),
    ];
    all.extend(origin.algorithm.clone().map(|name| ("algorithm", name)));
    all.extend(origin.seed.map(|seed| ("seed", seed.to_string())));
    if let Weights::Cost(cost) = &part.weights {
        all.push(("log_z", cost.log_z.to_string()));
        all.push(("discount", cost.discount.to_string()));
    }
    let owned = all.into_iter();
    owned.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A tensor `[N, width]` or `[N]` with its meaning.
fn value_info(name: &str, width: Option<usize>, meaning: &str) -> Message {
    let batch = Message::default().text(2, BATCH);
    let mut shape = Message::default().message(1, &batch);
    if let Some(width) = width {
        shape = shape.message(1, &Message::default().int(1, width as i64));
    }
    let tensor = Message::default().int(1, FLOAT).message(2, &shape);
    let kind = Message::default().message(1, &tensor);
    Message::default()
        .text(1, name)
        .message(2, &kind)
        .text(3, meaning)
}
