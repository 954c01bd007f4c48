//! The motion section: synchronised animations, and a film strip each for whoever opens them.

use super::run::{Group, Kind, algo_title};
use super::scene;
use super::text::escape;
use super::{Motion, player, strip};

/// Motions by environment, those of several runs side by side.
pub(super) fn html(groups: &[Group]) -> Option<String> {
    let members = groups.iter().flat_map(|g| &g.members);
    let all: Vec<&Motion> = members.flat_map(|m| m.motions()).collect();
    let limit = player::frame_limit(&all);
    let mut out = String::new();
    for group in groups {
        let shown = shown(group);
        if shown.is_empty() {
            continue;
        }
        let motions: Vec<&Motion> = shown.iter().map(|(_, m)| *m).collect();
        let camera = scene::camera(&motions);
        let times = strip::pose_times(&motions);
        out += &group.heading();
        out += &player::html(&shown, camera, limit);
        let strip = |(label, motion): &(String, &Motion)| {
            let label = escape(label);
            format!("<h4>{label}</h4>{}", strip::html(motion, camera, &times))
        };
        let strips: String = shown.iter().map(strip).collect();
        out += &format!(
            "<details><summary>Stills</summary>{strips}<p class=\"note\">Poses are closer in time where there is more \
             motion; faint poses lead up to each.</p></details>"
        );
    }
    (!out.is_empty()).then_some(out)
}

/// The motions of a group with their names. Runs compared on the same start share the expert's
/// episode, which is shown once.
fn shown<'a>(group: &Group<'a>) -> Vec<(String, &'a Motion)> {
    let mut found: Vec<(&str, Kind, &Motion)> = Vec::new();
    for member in &group.members {
        for motion in member.motions() {
            let same = |m: &Motion| m.label == motion.label && m.scenes == motion.scenes;
            if !found.iter().any(|(_, _, m)| same(m)) {
                found.push((&member.label, member.kind(&motion.label), motion));
            }
        }
    }
    found.sort_by_key(|(_, kind, _)| *kind != Kind::Expert);
    let name = |(run, kind, motion): &(&str, Kind, &Motion)| {
        let label = algo_title(&motion.label);
        let ambiguous = found
            .iter()
            .filter(|(_, _, m)| m.label == motion.label)
            .count()
            > 1;
        match kind {
            Kind::Learned if group.members.len() > 1 => (*run).to_owned(),
            _ if ambiguous => format!("{label} ({run})"),
            _ => label,
        }
    };
    found.iter().map(|entry| (name(entry), entry.2)).collect()
}
