//! Writes the seeds of all corpora anew, where formats have changed: from this folder,
//! `cargo run --release --example seeds`, built as the targets are.

use std::fs;
use std::path::Path;

// Its counters are what the instrumented code links to.
use libfuzzer_sys as _;

use costate::cost::EnergyModel;
use costate::ebm::{self, GeneratorKind, Known, Method};
use costate::policy::{
    ActionScale, FlowPolicy, GaussianPolicy, ImplicitPolicy, Normalizer, PolicySettings, StdForm,
};
use costate::run::settings::{Override, resolve};
use costate::run::{Progress, RunConfig};
use costate_demos::dataset::{ExpertInfo, Header, encode_episode};
use costate_demos::export::{Format, export};
use costate_demos::import::{ChannelMap, Mapping, Request, import};
use costate_demos::{DatasetReader, DatasetWriter};
use costate_envs::actor::{Actor, ActorParts, Dense, LogStd, Scales};
use costate_envs::linear::{LinearController, LinearStep};
use costate_envs::registry;
use costate_envs::remote::Portable;
use costate_envs::rng::stream;
use costate_envs::{Channel, End, EnvConfig, EnvSpec, Episode, Space, Trajectory};
use serde_json::{Value, json};

fn put(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = Path::new("corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

fn main() {
    worlds();
    let folder = tempfile();
    datasets(&folder);
    tables();
    frames();
    words();
    formulas();
    settings();
    weights();
    energies();
    for name in ["d4rl", "minari", "robomimic"] {
        let file = format!("../demos/tests/data/{name}.hdf5");
        put("hdf5", name, fs::read(file).unwrap());
    }
    for (i, name) in ["pendulum-gan-gcl-25-0", "lq-bc-25-0"].iter().enumerate() {
        let text = fs::read_to_string(format!("../benches/results/{name}.json")).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        put("cell", &format!("cell{i}"), value.to_string());
    }
    put(
        "onnx",
        "swing",
        fs::read("../tests/book/swing.onnx").unwrap(),
    );
    fs::remove_dir_all(folder).unwrap();
}

fn tempfile() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("costate-seeds-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn worlds() {
    for name in registry::names() {
        let config = EnvConfig::named(name).unwrap();
        put("model", name, serde_json::to_vec(&config).unwrap());
        let parameters = config.parameters();
        let some = parameters.iter().filter(|(_, v)| v.is_number()).take(4);
        let lines: Vec<String> = some.map(|(key, value)| format!("{key}={value}")).collect();
        put("set", name, format!("{name}\n{}", lines.join("\n")));
    }
    let mut varied = EnvConfig::named("cart_pole").unwrap();
    varied.set("pole.mass_kg", "0.1..0.3").unwrap();
    put("model", "varied", serde_json::to_vec(&varied).unwrap());
    put(
        "set",
        "variant",
        "cart_pole\nlong_pole\npole.length_m=0.4..0.6\n",
    );
}

fn small_spec() -> EnvSpec {
    let channel = |name| Channel::new(name, "1", -1.0, 1.0);
    EnvSpec {
        name: "lq".into(),
        summary: "a test".into(),
        horizon: 4,
        control_period_s: 1.0,
        observation: Space(vec![channel("a"), channel("b")]),
        action: Space(vec![channel("u")]),
    }
}

fn small_episode(known: bool, end: End) -> Episode {
    let numbers = |n: usize| {
        (0..n)
            .map(|i| (i as f32 * 0.37).sin())
            .collect::<Vec<f32>>()
    };
    let densities = known.then(|| vec![-0.5; 3]);
    Episode {
        seed: 7,
        trajectory: Trajectory::new(2, 1, numbers(8), numbers(3), densities, end).unwrap(),
        costs: vec![0.5, 0.25, 1.0],
        success: Some(true),
    }
}

fn datasets(folder: &Path) {
    for (name, known, end) in [
        ("known", true, End::Terminated),
        ("unknown", false, End::Truncated),
    ] {
        let episode = small_episode(known, end);
        let mut file = vec![0];
        file.extend(encode_episode(0, &episode, true).unwrap());
        put("episode", name, file);
        let mut file = vec![1];
        file.extend(encode_episode(0, &episode, false).unwrap());
        put("episode", &format!("{name}-costless"), file);
    }
    let to = folder.join("recorded");
    let header = Header {
        env: EnvConfig::named("lq").unwrap(),
        spec: small_spec(),
        expert: ExpertInfo {
            name: "lqr".into(),
            parameters: json!({}),
            action_noise_std: vec![0.1],
            log_density_known: true,
        },
        seed: 7,
    };
    let mut writer = DatasetWriter::create(&to, header).unwrap();
    put("meta", "begun", fs::read(to.join("meta.json")).unwrap());
    for end in [End::Terminated, End::Truncated] {
        writer.append(&small_episode(true, end)).unwrap();
    }
    writer.finish().unwrap();
    put("meta", "recorded", fs::read(to.join("meta.json")).unwrap());
    put(
        "parquet",
        "recorded",
        fs::read(to.join("data/0/part-0.parquet")).unwrap(),
    );
    put(
        "minari",
        "own",
        fs::read(to.join("data/metadata.json")).unwrap(),
    );
    let own = to.join("data/0/part-0.parquet");
    fs::copy(own, "assets/minari.parquet").unwrap();
    let reader = DatasetReader::open(&to).unwrap();
    for (format, name) in [
        (Format::Csv, "out.csv"),
        (Format::Parquet, "out.parquet"),
        (Format::Npz, "out.npz"),
        (Format::LeRobot, "lerobot"),
        (Format::Minari, "minari-v0"),
    ] {
        export(&reader, format, &folder.join(name)).unwrap();
    }
    put(
        "parquet",
        "exported",
        fs::read(folder.join("out.parquet")).unwrap(),
    );
    put("npz", "exported", fs::read(folder.join("out.npz")).unwrap());
    let info = fs::read(folder.join("lerobot/meta/info.json")).unwrap();
    put("lerobot", "exported", info);
    let table = folder.join("lerobot/data/chunk-000/file-000.parquet");
    fs::copy(table, "assets/lerobot.parquet").unwrap();
    let described = fs::read(folder.join("minari-v0/data/metadata.json")).unwrap();
    put("minari", "exported", described);
    let csv = fs::read_to_string(folder.join("out.csv")).unwrap();
    put("csv", "exported", format!("a,b,u\n{csv}"));
    // An import's own description.
    let request = Request {
        sources: vec![folder.join("out.npz")],
        mapping: Mapping {
            dt_s: Some(0.1),
            ..Mapping::default()
        },
        attach: None,
    };
    let to = folder.join("imported");
    import(&request, &to).unwrap();
    put("meta", "imported", fs::read(to.join("meta.json")).unwrap());
}

fn tables() {
    put(
        "csv",
        "short",
        "x,y:m,u=push:N:-1..1\nx,y,u\n1,2,3\n4,5,6\n",
    );
    let mapping = Mapping {
        observations: vec![ChannelMap::of("x")],
        actions: vec![ChannelMap::of("u")],
        episode: Some("e".into()),
        time: Some("t".into()),
        gap_s: Some(1.0),
        terminated: Some("done".into()),
        reward: Some("r".into()),
        ..Mapping::default()
    };
    let table =
        "e;t;x;u;r;done\n0;0.0;1;2;-1;0\n0;0.1;1;2;-1;1\n0;0.2;2;;;\n1;0;3;1;0;0\n1;.1;3;1;0;1\n";
    let mapping = serde_json::to_string(&mapping).unwrap();
    put("csv", "mapped", format!("{mapping}\n{table}"));
}

fn frames() {
    let frame = |kind: u8, content: &[u8]| {
        let mut frame = (content.len() as u32 + 1).to_le_bytes().to_vec();
        frame.push(kind);
        frame.extend(content);
        frame
    };
    let world = serde_json::to_vec(&EnvConfig::named("lq").unwrap()).unwrap();
    let greeting = json!({ "protocol": 1, "identity": {
        "build": "b", "code": "c", "target": "t", "arithmetic": "a" } });
    let actor = |log_std, outputs: usize| {
        Actor::new(ActorParts {
            scales: Scales {
                observation_mean: vec![0.0; 2],
                observation_std: vec![1.0; 2],
                observation_clip: 10.0,
                action_centre: vec![0.0],
                action_scale: vec![1.0],
            },
            layers: vec![Dense {
                weight: nalgebra::DMatrix::from_element(outputs, 2, 0.5),
                bias: nalgebra::DVector::from_element(outputs, 0.25),
            }],
            log_std,
        })
        .unwrap()
    };
    let step = LinearStep {
        gain: nalgebra::DMatrix::from_element(1, 2, 0.5),
        offset: nalgebra::DVector::from_element(1, 0.25),
        factor: nalgebra::DMatrix::from_element(1, 1, 1.0),
    };
    let linear = LinearController::new(vec![step]).unwrap();
    let mut jobs = vec![0];
    jobs.extend((0..6_u64).flat_map(u64::to_le_bytes));
    let constant = actor(LogStd::Constant(vec![-1.0]), 1).parcel();
    let head = actor(LogStd::Head { floor: 0.1 }, 2).parcel();
    let requests = [
        frame(b'H', greeting.to_string().as_bytes()),
        frame(b'W', &world),
        frame(b'P', &constant),
        frame(b'J', &jobs),
    ];
    put("wire", "requests", requests.concat());
    put("wire", "head", frame(b'P', &head));
    put("wire", "linear", frame(b'P', &linear.parcel()));
    let mut episode = 3_u64.to_le_bytes().to_vec();
    for count in [2_u32, 2, 1] {
        episode.extend(count.to_le_bytes());
    }
    episode.extend([1, 2, 1]);
    episode.extend([0.5_f32; 8].iter().flat_map(|v| v.to_le_bytes()));
    episode.extend([-0.5_f64; 4].iter().flat_map(|v| v.to_le_bytes()));
    let replies = [
        frame(b'h', greeting.to_string().as_bytes()),
        frame(b'e', &episode),
        frame(b'x', b"12345678why"),
        frame(b'q', b"why not"),
    ];
    put("wire", "replies", replies.concat());
}

fn words() {
    let drive = r#"{"type":"open","env":"cart_pole","dataset":"hand","seed":3,"expert":"lqr"}
{"type":"begin"}
{"type":"input","n":1,"action":[0.5]}
{"type":"assist","share":0.5}
{"type":"speed","factor":0.5}
{"type":"pause"}
{"type":"go"}
{"type":"keep","tags":["good"]}
{"type":"undo"}
{"type":"begin","again":true}
{"type":"discard"}
{"type":"leave"}
"#;
    put("page", "drive", drive);
    let point = r#"{"type":"open","env":"reacher","variants":[],"dataset":"hand","take":true}
{"type":"begin"}
{"type":"input","n":1,"pointer":[0.1,0.2]}
{"type":"input","n":2}
{"type":"take","over":true}
{"type":"join","session":1,"key":"k"}
"#;
    put("page", "point", point);
    put(
        "guard",
        "cookie",
        "GET / HTTP\nHost: 127.0.0.1\nCookie: costate_80=5ca1ab1e\n",
    );
    put(
        "guard",
        "bearer",
        "POST /api/train\nHost: localhost:80\nOrigin: http://localhost:80\nAuthorization: Bearer 5ca1ab1e\n",
    );
    put(
        "guard",
        "welcome",
        "GET /?token=5ca1ab1e\nHost: [::1]:80\nsec-fetch-site: cross-site\nsec-fetch-mode: navigate\n",
    );
}

fn formulas() {
    for (name, text) in [
        (
            "maze",
            "sqrt(position_x^2 + (position_y - 1)^2) + 0.5*push_y",
        ),
        ("pendulum", "1 - cos + 0.1*velocity**2 + 1e-3*torque^2"),
        (
            "functions",
            "max(1, min(abs(sin), 2), atan2(sin, cos)) % 3 - ln E + tanh(-.5)",
        ),
        ("quoted", "{cos} * {sin} − τ / PI"),
    ] {
        put("formula", name, text);
    }
}

fn settings() {
    for entry in costate::learners::algorithm::all() {
        let algo = resolve(entry.name(), "pendulum", None, &[]).unwrap();
        let values = serde_json::to_value(&algo).unwrap();
        let own = values["settings"].clone();
        put(
            "settings",
            entry.name(),
            format!("{}\n\n{own}", entry.name()),
        );
    }
    put(
        "settings",
        "sets",
        "gan-gcl\niterations=3\nppo.clip=0.3\nbeta=1\npolicy.hidden=[4,4]\n",
    );
    let run = |algo: &str, cost: Option<Value>| {
        let config = json!({
            "format": costate::run::config::FORMAT,
            "costate_version": "0.1.0",
            "env": EnvConfig::named("lq").unwrap(),
            "demonstrations": cost.is_none().then(|| json!({
                "path": "demos", "fingerprint": "f", "episodes": 2, "expert_return": -1.0,
                "expert": "lqr", "noise_known": true,
            })),
            "cost": cost,
            "algo": resolve(algo, "lq", None, &[]).unwrap(),
            "seed": 0,
            "checkpoint_every": 10,
            "changes": [{ "from_iteration": 3, "key": "iterations", "from": 5, "to": 9 }],
        });
        let text = config.to_string();
        RunConfig::parse(&text, "config.json").unwrap();
        text
    };
    put("run", "bc", run("bc", None));
    put("run", "gan-gcl", run("gan-gcl", None));
    let cost = json!([{ "weight": 0.5, "source": { "formula": "s0^2" } }, { "weight": 1.0, "source": "true" }]);
    put("run", "rl", run("rl", Some(cost)));
}

fn scales() -> (Normalizer, ActionScale) {
    let half_range = ActionScale {
        centre: vec![0.0],
        half_range: vec![1.0],
    };
    (Normalizer::identity(2), half_range)
}

/// Both forms of a weights file: its bytes without their checksum, and the recipe.
fn put_weights(target: &str, name: &str, bytes: &[u8]) {
    let recipe = costate_fuzz::recipe(bytes).unwrap().to_string();
    let unsealed = costate_fuzz::safetensors(recipe.as_bytes()).unwrap();
    put(target, &format!("{name}.recipe"), recipe);
    if unsealed.len() <= 1 << 13 {
        put(target, name, unsealed);
    }
}

fn weights() {
    let mut rng = stream(0, "seeds", 0);
    for (name, std_form) in [
        ("constant", StdForm::Constant),
        ("network", StdForm::Network),
    ] {
        let settings = PolicySettings {
            hidden: vec![3],
            std_form,
            std_floor: 0.02,
            std_initial: 0.5,
        };
        let (normalizer, scale) = scales();
        let policy = GaussianPolicy::new("lq", &settings, normalizer, scale, &mut rng);
        put_weights("policy", name, &policy.to_bytes().unwrap());
    }
    let (normalizer, scale) = scales();
    let ibc = serde_json::to_value(resolve("ibc", "lq", None, &[]).unwrap()).unwrap();
    let mut own = ibc["settings"]["policy"].clone();
    own["hidden"] = json!([3]);
    let own = serde_json::from_value(own).unwrap();
    let policy = ImplicitPolicy::new("lq", &own, normalizer, scale, &mut rng);
    put_weights("policy", "implicit", &policy.to_bytes().unwrap());
    let (normalizer, scale) = scales();
    let flow = serde_json::from_value(json!({
        "hidden": [3], "chunk": 2, "execute": 1, "history": 1, "steps": 2,
    }))
    .unwrap();
    let policy = FlowPolicy::new("lq", &flow, normalizer, scale, &mut rng);
    put_weights("policy", "flow", &policy.to_bytes().unwrap());
    for form in ["neural", "features", "quadratic"] {
        let settings = serde_json::from_value(json!({
            "form": form, "hidden": [3], "start_value": true, "bound": 0.0,
        }))
        .unwrap();
        let (normalizer, scale) = scales();
        let cost = EnergyModel::new(
            "lq",
            &settings,
            &[],
            normalizer.clone(),
            scale.clone(),
            &mut rng,
        );
        put_weights("cost", form, &cost.to_bytes().unwrap());
        if form == "neural" {
            let settings = PolicySettings {
                hidden: vec![2],
                std_form: StdForm::Constant,
                std_floor: 0.02,
                std_initial: 0.5,
            };
            let base = GaussianPolicy::new("lq", &settings, normalizer, scale, &mut rng);
            let relative = cost.with_base(base);
            put_weights("cost", "relative", &relative.to_bytes().unwrap());
        }
    }
    let learner = costate_fuzz::learner();
    let state = learner.save().to_bytes(&Progress::default()).unwrap();
    put_weights("checkpoint", "gan-gcl", &state);
}

fn energies() {
    let table = Known::named("banana").unwrap().sample(60, 1);
    let few = [
        ("rounds", "2"),
        ("checks", "1"),
        ("hidden", "[3]"),
        ("flow.hidden", "[3]"),
        ("flow.layers", "2"),
        ("flow.steps", "2"),
        ("flow.components", "1"),
        ("mixture.components", "2"),
        ("ais.chains", "100"),
        ("ais.temperatures", "2"),
    ]
    .map(|(key, value)| Override {
        key: key.into(),
        value: value.into(),
    });
    for (name, method, generator) in [
        ("flow", Method::Gan, GeneratorKind::Flow),
        ("mixture", Method::Gan, GeneratorKind::Mixture),
        ("langevin", Method::Langevin, GeneratorKind::Flow),
    ] {
        let settings = ebm::Settings::of(method).unwrap().with(&few).unwrap();
        let request = ebm::Request {
            table: &table,
            source: "t",
            method,
            generator,
            held_out: 0.2,
            samples: 10,
            settings: &settings,
            seed: 3,
        };
        let interrupt = std::sync::atomic::AtomicBool::new(false);
        let mut watch = ebm::Watch {
            interrupt: &interrupt,
            report: &mut |_, _, _, _| {},
        };
        let fit = ebm::fit(&request, &mut watch).unwrap();
        put_weights("energy", name, &fit.model.to_bytes().unwrap());
    }
}
