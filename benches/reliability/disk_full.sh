#!/bin/bash
# A disk that gets full while Costate records, trains, evaluates, exports and reports: a clear error, nothing earlier
# harmed, and everything goes on once there is space.
#   usage: [unshare -rm] benches/reliability/disk_full.sh target/release/costate
# It mounts small file systems in memory, which takes root, or `unshare -rm` in front. Exit code 0 when all is well.
set -u
costate=$(realpath "$1")
work=$(mktemp -d)
disk=$work/disk
mkdir "$disk"
trap 'umount "$disk" 2>/dev/null; rm -rf "$work"' EXIT
mount -t tmpfs -o size=2m tmpfs "$disk" || exit 9
cd "$work" || exit 9
wrong=0

# expect CODE TEXT COMMAND…: the exit code, and one line on standard error that holds the text.
expect() {
    local code=$1 text=$2
    shift 2
    "$costate" -q "$@" >out 2>err
    local got=$?
    if [ $got != "$code" ] || { [ -n "$text" ] && ! grep -q "$text" err; } || grep -q panicked err; then
        echo "WRONG: costate $* ended with $got: $(head -c 300 err)"
        wrong=1
    else
        echo "$code: costate $*${text:+: $(tail -1 err | sed "s|$work|…|g" | cut -c1-110)}"
    fi
}
same() { cmp -s "$1" "$2" || { echo "WRONG: $1 and $2 differ"; wrong=1; }; }
full() { dd if=/dev/zero of="$disk/fill" bs=1k status=none 2>/dev/null; }
space() { rm -f "$disk/fill"; mount -o remount,size=80m "$disk"; }
left() { find "$disk" -name '*.tmp' | grep . && { echo "WRONG: half-written files are left"; wrong=1; }; }
sums() { (cd "$1" && find . -type f ! -name fill ! -name .lock | sort | xargs sha256sum); }

"$costate" -q record pendulum -n 300 -o whole >/dev/null
"$costate" -q record lq -n 8 -o small >/dev/null
learn="small --algo gail --set iterations=8 --checkpoint-every 1"
"$costate" -q train $learn -o trained >/dev/null

echo "# record"
expect 1 'No space left' record pendulum -n 300 -o "$disk/d"
left
expect 0 '' demos check "$disk/d"
expect 1 'No space left' record --resume -o "$disk/d"
space
expect 0 '' record --resume -o "$disk/d"
same whole/meta.json "$disk/d/meta.json"
rm -rf "$disk/d"

echo "# train"
mount -o remount,size=600k "$disk"
expect 1 'No space left' train $learn -o "$disk/r"
left
full
expect 1 'No space left' train --resume -o "$disk/r"
space
expect 0 '' train --resume -o "$disk/r"
same trained/policy.safetensors "$disk/r/policy.safetensors"
same trained/cost.safetensors "$disk/r/cost.safetensors"

echo "# evaluate, report, view, export, import, edit, ebm"
"$costate" -q evaluate "$disk/r" -n 3 --no-robustness >/dev/null
"$costate" -q demos export small --to csv -o "$disk/rows.csv" >/dev/null
cp -r small "$disk/d"
seq 1 300 | awk 'BEGIN { print "a,b" } { print $1 / 300 "," ($1 * 37 % 101) / 101 }' >points.csv
full
sums "$disk" >before
for command in "evaluate $disk/r -n 3 --no-robustness" "report $disk/r" "view $disk/r --gif $disk/x.gif" \
    "export $disk/r --to onnx,c -o $disk/exported" "demos export small --to csv -o $disk/again.csv" \
    "demos edit $disk/d --tag good --in-place" "ebm points.csv --set rounds=1 -o $disk/e"; do
    expect 1 'No space left' $command
done
left
sums "$disk" >after
same before after
space
for command in "evaluate $disk/r -n 3 --no-robustness" "report $disk/r" "view $disk/r --gif $disk/x.gif" \
    "export $disk/r --to onnx,c -o $disk/exported" "demos export small --to csv -o $disk/again.csv" \
    "demos edit $disk/d --tag good --in-place" "ebm points.csv --set rounds=1 -o $disk/e"; do
    expect 0 '' $command
done
[ $wrong = 0 ] && echo "all as it should be"
exit $wrong
