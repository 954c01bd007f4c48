//! C99: one file with its header, no allocation, nothing but `math.h`.
//!
//! Sums are in the order of our own actor and tanh is its rational function, so that the actions are the same bits wherever
//! the compiler does not contract a product and a sum.

use std::fmt::Write;

use costate_envs::actor::{ActorParts, Dense, LogStd, Scales};
use costate_envs::flow::{FlowParts, TIME_FEATURES};
use costate_envs::implicit::ImplicitParts;
use costate_envs::spec::Channel;

use super::{Exported, ExportedFile, Part, Weights, half_log_tau, listed, repeated};
use crate::cost::{PlainCost, PlainFunction};

/// The C file and its header, named by the environment.
pub fn files(exported: &Exported) -> Vec<ExportedFile> {
    let name = identifier(&exported.spec.name);
    let mut program = Program::new(&name);
    for part in &exported.parts {
        program.part(part);
    }
    let functions = program.functions.iter();
    let listed: Vec<_> = functions.map(|f| f.name.as_str()).collect();
    let (header, source) = (program.header(exported), program.source());
    vec![
        ExportedFile {
            name: format!("{name}.h"),
            bytes: header.into_bytes(),
            what: "declarations, the order and units of the channels".into(),
        },
        ExportedFile {
            name: format!("{name}.c"),
            bytes: source.into_bytes(),
            what: listed.join(", "),
        },
    ]
}

/// A name that C accepts.
fn identifier(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("env_{name}"),
        false => name,
    }
}

/// What a function takes besides the observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    Nothing,
    Action,
    Noise,
}

/// A public function.
#[derive(Debug)]
struct Function {
    /// Its name below the file's.
    name: String,
    second: Second,
    /// Whether its result is an action, through a pointer; otherwise it returns a number.
    gives_action: bool,
    about: &'static str,
    body: String,
    /// Observations that it takes, and actions or noises of actions that it takes and gives.
    times: [usize; 2],
}

/// Helpers, which are written only if used.
#[derive(Debug, Default)]
struct Helpers {
    dense: bool,
    tanh: bool,
    scale: bool,
    softplus: bool,
    log_density: bool,
}

/// A file under construction.
struct Program {
    name: String,
    /// Constants and private functions.
    private: String,
    functions: Vec<Function>,
    helpers: Helpers,
    /// Widest vector.
    width: usize,
}

