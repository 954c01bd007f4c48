//! `costate view`: a picture of a subject, or the page.

mod film;
mod page;
mod picture;

use super::common::Output;
use crate::error::Error;

/// Arguments of `costate view`.
#[derive(clap::Args)]
#[command(after_help = "\
SUBJECT is the name of an environment (its best expert acts), a dataset folder (a recorded episode is
replayed) or a run folder (the learned policy acts by its mean). A folder with an environment's name
is meant by ./NAME. A training or recording in which an episode failed keeps that one as
failed-episode.json, which is shown up to its last step.

Without SUBJECT a page opens in the browser: record demonstrations by hand, watch trainings, compare.

Examples:
  costate view
  costate view --demos my-datasets --runs my-runs --port 8080 --no-open
  costate view cart_pole_swing_up --gif swing.gif
  costate view point_mass --random --seed 3 --png lost.png
  costate view datasets/pendulum-energy --episode 4 --png swing.png --at 60
  costate view runs/point_fork-ibc-0 --stochastic --episodes 50 --png ways.png
  costate view runs/pendulum-gan-gcl-0/failed-episode.json --png failed.png
  costate view runs/pendulum-gan-gcl-0 --gif learned.gif --size 480 --json")]
pub struct Args {
    /// Environment, dataset folder, run folder, or a failed-episode.json.
    subject: Option<String>,
    #[command(flatten)]
    picture: picture::Args,
    #[command(flatten)]
    page: page::Args,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    match args.subject {
        Some(name) => picture::run(&name, &args.picture, output),
        None if args.picture == picture::Args::default() => page::serve(args.page, output),
        None => Err(Error::Misuse(
            "a picture needs a SUBJECT: an environment, a dataset folder or a run folder; without one and without flags \
             of pictures, the page is served"
                .into(),
        )),
    }
}
