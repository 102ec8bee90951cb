"""The two peers, each behind `price(call)`: what a call costs by its own rules and its own prices.

Both are given the same call: for a shape the pools, put together again the way each wants its
tokens counted; for a recorded response the provider's own usage object, read by the peer's own
reader. A price is decimal text in USD: LiteLLM's is the shortest text of its binary float.
"""

import json
import os
from datetime import datetime, timezone
from decimal import Decimal



class NotAsked(Exception):
    """The peer cannot be asked: it would answer another question, and not say so."""


def refuse_tools(call):
    """Neither peer's reader of usage sees a search that stands only among the outputs."""
    outputs = call.get("body", {}).get("output") or []
    if any(item.get("type", "").endswith("search_call") for item in outputs):
        raise NotAsked("its reader of usage does not see the searches among the outputs")


class LiteLLM:
    def __init__(self, path):
        # Nothing is fetched: the prices are those of the file.
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        import litellm
        from litellm import cost_calculator
        from litellm.litellm_core_utils.llm_cost_calc import utils

        with open(path) as file:
            self.prices = json.load(file)
        self.prices.pop("sample_spec", None)
        litellm.model_cost.clear()
        litellm.model_cost.update(self.prices)
        self.litellm, self.calculator = litellm, cost_calculator
        # Off-peak prices depend on the hour: the hour is the call's, not that of the comparison.
        utils.current_billing_time = lambda: self.now
        self.now = None

    def price(self, call):
        return self.prepared(call)()

    def prepared(self, call):
        """The question with everything made ready for it."""
        refuse_tools(call)
        arguments = self.arguments(call)
        self.refuse_unknown_tier(call, arguments)
        now = moment(call)

        def ask():
            self.now = now
            prompt, completion = self.calculator.cost_per_token(**arguments)
            return repr(prompt + completion)

        return ask

    def arguments(self, call):
        names = call["litellm"]
        provider = names["provider"]
        if provider.startswith("vertex_ai-"):
            provider = "vertex_ai"
        elif provider == "bedrock_converse":
            provider = "bedrock"
        tier = call.get("service_tier")
        arguments = {
            "model": names.get("key", names["model"]),
            "custom_llm_provider": provider,
            "usage_object": self.usage(call),
            "call_type": "completion",
        }
        if tier == "batch":
            arguments["call_type"] = "retrieve_batch"
        elif tier:
            arguments["service_tier"] = tier
        return arguments

    def refuse_unknown_tier(self, call, arguments):
        tier = call.get("service_tier")
        if not tier:
            return
        names, provider = call["litellm"], arguments["custom_llm_provider"]
        entry = self.prices.get(names.get("key", names["model"]), {})
        suffix = "_batches" if tier == "batch" else f"_{tier}"
        if not any(key.startswith("input_cost_per_token") and key.endswith(suffix) for key in entry):
            raise NotAsked(f"no input price for {tier}: it would answer with another tier's")
        if tier != "batch" and provider in DEAF:
            raise NotAsked(f"its calculator of {provider} is not told the service tier")

    def usage(self, call):
        from litellm.types import utils as types

        if "body" in call:
            return self.read(call)
        pools = call["usage"]
        get = lambda name: pools.get(name, 0)
        writes = get("cache_write_5m") + get("cache_write_1h")
        prompt = get("input") + get("input_audio") + get("cache_read") + writes
        completion = get("output") + get("output_audio") + get("reasoning")
        details = types.PromptTokensDetailsWrapper(
            cached_tokens=get("cache_read"),
            audio_tokens=pools.get("input_audio"),
            cache_creation_tokens=writes,
            cache_creation_token_details=types.CacheCreationTokenDetails(
                ephemeral_5m_input_tokens=get("cache_write_5m"),
                ephemeral_1h_input_tokens=get("cache_write_1h"),
            ) if writes else None,
        )
        return types.Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_tokens_details=details,
            completion_tokens_details=types.CompletionTokensDetailsWrapper(
                reasoning_tokens=get("reasoning"),
                text_tokens=get("output"),
                audio_tokens=pools.get("output_audio"),
            ),
        )

    def read(self, call):
        """The usage of a provider's body, by LiteLLM's own reader of that provider."""
        from litellm.types.utils import Usage

        body, api = call["body"], call["api"]
        if api == "messages":
            from litellm.llms.anthropic.chat.transformation import AnthropicConfig

            return AnthropicConfig().calculate_usage(body["usage"], None, body)
        if api == "generate_content":
            from litellm.llms.vertex_ai.gemini import vertex_and_google_ai_studio_gemini as gemini

            return gemini.VertexGeminiConfig._calculate_usage(body)
        if api == "responses":
            from litellm.responses.utils import ResponseAPILoggingUtils

            return ResponseAPILoggingUtils._transform_response_api_usage_to_chat_usage(body["usage"])
        return Usage(**body["usage"])