impl Program {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            private: String::new(),
            functions: Vec::new(),
            helpers: Helpers::default(),
            width: 1,
        }
    }

    fn part(&mut self, part: &Part) {
        match &part.weights {
            Weights::Gaussian(parts) => self.policy(parts, part.name),
            Weights::Implicit(parts) => self.implicit(parts, part.name),
            Weights::Flow(parts) => self.flow(parts, part.name),
            Weights::Cost(cost) => self.cost(cost, part.name),
        }
    }

    fn function(
        &mut self,
        name: String,
        second: Second,
        gives_action: bool,
        about: &'static str,
        body: String,
    ) {
        self.functions.push(Function {
            name,
            second,
            gives_action,
            about,
            body,
            times: [1, 1],
        });
    }

    fn policy(&mut self, parts: &ActorParts, name: &str) {
        self.scales(&parts.scales, name);
        self.action_scales(&parts.scales, name);
        self.gaussian(parts, name, name);
        let a = parts.scales.action_scale.len();
        let distribution = format!(
            "    float x[WIDTH], mean[{a}], log_std[{a}];\n    {normalize}\n    {name}_gaussian(x, mean, log_std);\n",
            normalize = normalize(name, "x")
        );
        let each = |line: &str| {
            format!(
                "    {{\n        int i;\n        for (i = 0; i < {a}; i++) {{\n            {line}\n        }}\n    }}\n"
            )
        };
        let mean = each("action[i] = mean[i];");
        let sample = each("action[i] = mean[i] + expf(log_std[i]) * noise[i];");
        let std = each("action[i] = expf(log_std[i]);");
        self.function(
            format!("{name}_mean"),
            Second::Nothing,
            true,
            "The mean action.",
            format!("{distribution}{mean}"),
        );
        self.function(
            format!("{name}_std"),
            Second::Nothing,
            true,
            "The standard deviation of every action.",
            format!("{distribution}{std}"),
        );
        self.function(
            format!("{name}_sample"),
            Second::Noise,
            true,
            "A sampled action: mean + std * noise, with noise from N(0, 1).",
            format!("{distribution}{sample}"),
        );
        self.function(
            format!("{name}_log_density"),
            Second::Action,
            false,
            "The log-density of an action, nats.",
            format!("{distribution}    return log_density({a}, action, mean, log_std);\n"),
        );
        self.helpers.log_density = true;
    }

    fn implicit(&mut self, parts: &ImplicitParts, name: &str) {
        self.scales(&parts.scales, name);
        self.action_scales(&parts.scales, name);
        self.network(&parts.layers, name);
        self.helpers.scale = true;
        let o = parts.scales.observation_mean.len();
        let body = format!(
            "    float x[WIDTH], out[1];\n    {normalize}\n    {scale}\n    {name}_network(x, out);\n    return out[0];\n",
            normalize = normalize(name, "x"),
            scale = scale_action(name, &format!("x + {o}"), &parts.scales)
        );
        self.width = self.width.max(o + parts.scales.action_scale.len());
        self.function(
            format!("{name}_energy"),
            Second::Action,
            false,
            "The energy E; the density of an action is proportional to exp(-E).",
            body,
        );
    }

    fn flow(&mut self, parts: &FlowParts, name: &str) {
        let (scales, planning) = (repeated(parts), parts.planning);
        self.scales(&scales, name);
        self.action_scales(&scales, name);
        self.network(&parts.layers, name);
        let (o, plan) = (scales.observation_mean.len(), scales.action_scale.len());
        self.width = self.width.max(o + plan + TIME_FEATURES);
        let steps = planning.steps;
        let each =
            |line: &str| format!("for (i = 0; i < {plan}; i++) {{\n            {line}\n        }}");
        let begin = each("action[i] = noise[i];").replace("\n    ", "\n");
        let input = each(&format!("x[{o} + i] = action[i];"));
        let step = each("action[i] += (gain * action[i] + velocity[i]) * size;");
        let end = each(&format!(
            "action[i] = {name}_centre[i] + {name}_half_range[i] * action[i];"
        ));
        let end = end.replace("\n    ", "\n");
        let time = o + plan;
        let body = format!(
            "    const float size = 1.0f / {steps}.0f;\n    float x[WIDTH], velocity[WIDTH];\n    int i, step;\n    \
             {normalize}\n    {begin}\n    for (step = 0; step < {steps}; step++) {{\n        const float t = (float)step / \
             {steps}.0f;\n        const float c = 2.0f * t - 1.0f;\n        const float gain = (2.0f * t - 1.0f) / (t * t + \
             (1.0f - t) * (1.0f - t));\n        {input}\n        x[{time}] = c;\n        x[{time} + 1] = 2.0f * c * c - \
             1.0f;\n        x[{time} + 2] = 2.0f * c * x[{time} + 1] - c;\n        x[{time} + 3] = 2.0f * c * x[{time} + 2] - \
             x[{time} + 1];\n        {name}_network(x, velocity);\n        {step}\n    }}\n    {end}\n",
            normalize = normalize(name, "x")
        );
        self.function(
            format!("{name}_plan"),
            Second::Noise,
            true,
            "The next actions, from the last observations, oldest first, and noise from N(0, 1).",
            body,
        );
        if let Some(function) = self.functions.last_mut() {
            function.times = [planning.history, planning.chunk];
        }
    }

    fn cost(&mut self, cost: &PlainCost, name: &str) {
        let scales = &cost.scales;
        self.scales(scales, name);
        let (o, a) = (scales.observation_mean.len(), scales.action_scale.len());
        let acts = !cost.state_only || cost.action_penalty.is_some();
        if acts || cost.base.is_some() {
            self.action_scales(scales, name);
        }
        self.scalar_function(&cost.function, name);
        let inputs = cost.seen.len() + if cost.state_only { 0 } else { a };
        self.width = self.width.max(inputs).max(o);
        let mut body = format!(
            "    float s[WIDTH], x[WIDTH]{};\n    float cost;\n    int i;\n",
            {
                if acts {
                    format!(", u[{a}]")
                } else {
                    String::new()
                }
            }
        );
        let _ = writeln!(body, "    {}", normalize(name, "s"));
        if acts {
            self.helpers.scale = true;
            let _ = writeln!(body, "    {}", scale_action(name, "u", scales));
        }
        let seen: Vec<String> = cost.seen.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            self.private,
            "static const int {name}_seen[{}] = {{{}}};\n",
            seen.len(),
            seen.join(", ")
        );
        let copy = |to: &str, from: &str, count: usize| {
            format!("    for (i = 0; i < {count}; i++) {{\n        {to} = {from};\n    }}\n")
        };
        body += &copy("x[i]", &format!("s[{name}_seen[i]]"), seen.len());
        if !cost.state_only {
            body += &copy(&format!("x[{} + i]", seen.len()), "u[i]", a);
        }
        let _ = writeln!(body, "    cost = {name}_function(x);");
        if let Some(bound) = cost.bound {
            self.helpers.tanh = true;
            let bound = float(bound);
            let _ = writeln!(body, "    cost = {bound} * tanh_(cost / {bound});");
        }
        if let Some(weight) = cost.action_penalty {
            let weight = float(weight);
            body += "    {\n        float squares = 0.0f;\n";
            let _ = writeln!(
                body,
                "        for (i = 0; i < {a}; i++) {{\n            squares += u[i] * u[i];\n        }}"
            );
            let _ = writeln!(body, "        cost += {weight} * squares;\n    }}");
        }
        if let Some(base) = &cost.base {
            self.gaussian(base, "base", name);
            self.helpers.log_density = true;
            let _ = writeln!(
                body,
                "    {{\n        float mean[{a}], log_std[{a}];\n        base_gaussian(s, mean, log_std);\n        cost -= \
                 (float)log_density({a}, action, mean, log_std);\n    }}"
            );
        } else if !acts {
            body += "    (void)action;\n";
        }
        body += "    return cost;\n";
        self.function(
            name.into(),
            Second::Action,
            false,
            "The learned cost of a step, nats.",
            body,
        );
        if let Some(value) = &cost.value {
            self.value(value, name);
        }
    }

    /// The soft value, with the normaliser of the part `name`.
    fn value(&mut self, value: &PlainFunction, name: &str) {
        self.scalar_function(value, "value");
        let body = format!(
            "    float s[WIDTH];\n    {}\n    return value_function(s);\n",
            normalize(name, "s")
        );
        self.function(
            "value".into(),
            Second::Nothing,
            false,
            "The soft value V of a state, nats.",
            body,
        );
    }

    /// Constants of the normaliser.
    fn scales(&mut self, scales: &Scales, name: &str) {
        self.vector(&format!("{name}_mean_"), &scales.observation_mean);
        self.vector(&format!("{name}_std_"), &scales.observation_std);
        let clip = float(scales.observation_clip);
        let _ = writeln!(self.private, "static const float {name}_clip = {clip};\n");
        self.width = self.width.max(scales.observation_mean.len());
    }

    fn action_scales(&mut self, scales: &Scales, name: &str) {
        self.vector(&format!("{name}_centre"), &scales.action_centre);
        self.vector(&format!("{name}_half_range"), &scales.action_scale);
    }

    /// `NAME_gaussian(x, mean, log_std)` of a normalised observation, with the action scale of `scales`.
    fn gaussian(&mut self, parts: &ActorParts, name: &str, scales: &str) {
        let a = parts.scales.action_scale.len();
        self.network(&parts.layers, name);
        let (outputs, log_std) = match &parts.log_std {
            LogStd::Constant(log_std) => {
                self.vector(&format!("{name}_log_std"), log_std);
                (a, format!("{name}_log_std[i]"))
            }
            LogStd::Head { floor } => {
                self.helpers.softplus = true;
                let std = format!(
                    "{scales}_half_range[i] * ({} + softplus(out[{a} + i]))",
                    float(*floor)
                );
                (2 * a, format!("logf({std})"))
            }
        };
        let _ = write!(
            self.private,
            "static void {name}_gaussian(const float *x, float *mean, float *log_std)\n{{\n    float out[{outputs}];\n    \
             int i;\n    {name}_network(x, out);\n    for (i = 0; i < {a}; i++) {{\n        mean[i] = {scales}_centre[i] + \
             {scales}_half_range[i] * out[i];\n        log_std[i] = {log_std};\n    }}\n}}\n\n"
        );
    }

    /// `NAME_network(x, out)`.
    fn network(&mut self, layers: &[Dense], name: &str) {
        self.helpers.dense = true;
        self.helpers.tanh = true;
        let mut body = String::new();
        let last = layers.len() - 1;
        let buffers = ["a", "b"];
        for (i, layer) in layers.iter().enumerate() {
            let (rows, columns) = layer.weight.shape();
            // By rows, as safetensors files have them.
            let weight = layer.weight.transpose();
            self.vector(&format!("{name}_{i}_weight"), weight.as_slice());
            self.vector(&format!("{name}_{i}_bias"), layer.bias.as_slice());
            self.width = self.width.max(rows).max(columns);
            let from = if i == 0 { "x" } else { buffers[(i - 1) % 2] };
            let to = if i == last { "out" } else { buffers[i % 2] };
            let hidden = usize::from(i < last);
            let _ = writeln!(
                body,
                "    dense({name}_{i}_weight, {name}_{i}_bias, {rows}, {columns}, {from}, {to}, {hidden});"
            );
        }
        let declared = match last {
            0 => "",
            1 => "    float a[WIDTH];\n",
            _ => "    float a[WIDTH], b[WIDTH];\n",
        };
        let _ = write!(
            self.private,
            "static void {name}_network(const float *x, float *out)\n{{\n{declared}{body}}}\n\n"
        );
    }

    /// `NAME_function(x)`.
    fn scalar_function(&mut self, function: &PlainFunction, name: &str) {
        let body = match function {
            PlainFunction::Neural(layers) => {
                self.network(layers, name);
                format!("    float out[1];\n    {name}_network(x, out);\n    return out[0];\n")
            }
            PlainFunction::Features(layers) => {
                self.network(layers, name);
                let features = layers.last().map_or(0, |l| l.bias.len());
                format!(
                    "    float out[{features}], sum = 0.0f;\n    int i;\n    {name}_network(x, out);\n    for (i = 0; i < \
                     {features}; i++) {{\n        sum += out[i] * out[i];\n    }}\n    return sum;\n"
                )
            }
            PlainFunction::Quadratic { half, linear } => {
                self.vector(&format!("{name}_half"), half);
                self.vector(&format!("{name}_linear"), linear);
                let dim = linear.len();
                format!(
                    "    float sum = 0.0f;\n    int i, k;\n    for (i = 0; i < {dim}; i++) {{\n        float slope = \
                     {name}_linear[i];\n        for (k = 0; k < {dim}; k++) {{\n            slope += {name}_half[{dim} * i \
                     + k] * x[k];\n        }}\n        sum += slope * x[i];\n    }}\n    return sum;\n"
                )
            }
        };
        let _ = write!(
            self.private,
            "static float {name}_function(const float *x)\n{{\n{body}}}\n\n"
        );
    }

    /// A constant array.
    fn vector(&mut self, name: &str, values: &[f32]) {
        let _ = writeln!(
            self.private,
            "static const float {name}[{}] = {{",
            values.len()
        );
        for line in values.chunks(8) {
            let line: Vec<String> = line.iter().map(|v| float(*v)).collect();
            let _ = writeln!(self.private, "    {},", line.join(", "));
        }
        self.private += "};\n\n";
    }

    fn header(&self, exported: &Exported) -> String {
        let (spec, origin) = (&exported.spec, &exported.origin);
        let upper = self.name.to_uppercase();
        let mut text = format!(
            "/* {name}: {summary}\n *\n * Written by Costate {version} from {source}.\n",
            name = spec.name,
            summary = comment(&spec.summary),
            version = origin.costate_version,
            source = comment(&origin.source)
        );
        for part in &exported.parts {
            let _ = writeln!(text, " * {}: weights of SHA-256 {}", part.name, part.sha256);
        }
        let _ = writeln!(
            text,
            " * A control period is {} s. Actions are not clipped: clip them to the limits of the machine.\n *",
            spec.control_period_s
        );
        for (what, channels) in [
            ("observation", &spec.observation.0),
            ("action", &spec.action.0),
        ] {
            for (i, channel) in channels.iter().enumerate() {
                let channel = comment(&listed(std::slice::from_ref(channel)));
                let _ = writeln!(text, " * {what}[{i}]: {channel}{}", range(&channels[i]));
            }
        }
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        let _ = write!(
            text,
            " */\n#ifndef COSTATE_{upper}_H\n#define COSTATE_{upper}_H\n\n#ifdef __cplusplus\nextern \"C\" {{\n#endif\n\n\
             #define {upper}_OBSERVATIONS {o}\n#define {upper}_ACTIONS {a}\n\n"
        );
        for function in &self.functions {
            let _ = writeln!(
                text,
                "/* {} */\n{};\n",
                function.about,
                self.signature(function)
            );
        }
        text += "#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
        text
    }

    fn signature(&self, function: &Function) -> String {
        let [observations, actions] = self.lengths(function);
        let observation = format!("const float observation[{observations}]");
        let second = match function.second {
            Second::Nothing => String::new(),
            Second::Action => format!(", const float action[{actions}]"),
            Second::Noise => format!(", const float noise[{actions}]"),
        };
        let (kind, result) = match function.gives_action {
            true => ("void", format!(", float action[{actions}]")),
            // A density is computed in double precision.
            false if function.name.ends_with("log_density") => ("double", String::new()),
            false => ("float", String::new()),
        };
        format!(
            "{kind} {}_{}({observation}{second}{result})",
            self.name, function.name
        )
    }

    /// Lengths of what it takes and gives.
    fn lengths(&self, function: &Function) -> [String; 2] {
        let upper = self.name.to_uppercase();
        let times = |count: usize, what: &str| match count {
            1 => format!("{upper}_{what}"),
            _ => format!("{count} * {upper}_{what}"),
        };
        let [observations, actions] = function.times;
        [
            times(observations, "OBSERVATIONS"),
            times(actions, "ACTIONS"),
        ]
    }

    fn source(&self) -> String {
        let mut text = format!(
            "#include \"{name}.h\"\n\n#include <math.h>\n\n/* The widest vector. */\n#define WIDTH {width}\n\n",
            name = self.name,
            width = self.width
        );
        text += NORMALIZE;
        let helpers = [
            (self.helpers.tanh, TANH.to_owned()),
            (self.helpers.dense, DENSE.to_owned()),
            (self.helpers.scale, SCALE.to_owned()),
            (self.helpers.softplus, SOFTPLUS.to_owned()),
            (self.helpers.log_density, log_density()),
        ];
        for (used, helper) in helpers {
            if used {
                text += &helper;
            }
        }
        text += &self.private;
        for function in &self.functions {
            let _ = write!(
                text,
                "{}\n{{\n{}}}\n\n",
                self.signature(function),
                function.body
            );
        }
        text += &self.harness();
        text
    }

    /// A program around the functions: rows on standard input, results on standard output.
    fn harness(&self) -> String {
        let upper = self.name.to_uppercase();
        let names = self.functions.iter().map(|f| f.name.as_str());
        let first = &self.functions[0].name;
        let most = |i: usize| self.functions.iter().map(|f| f.times[i]).max().unwrap_or(1);
        let mut text = format!(
            "#ifdef COSTATE_MAIN\n/* cc -std=c99 -DCOSTATE_MAIN {name}.c -lm -o {name}; ./{name} [FUNCTION] < rows\n * A row is \
             an observation and what else the function takes, separated by spaces, commas or line ends.\n * FUNCTION: \
             {listed}; {first} by default. */\n#include <stdio.h>\n#include <string.h>\n\nstatic int row(float *to, int \
             count)\n{{\n    int i;\n    for (i = 0; i < count; i++) {{\n        if (scanf(\"%f%*1[,]\", &to[i]) != 1) {{\n            \
             return 0;\n        }}\n    }}\n    return 1;\n}}\n\nint main(int count, char **words)\n{{\n    const char *what = \
             count > 1 ? words[1] : \"{first}\";\n    float s[{observations} * {upper}_OBSERVATIONS], a[{actions} * \
             {upper}_ACTIONS], y[{actions} * {upper}_ACTIONS];\n    int i = 0;\n",
            name = self.name,
            observations = most(0),
            actions = most(1),
            listed = names.clone().collect::<Vec<_>>().join(", "),
        );
        for function in &self.functions {
            let name = format!("{}_{}", self.name, function.name);
            let [observations, actions] = self.lengths(function);
            let (more, second) = match function.second {
                Second::Nothing => ("", ""),
                Second::Action | Second::Noise => ("a", ", a"),
            };
            let more = match more {
                "" => String::new(),
                a => format!(" && row({a}, {actions})"),
            };
            let _ = write!(
                text,
                "    if (strcmp(what, \"{}\") == 0) {{\n        while (row(s, {observations}){more}) {{\n",
                function.name
            );
            if function.gives_action {
                let _ = write!(
                    text,
                    "            {name}(s{second}, y);\n            for (i = 0; i < {actions}; i++) {{\n                \
                     printf(i ? \" %.9g\" : \"%.9g\", (double)y[i]);\n            }}\n            printf(\"\\n\");\n"
                );
            } else {
                let _ = writeln!(
                    text,
                    "            printf(\"%.9g\\n\", (double){name}(s{second}));"
                );
            }
            text += "        }\n        return 0;\n    }\n";
        }
        text += "    (void)a;\n    (void)y;\n    (void)i;\n    fprintf(stderr, \"no function `%s` here\\n\", what);\n    return \
                 2;\n}\n#endif\n";
        text
    }
}

