"""Records by a scripted player with a person's hands, through the socket that a page uses.

    target/release/costate-page --demos work --port 8123
    python benches/page/hand_like.py http://127.0.0.1:8123 work/results.json

The player is shown what an expert would do (as a person may be), but acts late and coarsely: on what it
saw 200 ms ago, with changes at most ten times a second. By keys an action is nothing or all; by mouse the
pointer is put where the expert is heading.
Needs the package websockets (17.4).
"""

import argparse
import json
import sys
import time
from collections import deque

from websockets.sync.client import connect

DELAY_S = 0.2
CHANGES_PER_S = 10
LOOK_S = 0.01
# By keys, from which share of an action's half range on a key is pressed.
PRESSED = 0.35
# The expert of `push_t` brings its puck (0.5 kg, 4 N s/m, 6 N) to a speed in 0.1 s, and to where it is heading in 0.15 s.
MASS_KG, DAMPING_N_S_M, GEAR_N = 0.5, 4.0, 6.0
RESPONSE_S, HEADING_S = 0.1, 0.15

# Environment, speed, device.
CASES = [("point_mass", 1.0, "keys"), ("lunar_lander", 0.25, "keys"), ("push_t", 0.25, "mouse")]


def keys(frame, channels):
    """Each action at its bound or at rest, by the sign of what the expert would do."""
    action = []
    for value, channel in zip(frame["expert"], channels):
        low, high = channel["low"], channel["high"]
        rest = min(max(0.0, low), high)
        if value > rest + PRESSED * (high - rest):
            action.append(high)
        elif value < rest - PRESSED * (rest - low):
            action.append(low)
        else:
            action.append(rest)
    return {"action": action}


def mouse(frame, _):
    """The pointer where the expert is heading: x + T w, with w the speed that its push u is for.

    u G = d w + m (w − v) / r, the servo of demos/src/experts/puck.rs.
    """
    x, v = frame["observation"][:2], frame["observation"][6:8]
    gain = MASS_KG / RESPONSE_S
    wanted = [(GEAR_N * u + gain * v[i]) / (DAMPING_N_S_M + gain) for i, u in enumerate(frame["expert"])]
    return {"pointer": [x[i] + HEADING_S * wanted[i] for i in (0, 1)]}


def play(socket, channels, hand):
    """One episode; ends when the world does."""
    seen, changed, n = deque(), 0.0, 0
    last = None
    while True:
        try:
            frame = json.loads(socket.recv(timeout=LOOK_S))
            if frame["type"] == "refused":
                sys.exit(frame["message"])
            if frame["type"] == "frame":
                if frame["phase"] == "over":
                    return
                if frame["phase"] == "running" and frame["expert"] is not None:
                    seen.append((time.monotonic(), frame))
        except TimeoutError:
            pass  # Hands move between frames, too: in slow motion these are far apart.
        now = time.monotonic()
        while len(seen) > 1 and seen[1][0] <= now - DELAY_S:
            seen.popleft()
        if not seen or seen[0][0] > now - DELAY_S or now - changed < 1 / CHANGES_PER_S:
            continue
        doing = hand(seen[0][1], channels)
        if doing != last:
            n += 1
            socket.send(json.dumps({"type": "input", "n": n, **doing}))
            last, changed = doing, now


def until(socket, kind):
    while True:
        answer = json.loads(socket.recv())
        if answer["type"] == "refused":
            sys.exit(answer["message"])
        if answer["type"] == kind:
            return answer


def record(url, env, speed, device, episodes):
    address = url.replace("http", "ws", 1).rstrip("/") + "/api/drive"
    kept = []
    with connect(address) as socket:
        say = lambda kind, **rest: socket.send(json.dumps({"type": kind, **rest}))
        say("open", env=env, dataset=f"{env}-hand", expert="")
        opened = until(socket, "opened")
        say("speed", factor=speed)
        for _ in range(episodes):
            say("begin")
            play(socket, opened["action"], {"keys": keys, "mouse": mouse}[device])
            say("keep", tags=[device])
            answer = until(socket, "kept")
            kept.append(answer["true_return"])
            print(f"{env}: episode {answer['id']}, {answer['steps']} steps, return {answer['true_return']:.2f}", flush=True)
        say("leave")
    return {"env": env, "speed": speed, "device": device, "expert": opened["expert"], "returns": kept}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("output")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--envs", nargs="+", help="only these")
    args = parser.parse_args()
    cases = [case for case in CASES if not args.envs or case[0] in args.envs]
    results = [record(args.url, *case, args.episodes) for case in cases]
    with open(args.output, "w") as file:
        json.dump({"delay_s": DELAY_S, "changes_per_s": CHANGES_PER_S, "recordings": results}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
