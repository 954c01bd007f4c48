#!/usr/bin/env bash
# Tries an archive of `cargo xtask dist` as a class would: another user of the machine unpacks it in a path
# with spaces, without Rust, then records, trains and compares in the page, and reports.
#
#     cargo xtask dist && cargo xtask page    # the second makes the browser's environment
#     sudo tests/page/hand_out.sh target/dist/costate-0.1.0-x86_64-linux.tar.gz
#
# Makes a user for the while, so it needs root; works for both archives (costate-page only records).
set -euo pipefail

archive=$(realpath "${1:?usage: hand_out.sh ARCHIVE}")
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
((EUID == 0)) || { echo "error: expected to run as root, to make another user" >&2; exit 2; }
user=costate-learner
place=$(mktemp -d)
trap 'rm -rf "$place"; userdel "$user" 2>/dev/null || true' EXIT
useradd --no-create-home "$user"
chmod 755 "$place"
class="$place/For the class, 10 b"
mkdir "$class"
chown "$user" "$class"

# As the other user, with nothing of this one's environment.
other() {
    setpriv --reuid "$user" --regid "$user" --clear-groups \
        env -i PATH=/usr/bin:/bin HOME="$class" LANG=C.UTF-8 "$@"
}
for tool in cargo rustc; do
    if other sh -c "command -v $tool"; then
        echo "error: $tool is on the other user's PATH: this shows nothing" >&2
        exit 1
    fi
done

cd "$class"
other tar -xzf "$archive"
folder=$(echo "$class"/*/)
cd "$folder"
other sha256sum --check --quiet SHA256SUMS
program=$(basename "$folder" | sed 's/-[0-9].*//')
other "./$program" --version

# The browser is this user's, the server and all that it writes are the other's.
as_other=$place/$program
cat >"$as_other" <<END
#!/usr/bin/env bash
chown -R $user "$class/tests"
exec setpriv --reuid $user --regid $user --clear-groups \
    env -i PATH=/usr/bin:/bin HOME="$class" LANG=C.UTF-8 "$folder$program" "\$@"
END
chmod 755 "$as_other"
if [[ $program == costate ]]; then
    export COSTATE_PROGRAM=$as_other
else
    export COSTATE_PAGE=$as_other
fi
cd "$root"
target/page/bin/python -m pytest --quiet -p no:cacheprovider --basetemp "$class/tests" \
    tests/page/test_record.py tests/page/test_whole.py

[[ $program == costate ]] || exit 0
cd "$folder"
other ./costate record pendulum -n 25 -o datasets/swing --quiet
other ./costate train datasets/swing --algo bc -o run --quiet
other ./costate evaluate run --quiet
other ./costate report run --quiet
other ls -l run
