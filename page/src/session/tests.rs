//! Worlds driven without clock and network.

use std::path::Path;

use costate_demos::dataset::{DatasetReader, Meta, Status};
use costate_demos::inspect::{self, Replay};

use super::*;
use crate::protocol::Who;
use crate::views::DatasetView;

fn open(env: &str, expert: Option<&str>) -> Open {
    Open {
        env: env.into(),
        variants: Vec::new(),
        dataset: "hand".into(),
        seed: 3,
        expert: expert.map(str::to_owned),
        run: None,
        take: false,
    }
}

fn stand(shelf: &Arc<Shelf>, open: &Open, policy: Option<(String, crate::learning::Act)>) -> Stand {
    let config = EnvConfig::named(&open.env).unwrap();
    let name = Name::parse(&open.dataset).unwrap();
    let factory = config.factory().unwrap();
    let keeper = Keeper::new(shelf.clone(), name, factory, open.seed).unwrap();
    Stand::open(open, config, keeper, policy).unwrap()
}

fn shelf(folder: &Path) -> Arc<Shelf> {
    Arc::new(Shelf::new(folder.join("demos")))
}

fn begin(stand: &mut Stand) {
    stand.follow(Said::Begin { again: false }).unwrap();
    stand.run();
}

fn push(stand: &mut Stand, n: u64, value: f32) {
    let input = Said::Input {
        n,
        action: Some(vec![value]),
        pointer: None,
    };
    stand.follow(input).unwrap();
}

fn keep(stand: &mut Stand, tags: &[&str]) -> Answer {
    let tags = tags.iter().map(|t| (*t).to_owned()).collect();
    stand.follow(Said::Keep { tags }).unwrap().unwrap()
}

fn view(shelf: &Shelf) -> DatasetView {
    shelf.view(&Name::parse("hand").unwrap()).unwrap()
}

#[test]
fn what_is_kept_is_a_sound_dataset_that_replays_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let mut stand = stand(&shelf, &open("cart_pole", None), None);
    for (attempt, steps) in [(1, 7), (2, 30)] {
        begin(&mut stand);
        for t in 0..steps {
            push(&mut stand, t, if t % 3 == 0 { 0.5 } else { -0.25 });
            stand.step().unwrap();
        }
        assert_eq!(stand.frame(0.0).attempt, attempt);
        stand.follow(Said::Pause).unwrap();
        match keep(&mut stand, &["good"]) {
            Answer::Kept {
                id, steps: kept, ..
            } => assert_eq!((id as u64 + 1, kept as u64), (attempt, steps)),
            other => panic!("{other:?}"),
        }
        let report = inspect::check(&folder.path().join("demos/hand")).unwrap();
        assert!(
            report.is_sound() && report.status == Status::Complete,
            "{report:?}"
        );
        assert!(
            matches!(report.replay, Some(Replay::Exact { .. })),
            "{report:?}"
        );
    }
    let meta = Meta::open(&folder.path().join("demos/hand")).unwrap();
    assert_eq!(meta.expert.name, "human");
    assert!(meta.random_return.is_some() && !meta.expert.log_density_known);
    assert_eq!(meta.episodes[1].tags, ["good"]);
    assert_ne!(meta.episodes[0].seed, meta.episodes[1].seed);
}

#[test]
fn the_last_keep_is_undone_though_others_were_deleted_since() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let mut stand = stand(&shelf, &open("cart_pole", None), None);
    for steps in [3, 5, 8] {
        begin(&mut stand);
        (0..steps).for_each(|_| stand.step().unwrap());
        stand.follow(Said::Pause).unwrap();
        keep(&mut stand, &[]);
    }
    let name = Name::parse("hand").unwrap();
    shelf.delete(&name, &[0]).unwrap();
    let undone = stand.follow(Said::Undo).unwrap();
    assert_eq!(undone, Some(Answer::Undone { episodes: 1 }));
    assert_eq!(view(&shelf).list[0].steps, 5);
    // Undoing the deletion would bring back what was undone since.
    assert!(!view(&shelf).undo);
    stand.follow(Said::Undo).unwrap();
    assert!(
        !folder.path().join("demos/hand").exists(),
        "the only episode is gone"
    );
    assert!(stand.follow(Said::Undo).is_err());
    begin(&mut stand);
    stand.step().unwrap();
    stand.follow(Said::Pause).unwrap();
    keep(&mut stand, &[]);
    assert_eq!(view(&shelf).list.len(), 1);
}

#[test]
fn deletions_and_tags_are_undone_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let name = Name::parse("hand").unwrap();
    let mut stand = stand(&shelf, &open("cart_pole", None), None);
    for steps in [3, 5] {
        begin(&mut stand);
        (0..steps).for_each(|_| stand.step().unwrap());
        stand.follow(Said::Pause).unwrap();
        keep(&mut stand, &[]);
    }
    let before = view(&shelf);
    let tagging = |add: &str| crate::shelf::Tagging {
        episodes: vec![1],
        add: vec![add.into()],
        remove: Vec::new(),
    };
    assert_eq!(shelf.tag(&name, tagging("x")).unwrap().list[1].tags, ["x"]);
    assert_eq!(shelf.undo(&name).unwrap().list, before.list);
    assert!(shelf.delete(&name, &[0, 1]).unwrap().list.is_empty());
    assert_eq!(shelf.undo(&name).unwrap().list, before.list);
    assert!(shelf.undo(&name).is_err(), "only the last change");
    assert!(shelf.delete(&name, &[7]).is_err() && shelf.delete(&name, &[]).is_err());
    shelf.settle(None);
    let left = std::fs::read_dir(folder.path().join("demos"))
        .unwrap()
        .count();
    assert_eq!(left, 1, "nothing hidden stays");
}

