#!/usr/bin/env bash
# Makes files of every kind by one build of Costate, for tests/compatibility.rs: those of earlier builds stay readable.
#   usage: tests/compatibility/make.sh target/debug/costate 2026-11-27
# Run it when a format gets a new version, with the build before; what is kept is never changed.
set -euo pipefail
costate=$(realpath "$1")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")/$2
# Files name folders.
work=/tmp/costate-files
rm -rf "$work"
mkdir "$work"
cd "$work"
run() { "$costate" --quiet "$@" >/dev/null || echo "not made by this build: $*"; }

run record lq -n 2 -o plain
cp -r plain appended
run record --append -n 1 --seed 7 -o appended
run demos edit plain --tag good -o tagged
{
    echo run,x,y,u
    for i in $(seq 0 23); do echo "$((i / 8)),$((i % 8)).5,$((i * 7 % 5)),0.$((i % 3))"; done
} >rows.csv
run demos import rows.csv --dt 0.1 --episode run --observations x,y --actions u -o table
run demos export plain --to csv -o lq.csv
run demos import lq.csv --episode episode --time time --observations s0,s1 --env lq --observations-only -o observed
small=(--set iterations=2 --set policy.hidden=[8] --checkpoint-every 1)
run train plain --algo bc "${small[@]}" -o bc
learn=("${small[@]}" --set cost.hidden=[8] --set trajectories=2)
run train plain --algo gan-gcl "${learn[@]}" --set ppo.critic_hidden=[8] --set validation.policies=1 \
    --set validation.iterations=1 -o gan-gcl
run train plain --algo airl "${learn[@]}" --set ppo.critic_hidden=[8] -o airl
run evaluate gan-gcl -n 2 --no-robustness
run train --algo rl --env lq --cost gan-gcl:1 "${small[@]}" --set trajectories=2 --set ppo.critic_hidden=[8] -o rl
run train plain --algo flow-bc --set iterations=2 --set policy.hidden=[8] -o flow-bc
run train plain --algo ibc --set iterations=2 --set policy.hidden=[8] -o ibc
run expert lq --set iterations=2 --set trajectories=2 --set policy.hidden=[8] --set ppo.critic_hidden=[8] -o expert
{
    echo a,b
    for i in $(seq 60); do echo "$((i * 37 % 100)).5,$((i * 61 % 89)).25"; done
} >points.csv
run ebm points.csv --set rounds=1 -o energy
run bench results --envs lq --methods bc --seeds 0 -o cells --work work
rm -rf work ./*.csv */tensorboard */.lock */report.html */.baselines energy/landscape.* energy/samples.csv cells/README.md
mkdir -p "$here"
cp -r . "$here"
