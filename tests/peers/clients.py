"""Calls a gateway with the official clients, unchanged, and says what they made of the answers.

The one argument is JSON: where the gateway is, the customer's key, and the calls. One line of JSON for
each call goes to standard output: the answer's id and the tokens that the client counted.
"""

import json
import sys

import anthropic
import openai


def chat(client, model, stream):
    request = {"model": model, "messages": [{"role": "user", "content": "Say it."}], "max_tokens": 500}
    if not stream:
        answer = client.chat.completions.create(**request)
        return answer.id, answer.usage.prompt_tokens, answer.usage.completion_tokens
    options = {"include_usage": True}
    last = None
    with client.chat.completions.create(**request, stream=True, stream_options=options) as chunks:
        for chunk in chunks:
            last = chunk.usage and chunk or last
    return last.id, last.usage.prompt_tokens, last.usage.completion_tokens


def responses(client, model, stream):
    request = {"model": model, "input": "Say it.", "max_output_tokens": 500}
    if not stream:
        answer = client.responses.create(**request)
        return answer.id, answer.usage.input_tokens, answer.usage.output_tokens
    answer = None
    with client.responses.create(**request, stream=True) as events:
        for event in events:
            if event.type == "response.completed":
                answer = event.response
    return answer.id, answer.usage.input_tokens, answer.usage.output_tokens


def messages(client, model, stream):
    request = {"model": model, "messages": [{"role": "user", "content": "Say it."}], "max_tokens": 500}
    if not stream:
        answer = client.messages.create(**request)
    else:
        with client.messages.stream(**request) as events:
            for _ in events:
                pass
            answer = events.get_final_message()
    return answer.id, answer.usage.input_tokens, answer.usage.output_tokens


def main():
    asked = json.loads(sys.argv[1])
    gateway, key = asked["gateway"], asked["key"]
    clients = {
        chat: openai.OpenAI(base_url=f"{gateway}/v1", api_key=key, max_retries=0),
        messages: anthropic.Anthropic(base_url=gateway, api_key=key, max_retries=0),
    }
    clients[responses] = clients[chat]
    kinds = {"chat": chat, "responses": responses, "messages": messages}
    for call in asked["calls"]:
        kind = kinds[call["kind"]]
        id, input_tokens, output_tokens = kind(clients[kind], call["model"], call["stream"])
        print(json.dumps({"id": id, "input": input_tokens, "output": output_tokens}), flush=True)
    # What the gateway refuses is the client's own kind of error.
    for client, error in [(clients[chat], openai.AuthenticationError)]:
        try:
            client.with_options(api_key="fb_wrong").chat.completions.create(model="gpt-4o", messages=[])
        except error as refused:
            print(json.dumps({"refused": refused.status_code}), flush=True)


main()