#[test]
fn with_all_of_the_action_the_expert_balances_alone() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let mut stand = stand(&shelf, &open("cart_pole", Some("lqr")), None);
    stand.follow(Said::Assist { share: 1.0 }).unwrap();
    begin(&mut stand);
    while stand.phase() == Phase::Running {
        push(&mut stand, 0, 1.0);
        stand.step().unwrap();
    }
    let frame = stand.frame(0.0);
    assert!(frame.total_cost < 5.0 && frame.step == 500, "{frame:?}");
    assert_eq!(frame.expert.as_ref(), Some(&frame.action));
    keep(&mut stand, &[]);
    let meta = Meta::open(&folder.path().join("demos/hand")).unwrap();
    assert_eq!(meta.expert.parameters["share_of_expert"], 1.0);
    assert_eq!(meta.expert.parameters["assisting_expert"], "lqr");
}

#[test]
fn a_correction_holds_what_the_person_did_after_taking_over() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let policy: crate::learning::Act = Box::new(|_, action| action.fill(0.125));
    let mut stand = stand(
        &shelf,
        &open("cart_pole", None),
        Some(("run-1".into(), policy)),
    );
    begin(&mut stand);
    for _ in 0..4 {
        stand.step().unwrap();
        assert_eq!(stand.frame(0.0).action, [0.125]);
    }
    stand.follow(Said::Pause).unwrap();
    let nothing = stand.follow(Said::Keep { tags: Vec::new() });
    assert!(nothing.unwrap_err().message.contains("take over"));
    stand.follow(Said::Go).unwrap();
    stand.follow(Said::Take { over: true }).unwrap();
    assert_eq!(stand.frame(0.0).who, Who::Person);
    for n in 0..6 {
        push(&mut stand, n, -0.5);
        stand.step().unwrap();
    }
    stand.follow(Said::Pause).unwrap();
    keep(&mut stand, &[]);
    let path = folder.path().join("demos/hand");
    let dataset = DatasetReader::open(&path).unwrap();
    let meta = dataset.meta();
    assert_eq!(meta.expert.parameters["corrected_run"], "run-1");
    let episode = costate_demos::dataset::load_episode(&path, &meta.episodes[0], meta).unwrap();
    assert_eq!(episode.trajectory.actions(), [-0.5; 6]);
    assert_eq!(episode.trajectory.observations().len(), 7 * 5);
}

#[test]
fn words_out_of_place_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut stand = stand(&shelf(folder.path()), &open("cart_pole", None), None);
    let bad = [
        Said::Pause,
        Said::Go,
        Said::Discard,
        Said::Keep { tags: Vec::new() },
        Said::Undo,
        Said::Speed { factor: 3.0 },
        Said::Speed { factor: f64::NAN },
        Said::Assist { share: 0.5 },
        Said::Take { over: true },
        Said::Leave,
        Said::Input {
            n: 1,
            action: Some(vec![0.0; 2]),
            pointer: None,
        },
        Said::Input {
            n: 1,
            action: Some(vec![f32::NAN]),
            pointer: None,
        },
        Said::Input {
            n: 1,
            action: Some(vec![0.0]),
            pointer: Some([0.0; 2]),
        },
        Said::Input {
            n: 1,
            action: None,
            pointer: Some([f64::INFINITY, 0.0]),
        },
    ];
    let before = stand.frame(0.0);
    for said in bad {
        assert!(stand.follow(said.clone()).is_err(), "{said:?}");
        assert_eq!(stand.frame(0.0), before, "{said:?}");
    }
    // Commands are cut at the channels' bounds.
    begin(&mut stand);
    push(&mut stand, 1, 1e9);
    stand.step().unwrap();
    assert_eq!(stand.frame(0.0).action, [1.0]);
    // An episode is not lost to a second start.
    stand.follow(Said::Pause).unwrap();
    assert!(stand.follow(Said::Begin { again: false }).is_err());
    let seed = stand.frame(0.0).observation.clone();
    stand.follow(Said::Begin { again: true }).unwrap();
    assert_ne!(stand.frame(0.0).observation, seed);
    assert_eq!(stand.frame(0.0).step, 0);
}

#[test]
fn a_dataset_of_an_expert_or_of_another_world_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = shelf(folder.path());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demos/data/lq");
    let place = folder.path().join("demos/hand");
    std::fs::create_dir_all(place.join("data/0")).unwrap();
    for file in ["meta.json", "data/0/part-0.parquet", "data/0/metadata.json"] {
        std::fs::copy(shipped.join(file), place.join(file)).unwrap();
    }
    let name = || Name::parse("hand").unwrap();
    let factory = |env: &str| EnvConfig::named(env).unwrap().factory().unwrap();
    let refused = Keeper::new(shelf.clone(), name(), factory("lq"), 0);
    assert!(refused.err().unwrap().message.contains("log-densities"));
    std::fs::remove_dir_all(&place).unwrap();
    let mut stand = stand(&shelf, &open("cart_pole", None), None);
    begin(&mut stand);
    stand.step().unwrap();
    stand.follow(Said::Pause).unwrap();
    keep(&mut stand, &[]);
    let held = Keeper::new(shelf.clone(), name(), factory("cart_pole"), 0);
    assert_eq!(held.err().unwrap().fault, crate::learning::Fault::Conflict);
    drop(stand);
    let other = Keeper::new(shelf.clone(), name(), factory("pendulum"), 0);
    assert!(other.err().unwrap().message.contains("recorded on another"));
}
