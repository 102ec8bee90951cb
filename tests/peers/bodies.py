"""Recorded responses as one JSON body each: a stream's pieces put together as its provider says.

Neither peer reads a provider's raw event stream, so what they are given is the body that the same
call would have had without streaming, with the usage object as it was sent.
"""

import json

PROVIDERS = {
    "openai": ("openai", "openai"),
    "anthropic": ("anthropic", "anthropic"),
    "google": ("gemini", "google"),
    "openrouter": ("openrouter", "openrouter"),
    "together": ("together_ai", "together"),
}


def events(sse):
    for line in sse.splitlines():
        if line.startswith("data:"):
            data = line[5:].strip()
            if data and data != "[DONE]":
                yield json.loads(data)


def assembled(api, sse):
    body = {}
    for event in events(sse):
        if api == "messages":
            if event["type"] == "message_start":
                body = dict(event["message"])
                body["usage"] = dict(body["usage"])
            elif event["type"] == "message_delta":
                # Cumulative: what a later event states replaces what an earlier one did.
                body["usage"].update(event.get("usage") or {})
        elif api == "responses":
            if "response" in event:
                body = event["response"]
        elif api == "generate_content":
            body.update({key: event[key] for key in ("modelVersion", "usageMetadata") if key in event})
        else:
            body.update({key: event[key] for key in ("model", "service_tier") if event.get(key)})
            if event.get("usage"):
                body["usage"] = event["usage"]
    return body


def recorded(line, occurred_at):
    api = line["api"]
    body = line["response"] if "response" in line else assembled(api, line["sse"])
    litellm, genai = PROVIDERS[line["provider"]]
    model = body.get("model") or body.get("modelVersion") or line["request"]["model"]
    rated = {key: line[key] for key in line if key != "source"} | {"occurred_at": occurred_at}
    call = {
        "api": api,
        "body": body,
        "books": {"litellm": rated, "genai": rated},
        "litellm": {"provider": litellm, "model": model},
        "genai": {"provider": genai, "model": model},
    }
    tier = body.get("service_tier") or (body.get("usage") or {}).get("service_tier")
    if tier and tier not in ("default", "standard", "auto"):
        call["service_tier"] = tier
    return call
