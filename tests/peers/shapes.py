"""Writes the calls that all three price, one JSON object a line, to standard output.

    shapes.py LITELLM_PRICES.json GENAI_PRICES.json [RESPONSES.jsonl]

For every model that both peers know: small, cached, long-context, tiered, batch, reasoning
and audio calls; then the recorded responses. A line says how each peer names the call (`litellm`, `genai`),
and `usage` says what was used, in exclusive pools.
"""

import json
import re
import sys

import bodies
from peers import GenAI, LiteLLM

OCCURRED_AT = "2026-11-21T00:00:00Z"

# LiteLLM's provider -> the id of the same provider in genai-prices.
SAME = {
    "gemini": "google", "bedrock": "aws", "bedrock_converse": "aws", "bedrock_mantle": "aws",
    "together_ai": "together", "fireworks_ai": "fireworks", "xai": "x-ai",
    "azure_ai": "azure", "azure_text": "azure", "cohere_chat": "cohere", "moonshot": "moonshotai",
    "voyage": "voyageai", "meta_llama": "meta", "text-completion-openai": "openai",
    "fireworks_ai-embedding-models": "fireworks", "zhipu": "zhipuai", "codestral": "mistral",
    "text-completion-codestral": "mistral", "github_copilot": "github-copilot",
}
# Of what has no output.
INPUT_ONLY = {"embedding", "rerank", "moderation"}


def genai_provider(litellm_provider):
    if litellm_provider.startswith("vertex_ai"):
        return "google"
    return SAME.get(litellm_provider, litellm_provider)


def own_name(key, litellm_provider):
    """The model's own name: what LiteLLM puts before it says how to reach it, not what it is."""
    route, _, rest = key.partition("/")
    routes = {litellm_provider, litellm_provider.split("-")[0], genai_provider(litellm_provider)}
    if litellm_provider.startswith("bedrock"):
        routes |= {"bedrock", "bedrock_converse"}
    if litellm_provider == "cohere_chat":
        routes.add("cohere")
    return rest if rest and route in routes else key


CLOUD_REGION = re.compile(r"^[a-z]{2}(-[a-z]+)+-[0-9]$")
ZONES = {"eu", "us", "global", "global-standard", "apac", "au", "jp"}


def rated(provider, name, call):
    """The call as `farebox rate` reads it. A region is a field of its own, not part of a name."""
    region, _, rest = name.partition("/")
    fields = {"provider": provider, "model": name}
    if rest and (region in ZONES or CLOUD_REGION.match(region)):
        fields = {"provider": provider, "model": rest, "region": region}
    return fields | call


def litellm_thresholds(entry):
    for key in entry:
        found = re.search(r"_above_(\d+)k_tokens", key)
        if found:
            yield int(found[1]) * 1000
    for tier in entry.get("tiered_pricing") or []:
        yield from (int(bound) for bound in tier.get("range", []) if bound)


def genai_price_sets(model):
    prices = model["prices"]
    for entry in prices if isinstance(prices, list) else [{"prices": prices}]:
        yield entry["prices"]
    for variant in model.get("price_variants") or []:
        yield variant["prices"]


def genai_thresholds(model):
    for prices in genai_price_sets(model):
        for price in prices.values():
            if isinstance(price, dict):
                yield from (tier["start"] for tier in price["tiers"])


def shapes(entry, model):
    """Name, pools and context of each call that makes sense for the model."""
    yield "input only", {"input": 1234}, {}
    if entry.get("mode") in INPUT_ONLY:
        return
    yield "small", {"input": 1000, "output": 200}, {}
    yield "cached", {"input": 1000, "cache_read": 4000, "output": 200}, {}
    keys = set(entry)
    for prices in genai_price_sets(model):
        keys |= set(prices)
    if "cache_creation_input_token_cost" in keys or "cache_write_mtok" in keys:
        yield "cache write", {"input": 10, "cache_read": 5000, "cache_write_5m": 2000, "output": 100}, {}
    if "cache_creation_input_token_cost_above_1hr" in keys or "cache_write_1h_mtok" in keys:
        yield "cache write, 1 hour", {"input": 10, "cache_write_1h": 2000, "output": 100}, {}
        both = {"input": 10, "cache_write_5m": 3000, "cache_write_1h": 2000, "output": 100}
        yield "cache write, both", both, {}
    if entry.get("supports_reasoning") or "output_cost_per_reasoning_token" in keys:
        yield "reasoning", {"input": 1000, "output": 200, "reasoning": 3000}, {}
        yield "reasoning, cached", {"input": 50, "cache_read": 950, "output": 20, "reasoning": 300}, {}
    if "input_cost_per_audio_token" in keys or "input_audio_mtok" in keys:
        yield "audio heard", {"input": 100, "input_audio": 2000, "output": 50}, {}
    if "output_cost_per_audio_token" in keys or "output_audio_mtok" in keys:
        yield "audio spoken", {"input": 100, "output": 50, "output_audio": 700}, {}
    for above in sorted(set(litellm_thresholds(entry)) | set(genai_thresholds(model))):
        yield f"context {above}", {"input": above, "output": 2000}, {}
        yield f"context {above} + 1", {"input": above + 1, "output": 2000}, {}
        cached = {"input": 1, "cache_read": above, "output": 2000}
        yield f"context {above} + 1, cached", cached, {}
        yield f"context {above} * 2", {"input": above * 2, "output": 3}, {}
    variants = [variant["when"] for variant in model.get("price_variants") or []]
    for tier in ("priority", "flex"):
        if any(key.endswith("_" + tier) for key in keys) or {"service_tier": tier} in variants:
            usage = {"input": 1000, "output": 200}
            yield tier, usage, {"service_tier": tier}
            yield f"{tier}, cached", usage | {"cache_read": 4000}, {"service_tier": tier}
    if any(key.endswith("_batches") for key in keys) or {"processing": "batch"} in variants:
        usage = {"input": 1000, "output": 200}
        yield "batch", usage, {"service_tier": "batch"}
        yield "batch, cached", usage | {"cache_read": 4000}, {"service_tier": "batch"}


def models(litellm, genai):
    for key, entry in litellm.prices.items():
        litellm_provider = entry.get("litellm_provider") or ""
        if "input_cost_per_token" not in entry and not entry.get("tiered_pricing"):
            continue
        name = own_name(key, litellm_provider)
        found = genai.find(genai_provider(litellm_provider), name)
        if found is not None:
            owner, model = found
            names = {
                "litellm": {"provider": litellm_provider, "model": name, "key": key},
                # Whose price it is: a provider without one of its own borrows another's.
                "genai": {"provider": owner, "model": model["id"]},
            }
            yield names, entry, model


def main():
    litellm, genai = LiteLLM(sys.argv[1]), GenAI(sys.argv[2])
    out = sys.stdout
    for names, entry, model in models(litellm, genai):
        for shape, usage, context in shapes(entry, model):
            used = {"usage": usage, "occurred_at": OCCURRED_AT} | context
            books = {
                peer: rated(names[peer]["provider"], names[peer]["model"], used)
                for peer in ("litellm", "genai")
            }
            call = names | {"shape": shape, "books": books} | used
            out.write(json.dumps(call) + "\n")
    for path in sys.argv[3:]:
        with open(path) as lines:
            for number, line in enumerate(lines, 1):
                recorded = json.loads(line)
                call = bodies.recorded(recorded, OCCURRED_AT)
                call |= {"shape": "recorded", "line": number, "occurred_at": OCCURRED_AT}
                out.write(json.dumps(call) + "\n")


if __name__ == "__main__":
    main()