/// A number as C writes it, exactly.
fn float(value: f32) -> String {
    format!("{value:e}f")
}

/// Text within a comment.
fn comment(text: &str) -> String {
    text.replace("*/", "* /").replace(['\n', '\r'], " ")
}

fn range(channel: &Channel) -> String {
    format!(", {} to {}", channel.low, channel.high)
}

fn normalize(name: &str, to: &str) -> String {
    format!(
        "normalize((int)(sizeof {name}_mean_ / sizeof {name}_mean_[0]), observation, {name}_mean_, {name}_std_, {name}_clip, \
         {to});"
    )
}

fn scale_action(name: &str, to: &str, scales: &Scales) -> String {
    let a = scales.action_scale.len();
    format!("scale({a}, action, {name}_centre, {name}_half_range, {to});")
}

const NORMALIZE: &str = "\
static void normalize(int count, const float *x, const float *mean, const float *std, float clip, float *y)
{
    int i;
    for (i = 0; i < count; i++) {
        float v = (x[i] - mean[i]) / std[i];
        y[i] = v < -clip ? -clip : v > clip ? clip : v;
    }
}

";

const SCALE: &str = "\
static void scale(int count, const float *x, const float *centre, const float *half_range, float *y)
{
    int i;
    for (i = 0; i < count; i++) {
        y[i] = (x[i] - centre[i]) / half_range[i];
    }
}

