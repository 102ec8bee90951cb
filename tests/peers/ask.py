"""Asks one peer for the price of every call of a file, and answers a line for each.

    ask.py litellm|genai PRICES.json CALLS.jsonl [--speed SECONDS]

An answer is `{"usd": "0.0045"}` or `{"error": "…"}`. With `--speed`, nothing is answered: the
calls that have a price are priced again and again for that long, and how many calls a second that
made is printed. What is prepared for a call before its price is asked (reading its line, making
the peer's usage object) is not counted against the peer.
"""

import json
import logging
import sys
import time
import warnings

from peers import GenAI, LiteLLM

PEERS = {"litellm": LiteLLM, "genai": GenAI}


def answer(peer, call):
    try:
        return {"usd": peer.price(call)}
    except Exception as error:  # noqa: BLE001: whatever the peer says instead of a price is its answer
        return {"error": f"{type(error).__name__}: {error}"[:300]}


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # Peers print what they think a person should read: that goes where people look.
    out, sys.stdout = sys.stdout, sys.stderr
    name, prices, path, *rest = sys.argv[1:]
    peer = PEERS[name](prices)
    with open(path) as lines:
        calls = [json.loads(line) for line in lines]
    if rest[:1] == ["--speed"]:
        out.write(json.dumps(speed(peer, calls, float(rest[1]))) + "\n")
        return
    for call in calls:
        out.write(json.dumps(answer(peer, call)) + "\n")


def speed(peer, calls, seconds):
    priced = [call for call in calls if "usd" in answer(peer, call)]
    ask = [peer.prepared(call) for call in priced]
    count, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        for one in ask:
            one()
        count += len(ask)
    return {"calls": len(ask), "event_ns": int(took * 1e9 / count)}


if __name__ == "__main__":
    main()
