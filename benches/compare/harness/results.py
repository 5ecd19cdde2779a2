"""Tables: median and spread, and the ratio to the yardstick within the same round."""

import dataclasses
import json
from statistics import median

from .contestants import YARDSTICK
from .workloads import Slice

BEGIN, END = "<!-- compare: begin -->", "<!-- compare: end -->"


class Results:
    """Slices, or reasons for their absence, by workload, contestant and round."""

    def __init__(self, facts, titles):
        self.facts = facts
        self.titles = titles
        self.taken = {}
        self.workloads = {}

    def add(self, workload, contestant, round_number, result):
        self.workloads[workload.key] = workload
        rounds = self.taken.setdefault(workload.key, {}).setdefault(contestant, {})
        rounds[round_number] = result

    def slices(self, key, contestant):
        """By round; without those that could not be made."""
        rounds = self.taken.get(key, {}).get(contestant, {})
        return {number: done for number, done in rounds.items() if isinstance(done, Slice)}

    def reasons(self, key, contestant):
        rounds = self.taken.get(key, {}).get(contestant, {})
        return [done for done in rounds.values() if not isinstance(done, Slice)]

    def ratio(self, key, contestant, value):
        """To the yardstick in the same round, the median of the rounds and their spread; None without."""
        bare = self.slices(key, YARDSTICK)
        of = [
            value(done) / value(bare[number])
            for number, done in self.slices(key, contestant).items()
            if number in bare and value(bare[number]) > 0 and value(done) > 0
        ]
        return (median(of), min(of), max(of)) if of else None

    def json(self):
        plain = {
            key: {
                name: {
                    str(number): dataclasses.asdict(done) if isinstance(done, Slice) else str(done)
                    for number, done in rounds.items()
                }
                for name, rounds in contestants.items()
            }
            for key, contestants in self.taken.items()
        }
        return json.dumps({"facts": self.facts, "results": plain}, indent=1)

    def disturbance(self):
        """How long the yardstick, which has one thread, waited for its processor: what others on the machine took."""
        waited = [done.waited for key in self.taken for done in self.slices(key, YARDSTICK).values() if done.seconds]
        if not waited:
            return "not known"
        return f"the yardstick waited {median(waited):.0%} of the time for its processor, at most {max(waited):.0%}"

    def markdown(self):
        lines = [f"- {key}: {value}" for key, value in {**self.facts, "Disturbance": self.disturbance()}.items()]
        lines += ["", *self._goals()]
        for workload in self.workloads.values():
            lines += ["", f"### {workload.title} (`{workload.key}`)", "", f"{workload.about}.", ""]
            lines += {"requests": self._requests, "memory": self._memory, "latency": self._latency}[
                workload.kind
            ](workload)
        return "\n".join(lines) + "\n"

    def _requests(self, workload):
        yield "| | processor time per request, µs | × bare hyper | requests/s | of its processor | failed |"
        yield "|---|---|---|---|---|---|"
        for name, slices in self._rows(workload):
            if isinstance(slices, str):
                yield f"| {self.titles[name]} | {slices} | | | | |"
                continue
            cells = [
                _spread([done.cost_us for done in slices]),
                _ratio(self.ratio(workload.key, name, _cost)),
                f"{median(done.requests / done.seconds for done in slices):,.0f}",
                f"{median(done.busy for done in slices):.0%}",
                str(sum(done.failed for done in slices)),
            ]
            yield f"| {self.titles[name]} | " + " | ".join(cells) + " |"
        yield from self._footnotes(workload)

    def _memory(self, workload):
        yield "| | KiB per connection | × bare hyper | connections | failed |"
        yield "|---|---|---|---|---|"
        for name, slices in self._rows(workload):
            if isinstance(slices, str):
                yield f"| {self.titles[name]} | {slices} | | | |"
                continue
            cells = [
                _spread([done.kib for done in slices]),
                _ratio(self.ratio(workload.key, name, _kib)),
                f"{median(done.requests for done in slices):,.0f}",
                str(sum(done.failed for done in slices)),
            ]
            yield f"| {self.titles[name]} | " + " | ".join(cells) + " |"
        yield from self._footnotes(workload)

    def _latency(self, workload):
        yield "| | p50, ms | p99, ms | p99.9, ms | p50 × bare hyper | p99 × bare hyper | requests/s | failed |"
        yield "|---|---|---|---|---|---|---|---|"
        for name, slices in self._rows(workload):
            if isinstance(slices, str):
                yield f"| {self.titles[name]} | {slices} | | | | | | |"
                continue
            kinds = ("p50_ms", "p99_ms", "p999_ms")
            cells = [_spread([done.latency_ms[kind] for done in slices]) for kind in kinds]
            cells += [
                _ratio(self.ratio(workload.key, name, lambda done, kind=kind: done.latency_ms[kind]))
                for kind in kinds[:2]
            ]
            cells.append(f"{median(done.requests / done.seconds for done in slices):,.0f}")
            cells.append(str(sum(done.failed for done in slices)))
            yield f"| {self.titles[name]} | " + " | ".join(cells) + " |"
        yield from self._footnotes(workload)

    def _rows(self, workload):
        """Everybody: with slices, or with the reason why there are none."""
        for name in self.taken[workload.key]:
            slices = list(self.slices(workload.key, name).values())
            reasons = self.reasons(workload.key, name)
            yield name, slices or "not measured: " + str(reasons[0] if reasons else "not yet").replace("|", "/")

    def _footnotes(self, workload):
        for name in self.taken[workload.key]:
            reasons = self.reasons(workload.key, name)
            if reasons and self.slices(workload.key, name):
                yield ""
                yield f"{self.titles[name]}: {len(reasons)} rounds are missing: {reasons[0]}."

    def _goals(self):
        rows = []
        for key, workload in self.workloads.items():
            if workload.kind == "latency":
                continue
            if workload.kind == "memory":
                kib = [done.kib for done in self.slices(key, "nearside").values()]
                is_kept = kib and round(median(kib), 1) <= workload.goal
                told = (f"{workload.goal:.0f} KiB", f"{median(kib):.1f} KiB") if kib else None
            else:
                ratio = self.ratio(key, "nearside", _cost)
                is_kept = ratio and round(ratio[0], 2) <= workload.goal
                told = (f"{workload.goal:.2f} × bare", f"{ratio[0]:.2f} ×") if ratio else None
            if told:
                rows.append(f"| {workload.title} | {told[0]} | {told[1]} | {'yes' if is_kept else '**no**'} |")
        if not rows:
            return []
        return ["### nearside's goals", "", "| | at most | measured | kept |", "|---|---|---|---|", *rows]


def record(file, text):
    """Puts the tables between their marks in a file, which keeps everything else."""
    whole = file.read_text()
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{file} has no lines {BEGIN} and {END} to put the tables between")
    file.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def _cost(done):
    return done.cost_us


def _kib(done):
    return done.kib


def _spread(values):
    digits = 1 if median(values) >= 10 else 2
    if median(values) < 0.1:
        digits = 3
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def _ratio(ratio):
    if not ratio:
        return ""
    middle, least, most = ratio
    return f"{middle:.2f}" if least == most else f"{middle:.2f} ({least:.2f}–{most:.2f})"
