"""Answers of a learning side, for pages of a server that has none."""

import json
import math

RUN = {
    "name": "cart_pole-gan-gcl", "env": "cart_pole", "algo": "gan-gcl", "demonstrations": "cart_pole", "seed": 0,
    "state": "running", "iterations": 40, "planned": 100, "ours": True, "policy": True, "cost": True, "score": 0.71,
    "changed_s": 1_700_000_000,
}
FOREIGN = {**RUN, "name": "elsewhere", "ours": False, "algo": "bc", "cost": False, "score": None}


def setting(key, about, default, common=False, choices=(), low=None, high=None):
    return {"key": key, "about": about, "default": default, "choices": list(choices), "low": low, "high": high, "common": common}


FORMS = [
    {"algo": "gan-gcl", "about": "learns a cost and a policy", "settings": [
        setting("iterations", "Iterations in all", 400, common=True, low=1),
        setting("learning_rate", "Step size of Adam", 0.003, common=True, low=0, high=1),
        setting("policy.hidden", "Widths of hidden layers", [64, 64]),
        setting("policy.std_form", "Form of the standard deviation", "constant", choices=["constant", "network"])]},
    {"algo": "bc", "about": "learns a policy alone", "settings": [setting("iterations", "Passes", 40, common=True, low=1)]},
]


class Learning:
    """Answers requests of a page as a server with a learning side would: films are those of the server's expert."""

    def __init__(self, page):
        self.page, self.trained, self.orders, self.asked = page, [], [], []
        self.runs = {r["name"]: dict(r) for r in (RUN, FOREIGN)}
        page.route("**/api/hello", self.hello)
        page.route("**/api/runs**", self.answer)
        page.route("**/api/runs/**", self.answer)
        page.route("**/api/forms**", lambda route: route.fulfill(json=FORMS))
        page.route("**/api/train", self.train)

    def hello(self, route):
        route.fulfill(json={**route.fetch().json(), "learning": True, "runs": "runs"})

    def train(self, route):
        asked = json.loads(route.request.post_data)
        if asked["name"] in self.runs:
            message = f"there is a run {asked['name']} already: choose another name"
            return route.fulfill(status=409, json={"message": message})
        self.trained.append(asked)
        self.runs[asked["name"]] = {**RUN, "name": asked["name"], "algo": asked["algo"], "iterations": 0, "policy": False}
        return route.fulfill(json=self.runs[asked["name"]])

    def answer(self, route):
        path, _, query = route.request.url.partition("/api/runs")[2].partition("?")
        parts = path.strip("/").split("/")
        self.asked.append((path, query))
        if parts == [""]:
            return route.fulfill(json=list(self.runs.values()))
        run = self.runs[parts[0]]
        what = parts[1] if len(parts) > 1 else "view"
        return route.fulfill(json=getattr(self, what)(run, route, dict(p.split("=") for p in query.split("&") if p)))

    def order(self, run, route, _):
        order = json.loads(route.request.post_data)["order"]
        self.orders.append(order)
        run["state"] = {"pause": "paused", "resume": "running", "stop": "stopped"}[order]
        return run

    def view(self, run, _, query):
        after = int(query.get("after", -1))
        if run["state"] == "running":
            run["iterations"] += 1
        steps = range(after + 1, run["iterations"])

        def curve(key, title, unit, about, value, levels=(), range_=None):
            points = [[i, value(i)] for i in steps]
            return {"key": key, "title": title, "unit": unit, "about": about, "levels": list(levels), "range": range_,
                    "points": points}

        returns = [["demonstrations", -0.7], ["random actions", -570]]
        curves = [
            curve("true_return", "True return", "", "It should rise.", lambda i: -500 * math.exp(-i / 30), returns),
            curve("accuracy", "Accuracy", "", "It falls to chance.", lambda i: 0.5 + 0.4 * math.exp(-i / 20),
                  [["chance", 0.5]], [0, 1]),
            curve("entropy", "Entropy of the policy", "nats", "It falls slowly.", lambda i: 1 - 0.01 * i),
        ]
        findings = [{"name": "narrow demonstrations", "means": "Few start states are demonstrated.",
                     "advice": "Record more episodes from other seeds."}]
        return {**run, "said": f"iteration {run['iterations']}", "curves": curves, "findings": findings,
                "settings": [["iterations", 400]], "command": "costate train datasets/cart_pole --output runs/r"}

    def film(self, *_):
        address = self.page.url.partition("/#")[0]
        return self.page.request.get(f"{address}/api/environments/cart_pole/film").json()

    def costs(self, *_):
        return {"costs": [math.sin(i / 30) for i in range(500)]}

    def landscapes(self, *_):
        cost = [[(i - 8) ** 2 + (j - 8) ** 2 for j in range(16)] for i in range(16)]
        first = {"x": 0, "y": 1, "names": ["position (m)", "velocity (m/s)"], "area": [-1, 1, -1, 1], "cost": cost}
        return [first, {**first, "y": 2, "names": ["position (m)", "angle (rad)"]}]