# Providers whose calculators LiteLLM calls without the service tier (`cost_per_token`).
DEAF = {
    "fireworks_ai", "deepseek", "tencent", "perplexity", "xai", "lemonade", "dashscope",
    "qwencloud", "qwen_ai_platform",
}


class GenAI:
    def __init__(self, path):
        from genai_prices import data_snapshot, types

        with open(path) as file:
            raw = json.load(file)
        self.prices = {(p["id"], m["id"]): m for p in raw for m in p["models"]}
        # The file is written out of this snapshot, which is why the package's version is pinned.
        self.snapshot = data_snapshot.get_snapshot()
        bundled = {(p.id, m.id): m for p in self.snapshot.providers for m in p.models}
        if bundled.keys() != self.prices.keys():
            raise SystemExit(f"{path} is not of the genai-prices that is installed")
        for name, model in bundled.items():
            if plain(model.prices) != plain(self.prices[name]["prices"]):
                raise SystemExit(f"{path} has other prices for {name}")
        self.providers = {provider.id: provider for provider in self.snapshot.providers}
        self.bundled, self.types = bundled, types

    def locate(self, provider, model):
        """Provider and model by their ids in the file, else by the peer's own search."""
        if (provider, model) in self.bundled:
            return self.providers[provider], self.bundled[provider, model]
        return self.snapshot.find_provider_model(model, None, provider, None)

    def find(self, provider, model):
        """The id of the provider whose price it is, and the file's entry; or nothing."""
        try:
            asked, info = self.snapshot.find_provider_model(model, None, provider, None)
        except LookupError:
            return None
        for owner in [asked.id, *(asked.fallback_model_providers or [])]:
            if (owner, info.id) in self.prices:
                return owner, self.prices[owner, info.id]
        return None

    def price(self, call):
        return self.prepared(call)()

    def prepared(self, call):
        """The question with everything made ready for it."""
        refuse_tools(call)
        names = call["genai"]
        provider, model = self.locate(names["provider"], names["model"])
        tier = context(call.get("service_tier"))
        variants = model.price_variants or []
        if tier and not any(variant.when == tier for variant in variants):
            raise NotAsked(f"no prices for {tier}: it would answer with those of the default tier")
        usage, now = self.usage(call), moment(call)
        prices = model.get_prices(now, tier)
        for key in ("input", "output"):
            if getattr(usage, f"{key}_tokens") and getattr(prices, f"{key}_mtok") is None:
                raise NotAsked(f"no {key} price: it would answer that it costs nothing")

        def ask():
            calculated = model.calc_price(
                usage, provider, genai_request_timestamp=now, price_context=tier
            )
            return format(calculated.total_price, "f")

        return ask

    def usage(self, call):
        if "body" in call:
            flavour = FLAVOURS.get((call["genai"]["provider"], call["api"]), "default")
            provider = self.snapshot.find_provider(None, call["genai"]["provider"], None)
            return provider.extract_usage(call["body"], api_flavor=flavour)[1]
        pools = call["usage"]
        get = lambda name: pools.get(name, 0)
        writes = get("cache_write_5m") + get("cache_write_1h")
        values = {
            "input_tokens": get("input") + get("input_audio") + get("cache_read") + writes,
            "output_tokens": get("output") + get("output_audio") + get("reasoning"),
            "input_audio_tokens": get("input_audio"),
            "output_audio_tokens": get("output_audio"),
            "cache_read_tokens": get("cache_read"),
            "cache_write_tokens": writes,
            "cache_write_5m_tokens": get("cache_write_5m"),
            "cache_write_1h_tokens": get("cache_write_1h"),
            "output_reasoning_tokens": get("reasoning"),
        }
        return self.types.Usage(**{name: value for name, value in values.items() if value})


def plain(prices):
    """Prices as text, whether they come out of the package or out of the file."""
    if isinstance(prices, (list, tuple)):
        return [plain(item) for item in prices]
    if isinstance(prices, Decimal):
        return format(prices.normalize(), "f")
    if isinstance(prices, (int, float)):
        return plain(Decimal(str(prices)))
    if not isinstance(prices, dict):
        if not hasattr(prices, "__dict__"):
            return str(prices)
        prices = vars(prices)
    known = {key: plain(value) for key, value in prices.items() if key != "type" and value is not None}
    return {key: try_number(value) for key, value in known.items()}


def try_number(value):
    try:
        return plain(Decimal(value)) if isinstance(value, str) else value
    except ArithmeticError:
        return value


# The extractor of genai-prices for a provider's API, where it is not the default one.
FLAVOURS = {
    ("openai", "chat"): "chat",
    ("openai", "responses"): "responses",
    ("anthropic", "chat"): "chat",
    ("openrouter", "chat"): "chat",
}


def context(tier):
    if tier == "batch":
        return {"processing": "batch"}
    return {"service_tier": tier} if tier else None


def moment(call):
    return datetime.fromisoformat(call["occurred_at"].replace("Z", "+00:00"))