";

/// As `costate_base::tanh::tanh`.
const TANH: &str = "\
/* tanh, within 6e-7, as Costate computes it: the rational function of the Eigen library. */
static float tanh_(float x)
{
    static const float odd[7] = {
        -2.7607685e-16f, 2.0001879e-13f, -8.604672e-11f, 5.1222971e-8f, 1.4857224e-5f, 6.3726193e-4f, 4.8935246e-3f};
    static const float even[4] = {1.1982584e-6f, 1.185347e-4f, 2.2684346e-3f, 4.8935252e-3f};
    float x2, p = odd[0], q = even[0];
    int i;
    x = x < -7.905311f ? -7.905311f : x > 7.905311f ? 7.905311f : x;
    x2 = x * x;
    for (i = 1; i < 7; i++) {
        p = p * x2 + odd[i];
    }
    for (i = 1; i < 4; i++) {
        q = q * x2 + even[i];
    }
    return x * p / q;
}

";

const DENSE: &str = "\
static void dense(const float *weight, const float *bias, int rows, int columns, const float *x, float *y, int hidden)
{
    int i, k;
    for (i = 0; i < rows; i++) {
        float sum = bias[i];
        for (k = 0; k < columns; k++) {
            sum += weight[(long)i * columns + k] * x[k];
        }
        y[i] = hidden ? tanh_(sum) : sum;
    }
}

";

const SOFTPLUS: &str = "\
static float softplus(float x)
{
    return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)));
}

";

fn log_density() -> String {
    format!(
        "\
static double log_density(int count, const float *action, const float *mean, const float *log_std)
{{
    double sum = 0.0;
    int i;
    for (i = 0; i < count; i++) {{
        double l = log_std[i], z = ((double)action[i] - (double)mean[i]) * exp(-l);
        sum += -0.5 * z * z - l + {constant:e};
    }}
    return sum;
}}

",
        constant = half_log_tau(1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_ones_of_c() {
        assert_eq!(identifier("cart_pole"), "cart_pole");
        assert_eq!(identifier("2-link arm"), "env_2_link_arm");
        for value in [0.0, -1.5, 1e-30, 3.402_823_5e38, 0.1] {
            let text = float(value);
            assert_eq!(text.trim_end_matches('f').parse::<f32>().unwrap(), value);
        }
        assert_eq!(comment("a */ b\nc"), "a * / b c");
    }
}
